#pragma once

#include <cstddef>
#include <random>
#include <vector>

#include "image/image_view.hpp"
#include "realesrgan/image.hpp"

// A picture of floats with its own memory: height x width x channels.
struct Picture {
    int width;
    int height;
    int channels;
    std::vector<float> samples;

    Picture(int w, int h, int c = 3)
        : width(w),
          height(h),
          channels(c),
          samples(static_cast<std::size_t>(w) * static_cast<std::size_t>(h) *
                  static_cast<std::size_t>(c)) {}

    // Values away from 0 and 1, so that nothing a small network does to them is clamped.
    static Picture random(int w, int h, unsigned seed = 7, int c = 3) {
        Picture picture(w, h, c);
        std::mt19937 generator(seed);
        std::uniform_real_distribution<float> value(0.3F, 0.7F);
        for (float& sample : picture.samples) {
            sample = value(generator);
        }
        return picture;
    }

    float& at(int x, int y, int c) {
        return samples[(static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                        static_cast<std::size_t>(x)) *
                           static_cast<std::size_t>(channels) +
                       static_cast<std::size_t>(c)];
    }

    realesrgan::ImageView view() const {
        return realesrgan::packed_view(reinterpret_cast<const std::byte*>(samples.data()),
                                       realesrgan::SampleType::f32, width, height, channels);
    }

    realesrgan::MutableImageView writable() {
        return realesrgan::packed_view(reinterpret_cast<std::byte*>(samples.data()),
                                       realesrgan::SampleType::f32, width, height, channels);
    }
};

inline float largest_difference(const Picture& a, const Picture& b) {
    float largest = 0.0F;
    for (std::size_t i = 0; i < a.samples.size(); ++i) {
        const float difference = a.samples[i] - b.samples[i];
        largest = difference > largest ? difference : -difference > largest ? -difference : largest;
    }
    return largest;
}
