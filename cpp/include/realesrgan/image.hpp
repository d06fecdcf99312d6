#pragma once

#include <cstddef>

namespace realesrgan {

// How one sample is stored. Values are 0..255, 0..65535, or 0..1 (f32; outside values are kept on
// the way in and clamped on the way out).
enum class SampleType { u8, u16, f32 };

// A picture in somebody else's memory; strides are in bytes and may be negative or zero.
template <typename Byte>
struct BasicImageView {
    Byte* data = nullptr;
    SampleType type = SampleType::u8;
    int width = 0;
    int height = 0;
    int channels = 0;
    std::ptrdiff_t row_stride = 0;
    std::ptrdiff_t pixel_stride = 0;
    std::ptrdiff_t channel_stride = 0;
};

using ImageView = BasicImageView<const std::byte>;
using MutableImageView = BasicImageView<std::byte>;

}  // namespace realesrgan
