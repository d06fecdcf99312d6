#pragma once

#include <cstddef>
#include <cstdint>

namespace realesrgan {

// Float samples of a picture in memory, one plane a channel; strides in samples.
template <typename Sample>
struct BasicPlanes {
    Sample* data = nullptr;
    std::int64_t width = 0;
    std::int64_t height = 0;
    int channels = 0;
    std::ptrdiff_t x_stride = 1;
    std::ptrdiff_t y_stride = 0;
    std::ptrdiff_t c_stride = 0;

    Sample* row(int channel, std::int64_t y) const {
        return data + channel * c_stride + y * y_stride;
    }
};

using Planes = BasicPlanes<float>;
using ConstPlanes = BasicPlanes<const float>;

inline ConstPlanes as_const(const Planes& planes) {
    return {planes.data,     planes.width,    planes.height,  planes.channels,
            planes.x_stride, planes.y_stride, planes.c_stride};
}

}  // namespace realesrgan
