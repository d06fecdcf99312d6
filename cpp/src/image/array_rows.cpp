#include "image/array_rows.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/integers.hpp"
#include "image/image_view.hpp"
#include "image/sample_conversion.hpp"

namespace realesrgan {

namespace {

template <std::size_t Size>
void copy_pixels(const std::byte* from, std::ptrdiff_t pixel, std::ptrdiff_t channel, std::byte* to,
                 std::ptrdiff_t to_pixel, std::ptrdiff_t to_channel, int width, int channels) {
    for (int x = 0; x < width; ++x) {
        for (int c = 0; c < channels; ++c) {
            std::memcpy(to + x * to_pixel + c * to_channel, from + x * pixel + c * channel, Size);
        }
    }
}

template <typename View>
bool packed(const View& like) {
    const auto sample = static_cast<std::ptrdiff_t>(sample_size(like.type));
    return like.channel_stride == sample && like.pixel_stride == sample * like.channels;
}

void copy_row(const std::byte* from, const ImageView& like, std::byte* to,
              const MutableImageView& to_like, int width) {
    if (packed(like) && packed(to_like)) {
        std::memcpy(to, from, static_cast<std::size_t>(like.pixel_stride * width));
        return;
    }
    const auto copy = like.type == SampleType::u8    ? copy_pixels<1>
                      : like.type == SampleType::u16 ? copy_pixels<2>
                                                     : copy_pixels<4>;
    copy(from, like.pixel_stride, like.channel_stride, to, to_like.pixel_stride,
         to_like.channel_stride, width, like.channels);
}

}  // namespace

void ArraySource::read(int first_row, int first_column, const MutableImageView& rows) {
    const int left = std::clamp(-first_column, 0, rows.width);
    const int end = std::clamp(picture_.width - first_column, left, rows.width);
    const std::size_t size = sample_size(picture_.type);
    for (int y = 0; y < rows.height; ++y) {
        const std::byte* from =
            picture_.data + mirrored(first_row + y, picture_.height) * picture_.row_stride;
        std::byte* to = rows.data + y * rows.row_stride;
        copy_row(from + (first_column + left) * picture_.pixel_stride, picture_,
                 to + left * rows.pixel_stride, rows, end - left);
        for (int x = 0; x < rows.width; ++x) {
            if (x == left) x = end;
            if (x == rows.width) break;
            const std::byte* pixel =
                from + mirrored(first_column + x, picture_.width) * picture_.pixel_stride;
            for (int c = 0; c < picture_.channels; ++c) {
                std::memcpy(to + x * rows.pixel_stride + c * rows.channel_stride,
                            pixel + c * picture_.channel_stride, size);
            }
        }
    }
}

void ArraySink::write(int first_row, int first_column, const ImageView& rows) {
    const int left = std::max(-first_column, 0);
    const int width = std::min(rows.width, picture_.width - first_column) - left;
    const int height = std::min(rows.height, picture_.height - first_row);
    for (int y = std::max(-first_row, 0); y < height; ++y) {
        std::byte* to = picture_.data + (first_row + y) * picture_.row_stride +
                        (first_column + left) * picture_.pixel_stride;
        copy_row(rows.data + y * rows.row_stride + left * rows.pixel_stride, rows, to, picture_,
                 width);
    }
}

double sum_of_samples(const ImageView& packed_rows) {
    return visit_sample_type(packed_rows.type, [&](auto zero) {
        using Sample = decltype(zero);
        std::conditional_t<std::is_same_v<Sample, float>, double, std::uint64_t> sum{};
        const auto* samples = reinterpret_cast<const Sample*>(packed_rows.data);
        const auto count = product(packed_rows.width, packed_rows.height, packed_rows.channels);
        for (std::size_t i = 0; i < count; ++i) sum += samples[i] > zero ? samples[i] : zero;
        return static_cast<double>(sum) / double{kWhite<Sample>};
    });
}

float largest_sample(const ImageView& packed_rows) {
    return visit_sample_type(packed_rows.type, [&](auto most) {
        using Sample = decltype(most);
        const auto* samples = reinterpret_cast<const Sample*>(packed_rows.data);
        const auto count = product(packed_rows.width, packed_rows.height, packed_rows.channels);
        for (std::size_t i = 0; i < count; ++i) most = samples[i] > most ? samples[i] : most;
        return static_cast<float>(most) / kWhite<Sample>;
    });
}

}  // namespace realesrgan
