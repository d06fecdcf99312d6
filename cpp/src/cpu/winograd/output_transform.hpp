#pragma once

#include "cpu/winograd/gemm.hpp"
#include "cpu/winograd/transforms.hpp"

namespace realesrgan::winograd::KERNEL_ISA {

// The epilogue for N channels of one group, its constants held in registers. General: whatever
// Epilogue has; otherwise slopes and a sum of skips.
template <int N, int Skips, bool General>
struct Finish {
    Vec<N> bias;
    Vec<N> slope;
    Vec<N> scale;
    Vec<N> weight[Skips > 0 ? Skips : 1];
    Vec<N> used;  // 1 in the lanes that hold a channel, otherwise 0
    Curve curve = Curve::slopes;
    bool product = false;
    bool gate = false;
    float gate_offset = 0.0f;
    float shift = 0.0f;

    REALESRGAN_INLINE Finish(const Task& task, int channel) {
        bias = load<N>(task.bias + channel);
        slope = load<N>(task.slopes + channel);
        scale = splat<N>(task.epilogue.scale);
        for (int s = 0; s < Skips; ++s) weight[s] = splat<N>(task.epilogue.skips[s].weight);
        if (!General) return;
        float lanes[N];
        for (int i = 0; i < N; ++i) lanes[i] = channel + i < task.out_channels ? 1.0f : 0.0f;
        used = load<N>(lanes);
        curve = task.epilogue.curve;
        product = task.epilogue.product;
        shift = task.epilogue.shift;
        gate = task.epilogue.gate;
        gate_offset = task.epilogue.gate_offset;
    }

    REALESRGAN_INLINE Vec<N> operator()(Vec<N> value, const float* const* skips, int offset) const {
        value += bias;
        value = General ? curved(value) : sloped(value);
        const Vec<N> before = value;
        if (General && Skips > 0 && product) value = value * load<N>(skips[0] + offset);
        value = value * scale;
        for (int s = 0; s < Skips; ++s) {
            if (General && product && s == 0) continue;
            value += load<N>(skips[s] + offset) * weight[s];
        }
        if (!General) return value;
        value += splat<N>(shift);
        if (gate) value = value * (sigmoid<N>(before) + splat<N>(gate_offset));
        return value * used;
    }

    REALESRGAN_INLINE Vec<N> sloped(Vec<N> value) const {
        const Vec<N> positive = positive_part<N>(value);
        return positive + (value - positive) * slope;
    }

    REALESRGAN_INLINE Vec<N> curved(Vec<N> value) const {
        switch (curve) {
            case Curve::silu:
                return value * sigmoid<N>(value);
            case Curve::mish:
                return mish<N>(value);
            case Curve::gelu:
                return gelu<N>(value);
            case Curve::sigmoid:
                return sigmoid<N>(value);
            case Curve::slopes:
                break;
        }
        return sloped(value);
    }
};

// Where one output row and its skips begin, for a channel group and a pixel.
template <int Skips>
struct OutputRow {
    float* output;
    const float* skips[Skips > 0 ? Skips : 1];

