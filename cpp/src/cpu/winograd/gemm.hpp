#pragma once

#include "cpu/winograd/kernel.hpp"
#include "cpu/winograd/simd.hpp"
#include "cpu/winograd/transforms.hpp"

// Data, per point, as [group of kTiles tiles][channel group][tile][kGroup]; weights, per point, as
// [panel][in channel][channel of the panel] and a skew; products, per point, as [tile][out
// channel]. In each loop the microkernel walks both operands without a gap, and neither is ever
// transposed.
namespace realesrgan::winograd::KERNEL_ISA {

inline constexpr std::size_t kPrefetchAhead = 512;  // floats of weights, two kilobytes
// A block's last group is computed in thirds: small pictures have few groups, and on average half
// of a last one is padding.
inline constexpr int kTailStep = kTiles / 3;

struct Operand {
    const float* data;
    std::size_t data_step;  // floats from one channel group to the next
    const float* weights;
    float* products;
    std::size_t product_step;  // floats from one tile to the next
};

// Tiles x (Registers * Width) products summed over the input channels, held in registers
// throughout.
template <int Tiles, int Width, int Registers, bool Accumulate>
REALESRGAN_INLINE void multiply_tiles(const Operand& op, int in_channels) {
    Vec<Width> sum[Tiles][Registers];
    REALESRGAN_UNROLL
    for (int t = 0; t < Tiles; ++t) {
        REALESRGAN_UNROLL
        for (int r = 0; r < Registers; ++r) {
            const float* product = op.products + static_cast<std::size_t>(t) * op.product_step;
            sum[t][r] = Accumulate ? load<Width>(product + r * Width) : splat<Width>(0.0f);
        }
    }
    const float* weights = op.weights;
    const float* data = op.data;
    const auto channel = [&](int k) REALESRGAN_LAMBDA_INLINE {
        Vec<Width> weight[Registers];
        REALESRGAN_UNROLL
        for (int r = 0; r < Registers; ++r) weight[r] = load<Width>(weights + r * Width);
        REALESRGAN_PREFETCH(weights + kPrefetchAhead);
        weights += Registers * Width;
        REALESRGAN_UNROLL
        for (int t = 0; t < Tiles; ++t) {
            const Vec<Width> value = splat<Width>(data[t * kGroup + k]);
            REALESRGAN_UNROLL
            for (int r = 0; r < Registers; ++r) sum[t][r] += weight[r] * value;
        }
    };
    for (int left = in_channels; left >= kGroup; left -= kGroup, data += op.data_step) {
        REALESRGAN_UNROLL_BY_4
        for (int k = 0; k < kGroup; ++k) channel(k);
    }
    for (int k = 0; k < in_channels % kGroup; ++k) channel(k);
    REALESRGAN_UNROLL
    for (int t = 0; t < Tiles; ++t) {
        REALESRGAN_UNROLL
        for (int r = 0; r < Registers; ++r) {
            float* product = op.products + static_cast<std::size_t>(t) * op.product_step;
            store<Width>(product + r * Width, sum[t][r]);
        }
    }
}

template <int Panel, bool Accumulate>
void multiply_panel(const Operand& op, int tiles, int in_channels) {
    constexpr int width = least(Panel, kLanes);
    constexpr int registers = Panel / width;
    if (tiles > 2 * kTailStep) {
        multiply_tiles<kTiles, width, registers, Accumulate>(op, in_channels);
    } else if (tiles > kTailStep) {
        multiply_tiles<2 * kTailStep, width, registers, Accumulate>(op, in_channels);
    } else {
        multiply_tiles<kTailStep, width, registers, Accumulate>(op, in_channels);
    }
}

// `tiles`: how many of the group's are wanted; those beyond them may be computed or not.
template <bool Accumulate>
REALESRGAN_INLINE void multiply_panel(int width, const Operand& op, int tiles, int in_channels) {
    if (width == kPanel) {
        multiply_panel<kPanel, Accumulate>(op, tiles, in_channels);
    } else if (kPanel > 16 && width == 16) {
        multiply_panel<16, Accumulate>(op, tiles, in_channels);
    } else {
        multiply_panel<kGroup, Accumulate>(op, tiles, in_channels);
    }
}

REALESRGAN_INLINE std::size_t data_plane(const Task& task, int groups) {
    const int channels = groups_of(task.in_channels) * kGroup;
    return static_cast<std::size_t>(groups) * kTiles * channels + kSkew;
}

REALESRGAN_INLINE std::size_t product_plane(const Task& task, int groups) {
    return static_cast<std::size_t>(groups) * kTiles * task.out_groups * kGroup + kSkew;
}

// A point's products overwrite the data of points before it, so each must be done before the next.
void multiply(const Task& task, const Block& block, const float* data, float* products) {
    const int groups = (block.count() + kTiles - 1) / kTiles;
    const int out_channels = task.out_groups * kGroup;
    const std::size_t group_size =
        static_cast<std::size_t>(kTiles) * groups_of(task.in_channels) * kGroup;
    Operand op{};
    op.data_step = kTiles * kGroup;
    op.weights = task.weights;
    op.product_step = out_channels;
    for (int point = 0; point < kPoints; ++point) {
        for (int start = 0; start < out_channels;) {
            const int width = panel_width(kPanel, out_channels, start);
            for (int group = 0; group < groups; ++group) {
                op.data = data + group * group_size;
                op.products = products + group * (kTiles * op.product_step) + start;
                multiply_panel<false>(width, op, block.count() - group * kTiles, task.in_channels);
            }
            op.weights += static_cast<std::size_t>(width) * task.in_channels;
            start += width;
        }
        op.weights += kSkew;
        data += data_plane(task, groups);
        products += product_plane(task, groups);
    }
}

}  // namespace realesrgan::winograd::KERNEL_ISA
