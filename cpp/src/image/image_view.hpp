#pragma once

#include <cstddef>
#include <utility>

#include "realesrgan/image.hpp"

namespace realesrgan {

// Bytes of one sample.
constexpr std::size_t sample_size(SampleType type) {
    return type == SampleType::u8 ? 1 : type == SampleType::u16 ? 2 : 4;
}

// Channels side by side in a pixel, pixels in a row, rows one below the other, without a gap.
template <typename Byte>
BasicImageView<Byte> packed_view(Byte* data, SampleType type, int width, int height, int channels) {
    const auto sample = static_cast<std::ptrdiff_t>(sample_size(type));
    return {data,  type, width, height, channels, sample * channels * width, sample * channels,
            sample};
}

inline ImageView as_const(const MutableImageView& view) {
    return {view.data,     view.type,       view.width,        view.height,
            view.channels, view.row_stride, view.pixel_stride, view.channel_stride};
}

// The same samples with rows and columns exchanged. Nothing is copied.
template <typename Byte>
BasicImageView<Byte> transposed(BasicImageView<Byte> view) {
    std::swap(view.width, view.height);
    std::swap(view.row_stride, view.pixel_stride);
    return view;
}

}  // namespace realesrgan
