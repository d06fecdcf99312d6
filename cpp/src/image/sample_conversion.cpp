#include "image/sample_conversion.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace realesrgan {
namespace {

// The largest value of a sample type as a float; floats are their own unit.
template <typename Sample>
constexpr float kWhite = 1.0F;
template <>
constexpr float kWhite<std::uint8_t> = 255.0F;
template <>
constexpr float kWhite<std::uint16_t> = 65535.0F;

// Position `i` of an axis of `length` continued by mirroring without repeating the edge.
std::int64_t mirrored(std::int64_t i, std::int64_t length) {
    if (length == 1) {
        return 0;
    }
    const std::int64_t period = 2 * (length - 1);
    const std::int64_t phase = i % period;
    return phase < length ? phase : period - phase;
}

template <typename Sample>
double load_as(const ImageView& from, std::int64_t x, std::int64_t y, const Planes& to) {
    std::vector<std::ptrdiff_t> offsets;
    for (std::int64_t i = 0; i < to.width; ++i) {
        offsets.push_back(mirrored(x + i, from.width) * from.pixel_stride);
    }
    double sum = 0.0;
    for (int c = 0; c < to.channels; ++c) {
        for (std::int64_t i = 0; i < to.height; ++i) {
            const std::byte* row = from.data + mirrored(y + i, from.height) * from.row_stride +
                                   c * from.channel_stride;
            float* target = to.row(c, i);
            for (const std::ptrdiff_t offset : offsets) {
                Sample sample;
                std::memcpy(&sample, row + offset, sizeof(Sample));  // may be unaligned
                *target = static_cast<float>(sample) / kWhite<Sample>;
                sum += std::max(0.0F, *target);
                target += to.x_stride;
            }
        }
    }
    return sum;
}

template <typename Sample>
Sample to_sample(float value) {
    const float clamped = std::clamp(value, 0.0F, 1.0F);
    return static_cast<Sample>(clamped * kWhite<Sample> + 0.5F);
}

template <>
float to_sample<float>(float value) {
    return std::clamp(value, 0.0F, 1.0F);
}

template <typename Sample>
void store_as(const ConstPlanes& from, const MutableImageView& to, std::int64_t y) {
    for (int c = 0; c < from.channels; ++c) {
        for (std::int64_t i = 0; i < from.height; ++i) {
            const float* source = from.row(c, i);
            std::byte* target = to.data + (y + i) * to.row_stride + c * to.channel_stride;
            for (std::int64_t x = 0; x < from.width; ++x) {
                const auto sample = to_sample<Sample>(*source);
                std::memcpy(target, &sample, sizeof(Sample));
                source += from.x_stride;
                target += to.pixel_stride;
            }
        }
    }
}

}  // namespace

double load_samples(const ImageView& from, std::int64_t x, std::int64_t y, const Planes& to) {
    switch (from.type) {
        case SampleType::u8:
            return load_as<std::uint8_t>(from, x, y, to);
        case SampleType::u16:
            return load_as<std::uint16_t>(from, x, y, to);
        case SampleType::f32:
            break;
    }
    return load_as<float>(from, x, y, to);
}

void store_samples(const ConstPlanes& from, const MutableImageView& to, std::int64_t y) {
    switch (to.type) {
        case SampleType::u8:
            return store_as<std::uint8_t>(from, to, y);
        case SampleType::u16:
            return store_as<std::uint16_t>(from, to, y);
        case SampleType::f32:
            break;
    }
    store_as<float>(from, to, y);
}

}  // namespace realesrgan
