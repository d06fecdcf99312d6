#include "cpu/pixels.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "base/integers.hpp"
#include "base/thread_pool.hpp"
#include "image/image_view.hpp"
#include "image/sample_conversion.hpp"

namespace realesrgan::cpu {

namespace {

template <typename Sample>
void load(const Program& program, const std::byte* packed, const LineBuffer& ring, int first,
          int count, int threads) {
    const int r = program.unshuffle;
    const int channels = program.picture_channels;
    const int width = ring.layout().width;
    const auto* samples = reinterpret_cast<const Sample*>(packed);
    const std::ptrdiff_t row_samples = static_cast<std::ptrdiff_t>(width) * r * channels;
    ThreadPool::shared().run(count, threads, [&](int i, int) {
        for (int c = 0; c < channels * r * r; ++c) {
            const int dy = c / r % r;
            const Sample* from = samples + (static_cast<std::ptrdiff_t>(i) * r + dy) * row_samples +
                                 static_cast<std::ptrdiff_t>(c % r) * channels + c / (r * r);
            float* to = ring.channel_row(program.input.channel + c, first + i);
            for (int x = 0; x < width; ++x) {
                to[x * kGroup] =
                    static_cast<float>(from[static_cast<std::ptrdiff_t>(x) * r * channels]) /
                    kWhite<Sample>;
            }
            if (program.input_transform.empty()) continue;
            const InputTransform& transform = program.input_transform[idx(c / (r * r))];
            for (int x = 0; x < width; ++x) {
                to[x * kGroup] = to[x * kGroup] * transform.scale + transform.shift;
            }
        }
    });
}

// Stores the channels of one group of a row; returns how many samples are not finite.
template <typename Sample>
std::uint64_t store_group(const float* from, int width, int count, bool clamp, Sample* to,
                          int channels) {
    std::uint64_t bad = 0;
    for (int x = 0; x < width; ++x, from += kGroup, to += channels) {
        for (int c = 0; c < count; ++c) {
            bad += std::abs(from[c]) <= std::numeric_limits<float>::max() ? 0 : 1;
            to[c] = to_sample<Sample>(from[c], clamp);
        }
    }
    return bad;
}

template <typename Sample>
std::uint64_t store(const Program& program, bool clamp, const LineBuffer& ring, int first,
                    int count, std::byte* packed, int threads) {
    const int channels = program.output.channels;
    const int width = ring.layout().width;
    auto* samples = reinterpret_cast<Sample*>(packed);
    std::atomic<std::uint64_t> bad{0};
    ThreadPool::shared().run(count, threads, [&](int i, int) {
        Sample* row = samples + static_cast<std::ptrdiff_t>(i) * width * channels;
        std::uint64_t row_bad = 0;
        for (int c = 0, part = 0; c < channels; c += part) {
            const int channel = program.output.channel + c;
            part = std::min(channels - c, kGroup - channel % kGroup);
            row_bad += store_group(ring.channel_row(channel, first + i), width, part, clamp,
                                   row + c, channels);
        }
        bad += row_bad;
    });
    return bad;
}

}  // namespace

void load_rows(const Program& program, SampleType type, const std::byte* packed,
               const LineBuffer& ring, int first, int count, int threads) {
    visit_sample_type(type, [&](auto zero) {
        load<decltype(zero)>(program, packed, ring, first, count, threads);
    });
}

std::uint64_t store_rows(const Program& program, const SessionFormat& format,
                         const LineBuffer& ring, int first, int count, std::byte* packed,
                         int threads) {
    return visit_sample_type(format.output, [&](auto zero) {
        return store<decltype(zero)>(program, format.clamp, ring, first, count, packed, threads);
    });
}

}  // namespace realesrgan::cpu
