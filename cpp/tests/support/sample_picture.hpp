#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "image/image_view.hpp"
#include "realesrgan/image.hpp"

// Pictures of any sample type for tests of whole networks.
namespace sample_picture {

using namespace realesrgan;

template <typename Sample>
struct Picture {
    int width;
    int height;
    std::vector<Sample> samples;

    Picture(int w, int h) : width(w), height(h), samples(static_cast<std::size_t>(w * h * 3)) {}

    static constexpr SampleType type() {
        return sizeof(Sample) == 1   ? SampleType::u8
               : sizeof(Sample) == 2 ? SampleType::u16
                                     : SampleType::f32;
    }
    ImageView source() const {
        return packed_view(reinterpret_cast<const std::byte*>(samples.data()), type(), width,
                           height, 3);
    }
    MutableImageView target() {
        return packed_view(reinterpret_cast<std::byte*>(samples.data()), type(), width, height, 3);
    }
};

template <typename Sample>
Picture<Sample> noise(int width, int height, unsigned seed) {
    Picture<Sample> picture(width, height);
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(0.0F, 1.0F);
    const float full =
        std::is_integral_v<Sample> ? static_cast<float>(std::numeric_limits<Sample>::max()) : 1.0F;
    for (Sample& sample : picture.samples) sample = static_cast<Sample>(uniform(random) * full);
    return picture;
}

template <typename Sample>
double difference(const Picture<Sample>& a, const Picture<Sample>& b) {
    double most = 0.0;
    for (std::size_t i = 0; i < a.samples.size(); ++i) {
        most = std::max(most, std::abs(double(a.samples[i]) - double(b.samples[i])));
    }
    return most;
}

}  // namespace sample_picture
