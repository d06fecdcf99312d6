#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "image/image_view.hpp"
#include "realesrgan/upscaler.hpp"
#include "support/random_network.hpp"
#include "support/temporary_folder.hpp"

// Float pictures and small networks for tests of the row stream on the CPU.
namespace stream_fixture {

using namespace realesrgan;

using Files = std::pair<std::string, std::string>;

struct Picture {
    int width;
    int height;
    std::vector<float> samples;

    Picture(int w, int h)
        : width(w),
          height(h),
          samples(static_cast<std::size_t>(w) * static_cast<std::size_t>(h) * 3) {}

    MutableImageView view() {
        return packed_view(reinterpret_cast<std::byte*>(samples.data()), SampleType::f32, width,
                           height, 3);
    }
    ImageView as_const() const {
        return packed_view(reinterpret_cast<const std::byte*>(samples.data()), SampleType::f32,
                           width, height, 3);
    }
};

inline Picture noise(int width, int height, unsigned seed) {
    Picture picture(width, height);
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(0.0F, 1.0F);
    for (float& sample : picture.samples) sample = uniform(random);
    return picture;
}

inline float difference(const Picture& a, const Picture& b) {
    float most = 0.0F;
    for (std::size_t i = 0; i < a.samples.size(); ++i) {
        most = std::max(most, std::abs(a.samples[i] - b.samples[i]));
    }
    return most;
}

inline Options options(int band, int tile = kTileAuto) {
    Options made;
    made.band = band;
    made.tile = tile;
    made.threads = 2;
    return made;
}

inline Picture run(const Upscaler& upscaler, Picture& picture) {
    const int scale = upscaler.network().scale;
    Picture result(picture.width * scale, picture.height * scale);
    upscaler.run(picture.as_const(), result.view());
    return result;
}

inline Picture run(const Files& files, const Options& made, Picture& picture) {
    return run(Upscaler(files.first, files.second, made), picture);
}

// x4plus and animevideov3 with fewer layers.
inline Files rrdbnet(const TemporaryFolder& folder) {
    NetworkBuilder builder(1);
    RrdbConfig config;
    config.enlarge = {2, 2};
    builder.rrdbnet(config);
    return builder.save(folder.file("rrdbnet"));
}

inline Files compact(const TemporaryFolder& folder) {
    NetworkBuilder builder(2);
    builder.compact(CompactConfig());
    return builder.save(folder.file("compact"));
}

}  // namespace stream_fixture
