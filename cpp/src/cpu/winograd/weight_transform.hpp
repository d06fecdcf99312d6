#pragma once

#include "cpu/winograd/kernel.hpp"
#include "cpu/winograd/simd.hpp"
#include "cpu/winograd/transforms.hpp"

namespace realesrgan::winograd::KERNEL_ISA {

template <int N, class Value>
REALESRGAN_INLINE void transform_taps(const Value* taps, int tap_step, float* transformed,
                                      std::size_t plane) {
    Vec<N> rows[3][kPatch];  // [tap column][point row]
    REALESRGAN_UNROLL
    for (int x = 0; x < 3; ++x) {
        Vec<N> g[3];
        REALESRGAN_UNROLL
        for (int y = 0; y < 3; ++y) g[y] = load<N>(taps + (y * 3 + x) * tap_step);
        transform_weights(g, rows[x]);
    }
    REALESRGAN_UNROLL
    for (int i = 0; i < kPatch; ++i) {
        const Vec<N> g[3] = {rows[0][i], rows[1][i], rows[2][i]};
        Vec<N> u[kPatch];
        transform_weights(g, u);
        REALESRGAN_UNROLL
        for (int j = 0; j < kPatch; ++j) store<N>(transformed + (i * kPatch + j) * plane, u[j]);
    }
}

// Calls place(values, first result, width) for each vector of taps of the input channels [begin,
// end).
template <class Value, class Place>
REALESRGAN_INLINE void for_each_tap_vector(const PackedTaps<Value>& taps, int begin, int end,
                                           float* result, const Place& place) {
    constexpr int lanes = least(kLanes, kGroup);
    const int out_channels = taps.out_groups * kGroup;
    for (int start = 0, width = 0; start < out_channels; start += width) {
        width = panel_width(kPanel, out_channels, start);
        const std::size_t panel = static_cast<std::size_t>(start) * taps.in_channels;
        for (int channel = begin; channel < end; ++channel) {
            const std::size_t offset = panel + static_cast<std::size_t>(channel) * width;
            for (int lane = 0; lane < width; lane += lanes) {
                place(taps.values + offset * taps.taps + lane, result + offset + lane, width);
            }
        }
    }
}

template <class Value>
std::size_t weight_plane(const PackedTaps<Value>& taps) {
    return static_cast<std::size_t>(taps.in_channels) * taps.out_groups * kGroup;
}

template <class Value>
void transform_weights(const PackedTaps<Value>& taps, int begin, int end, float* transformed) {
    // The packed form writes all planes at once, again and again: without the skew into one cache
    // set.
    const std::size_t plane = weight_plane(taps) + kSkew;
    for_each_tap_vector(taps, begin, end, transformed,
                        [&](const Value* values, float* result, int width) {
                            transform_taps<least(kLanes, kGroup)>(values, width, result, plane);
                        });
}

template <class Value>
void separate_taps(const PackedTaps<Value>& taps, int begin, int end, float* separate) {
    constexpr int lanes = least(kLanes, kGroup);
    const std::size_t plane = weight_plane(taps);
    for_each_tap_vector(
        taps, begin, end, separate, [&](const Value* values, float* result, int width) {
            for (int tap = 0; tap < taps.taps; ++tap)
                store<lanes>(result + tap * plane, load<lanes>(values + tap * width));
        });
}

}  // namespace realesrgan::winograd::KERNEL_ISA
