#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "realesrgan/image.hpp"

namespace realesrgan {

// Bytes of one sample.
constexpr std::size_t sample_size(SampleType type) {
    return type == SampleType::u8 ? 1 : type == SampleType::u16 ? 2 : 4;
}

// Calls `visit` with a zero of the sample type.
template <typename Visit>
auto visit_sample_type(SampleType type, const Visit& visit) {
    switch (type) {
        case SampleType::u8:
            return visit(std::uint8_t{});
        case SampleType::u16:
            return visit(std::uint16_t{});
        case SampleType::f32:
            break;
    }
    return visit(float{});
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

// Position `i` of an axis continued to both sides by mirroring without repeating the edge.
inline std::ptrdiff_t mirrored(std::ptrdiff_t i, std::ptrdiff_t length) {
    if (length == 1) return 0;
    const std::ptrdiff_t phase = (i < 0 ? -i : i) % (2 * (length - 1));
    return phase < length ? phase : 2 * (length - 1) - phase;
}

// The same samples with rows and columns exchanged. Nothing is copied.
template <typename Byte>
BasicImageView<Byte> transposed(BasicImageView<Byte> view) {
    std::swap(view.width, view.height);
    std::swap(view.row_stride, view.pixel_stride);
    return view;
}

}  // namespace realesrgan
