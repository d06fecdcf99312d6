#include "image/sample_conversion.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "image/image_view.hpp"

namespace realesrgan {
namespace {

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
    return visit_sample_type(from.type,
                             [&](auto zero) { return load_as<decltype(zero)>(from, x, y, to); });
}

void store_samples(const ConstPlanes& from, const MutableImageView& to, std::int64_t y) {
    visit_sample_type(to.type, [&](auto zero) { store_as<decltype(zero)>(from, to, y); });
}

}  // namespace realesrgan
