#pragma once

#include "cpu/winograd/gemm.hpp"
#include "cpu/winograd/output_transform.hpp"

// The convolution as a small product for each tap: for kernels of another side than 3, and for
// bands of one row, where all but one of a tile's rows would be thrown away. A block is a run of
// pixels in one row. Data: [kernel rows][channel group][pixel][kGroup], kernel / 2 pixels more on
// each side; products: [pixel][out channel]; weights: [tap], then as in gemm.hpp, or of a depthwise
// convolution [channel group][tap][kGroup].
namespace realesrgan::winograd::KERNEL_ISA {

REALESRGAN_INLINE int gathered_pixels(const Block& block, int kernel) {
    return (block.columns + kTiles - 1) / kTiles * kTiles + kernel - 1;
}

REALESRGAN_INLINE void copy_pixel(const float* source, float* destination) {
    constexpr int width = least(kLanes, kGroup);
    for (int lane = 0; lane < kGroup; lane += width) {
        store<width>(destination + lane,
                     source != nullptr ? load<width>(source + lane) : splat<width>(0.0f));
    }
}

void gather_input(const Task& task, const Block& block, float* data) {
    const int shift = task.upsample ? 1 : 0;
    const GroupLayout& layout = task.input.layout;
    for (int tap_row = 0; tap_row < task.kernel; ++tap_row) {
        const float* row = task.input.rows[block.row + tap_row];
        for (int group = 0; group < groups_of(task.in_channels); ++group) {
            for (int i = 0; i < gathered_pixels(block, task.kernel); ++i, data += kGroup) {
                const int x = block.column + i - task.kernel / 2;
                const bool inside = row != nullptr && x >= 0 && x < task.width;
                copy_pixel(
                    inside ? row + layout.offset(group) + (x >> shift) * layout.pixel : nullptr,
                    data);
            }
        }
    }
}

void multiply_taps(const Task& task, const Block& block, const float* data, float* products) {
    const int out_channels = task.out_groups * kGroup;
    const std::size_t tap_size = static_cast<std::size_t>(task.in_channels) * out_channels;
    Operand op{};
    op.data_step = static_cast<std::size_t>(gathered_pixels(block, task.kernel)) * kGroup;
    op.product_step = out_channels;
    for (int start = 0, width = 0; start < out_channels; start += width) {
        width = panel_width(kPanel, out_channels, start);
        for (int tap = 0; tap < task.kernel * task.kernel; ++tap) {
            op.weights =
                task.weights + tap * tap_size + static_cast<std::size_t>(start) * task.in_channels;
            const float* row =
                data + (tap / task.kernel) * groups_of(task.in_channels) * op.data_step;
            for (int pixel = 0; pixel < block.columns; pixel += kTiles) {
                op.data = row + (pixel + tap % task.kernel) * kGroup;
                op.products = products + pixel * op.product_step + start;
                if (tap == 0) {
                    multiply_panel<false>(width, op, block.columns - pixel, task.in_channels);
                } else {
                    multiply_panel<true>(width, op, block.columns - pixel, task.in_channels);
                }
            }
        }
    }
}

void multiply_depthwise(const Task& task, const Block& block, const float* data, float* products) {
    constexpr int width = least(kLanes, kGroup);
    const std::size_t out_channels = static_cast<std::size_t>(task.out_groups) * kGroup;
    const std::size_t step = static_cast<std::size_t>(gathered_pixels(block, task.kernel)) * kGroup;
    const int taps = task.kernel * task.kernel;
    for (int channel = 0; channel < task.out_groups * kGroup; channel += width) {
        const int group = channel / kGroup;
        const float* weights =
            task.weights + static_cast<std::size_t>(group) * taps * kGroup + channel % kGroup;
        for (int pixel = 0; pixel < block.columns; pixel += kTiles) {
            Vec<width> sum[kTiles];
            REALESRGAN_UNROLL
            for (int t = 0; t < kTiles; ++t) sum[t] = splat<width>(0.0f);
            for (int tap = 0; tap < taps; ++tap) {
                const Vec<width> weight = load<width>(weights + tap * kGroup);
                const float* row = data + ((tap / task.kernel) * task.out_groups + group) * step +
                                   (pixel + tap % task.kernel) * kGroup + channel % kGroup;
                REALESRGAN_UNROLL
                for (int t = 0; t < kTiles; ++t) sum[t] += load<width>(row + t * kGroup) * weight;
            }
            float* product = products + static_cast<std::size_t>(pixel) * out_channels + channel;
            REALESRGAN_UNROLL
            for (int t = 0; t < kTiles; ++t) store<width>(product + t * out_channels, sum[t]);
        }
    }
}

template <int Skips, bool General>
void store_output(const Task& task, const Block& block, const float* products) {
    constexpr int width = least(kLanes, kGroup);
    const int channels = task.out_groups * kGroup;
    for (int channel = 0; channel < channels; channel += width) {
        const Finish<width, Skips, General> finish(task, channel);
        const OutputRow<Skips> row(task, block.row, block.column, channel / kGroup);
        for (int x = 0; x < block.columns; ++x) {
            const int lane = channel % kGroup;
            const Vec<width> value =
                load<width>(products + static_cast<std::size_t>(x) * channels + channel);
            store<width>(row.output + x * task.output.layout.pixel + lane,
                         finish(value, row.skips, x * kGroup + lane));
        }
    }
}

template <bool General>
void store_output(const Task& task, const Block& block, const float* products) {
    switch (task.epilogue.skip_count) {
        case 0:
            return store_output<0, General>(task, block, products);
        case 1:
            return store_output<1, General>(task, block, products);
        default:
            return store_output<2, General>(task, block, products);
    }
}

void store_output(const Task& task, const Block& block, const float* products) {
    if (task.epilogue.general()) return store_output<true>(task, block, products);
    store_output<false>(task, block, products);
}

}  // namespace realesrgan::winograd::KERNEL_ISA