    REALESRGAN_INLINE OutputRow(const Task& task, int y, int x, int group) {
        const GroupLayout& layout = task.output.layout;
        output = task.output.rows[y] + layout.offset(group) + x * layout.pixel;
        for (int s = 0; s < Skips; ++s) {
            const RowsView& view = task.epilogue.skips[s].rows;
            skips[s] = view.rows[y] + view.layout.offset(group) + x * kGroup;
        }
    }
};

// Prefetches the next channel group's part of the row, too short for the processor to predict.
template <int Skips>
REALESRGAN_INLINE void prefetch_next_group(const Task& task, const OutputRow<Skips>& row) {
    constexpr int line = 16;
    for (int x = 0; x < kTile * kGroup; x += line) {
        // Of ncnn's layout every second group has just been loaded.
        if (task.output.layout.pixel == kGroup) {
            REALESRGAN_PREFETCH(row.output + task.output.layout.group_stride + x);
        }
        for (int s = 0; s < Skips; ++s) {
            REALESRGAN_PREFETCH(row.skips[s] + task.epilogue.skips[s].rows.layout.group_stride + x);
        }
    }
}

template <int N>
REALESRGAN_INLINE void transform_products(const float* products, std::size_t plane,
                                          Vec<N> (&y)[kTile][kTile]) {
    Vec<N> half[kTile][kPatch];  // [output column][point row]
    REALESRGAN_UNROLL
    for (int i = 0; i < kPatch; ++i) {
        Vec<N> r[kPatch];
        Vec<N> o[kTile];
        REALESRGAN_UNROLL
        for (int j = 0; j < kPatch; ++j) r[j] = load<N>(products + (i * kPatch + j) * plane);
        transform_product(r, o);
        REALESRGAN_UNROLL
        for (int x = 0; x < kTile; ++x) half[x][i] = o[x];
    }
    REALESRGAN_UNROLL
    for (int x = 0; x < kTile; ++x) transform_product(half[x], y[x]);
}

template <int N, int Skips, bool General>
REALESRGAN_INLINE void output_tile(const Task& task, const Finish<N, Skips, General>& finish,
                                   int tile_row, int tile_column, int channel,
                                   const float* products, std::size_t plane) {
    Vec<N> y[kTile][kTile];  // [column][row]
    transform_products<N>(products, plane, y);
    const int top = tile_row * kTile;
    const int left = tile_column * kTile;
    const int rows = least(kTile, task.height - top);
    const int columns = least(kTile, task.width - left);
    const int lane = channel % kGroup;
    if (General) {  // long code, once instead of for each pixel
        for (int i = 0; i < rows; ++i) {
            const OutputRow<Skips> row(task, top + i, left, channel / kGroup);
            for (int x = 0; x < columns; ++x) {
                store<N>(row.output + x * task.output.layout.pixel + lane,
                         finish(y[x][i], row.skips, x * kGroup + lane));
            }
        }
        return;
    }
    REALESRGAN_UNROLL
    for (int i = 0; i < kTile; ++i) {
        if (i >= rows) break;
        const OutputRow<Skips> row(task, top + i, left, channel / kGroup);
        if (lane == 0 && channel + kGroup < task.out_groups * kGroup)
            prefetch_next_group(task, row);
        REALESRGAN_UNROLL
        for (int x = 0; x < kTile; ++x) {
            if (x >= columns) break;
            store<N>(row.output + x * task.output.layout.pixel + lane,
                     finish(y[x][i], row.skips, x * kGroup + lane));
        }
    }
}

template <int Skips, bool General>
void transform_output(const Task& task, const Block& block, const float* products) {
    constexpr int width = least(kLanes, kGroup);
    const std::size_t plane = product_plane(task, (block.count() + kTiles - 1) / kTiles);
    const int channels = task.out_groups * kGroup;
    for (int channel = 0; channel < channels; channel += width) {
        const Finish<width, Skips, General> finish(task, channel);
        const float* product = products + channel;
        for (int row = 0; row < block.rows; ++row) {
            for (int column = 0; column < block.columns; ++column, product += channels) {
                output_tile<width, Skips, General>(task, finish, block.row + row,
                                                   block.column + column, channel, product, plane);
            }
        }
    }
}

template <bool General>
void transform_output(const Task& task, const Block& block, const float* products) {
    switch (task.epilogue.skip_count) {
        case 0:
            return transform_output<0, General>(task, block, products);
        case 1:
            return transform_output<1, General>(task, block, products);
        default:
            return transform_output<2, General>(task, block, products);
    }
}

void transform_output(const Task& task, const Block& block, const float* products) {
    if (task.epilogue.general()) return transform_output<true>(task, block, products);
    transform_output<false>(task, block, products);
}

}  // namespace realesrgan::winograd::KERNEL_ISA
