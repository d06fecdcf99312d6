#pragma once

#include "cpu/winograd/gemm.hpp"
#include "cpu/winograd/transforms.hpp"

namespace realesrgan::winograd::KERNEL_ISA {

// Tiles side by side that are transformed together: neighbours share two of their columns, so
// the vertical transform is done once per column, in a buffer that stays in the first-level cache.
inline constexpr int kRun = 8;
inline constexpr int kRunColumns = kRun * kTile + 2;

alignas(64) inline constexpr float kZeroRow[kRunColumns * kMostPixel] = {};

struct PatchRows {
    const float* row[kPatch];  // null: zeros
};

REALESRGAN_INLINE PatchRows patch_rows(const Task& task, int tile_row) {
    PatchRows patch{};
    for (int i = 0; i < kPatch; ++i) {
        const int y = tile_row * kTile + i;
        patch.row[i] = y < task.height + 2 ? task.input.rows[y] : nullptr;
    }
    return patch;
}

// Source columns [first, first + count) of a run, of which [begin, end) lie inside the picture.
struct RunColumns {
    int count;
    int begin;
    int end;
};

REALESRGAN_INLINE RunColumns run_columns(const Task& task, int tile_column, int tiles) {
    const int shift = task.upsample ? 1 : 0;
    const int first = ((tile_column * kTile) >> shift) - 1;
    const int count = ((tiles * kTile) >> shift) + 2;
    const int width = task.width >> shift;
    RunColumns columns{count, first < 0 ? -first : 0,
                       width - first < count ? width - first : count};
    return columns;
}

REALESRGAN_INLINE void zero_columns(float* columns, int begin, int end) {
    for (int i = 0; i < kPatch; ++i) {
        for (int x = begin * kGroup; x < end * kGroup; ++x) {
            columns[i * (kRunColumns * kGroup) + x] = 0.0f;
        }
    }
}

// `from`, `to`: where the column lies in the source's rows and in `columns`.
template <int N>
REALESRGAN_INLINE void transform_column(const float* const (&source)[kPatch], int from, int to,
                                        float* columns) {
    Vec<N> d[kPatch];
    Vec<N> r[kPatch];
    REALESRGAN_UNROLL
    for (int i = 0; i < kPatch; ++i) d[i] = load<N>(source[i] + from);
    transform_data(d, r);
    REALESRGAN_UNROLL
    for (int i = 0; i < kPatch; ++i) {
        store<N>(columns + i * (kRunColumns * kGroup) + to, r[i]);
    }
}

// `columns`: [kPatch][kRunColumns][kGroup], filled for the whole run, zeros outside the picture.
// `pixel`: floats from one pixel of the picture to the next.
REALESRGAN_INLINE void transform_columns(const PatchRows& patch, std::ptrdiff_t origin, int pixel,
                                         const RunColumns& run, float* columns) {
    const float* source[kPatch];
    for (int i = 0; i < kPatch; ++i) {
        // The buffer's column `begin` is the picture's `origin`; zeros may be read from anywhere.
        source[i] = patch.row[i] != nullptr ? patch.row[i] + origin - run.begin * pixel : kZeroRow;
    }
    zero_columns(columns, 0, run.begin);
    zero_columns(columns, run.end, run.count);
    const int end = run.end * kGroup;
    int offset = run.begin * kGroup;
    if (pixel != kGroup) {
        constexpr int width = least(kLanes, kGroup);
        for (int x = run.begin; x < run.end; ++x) {
            for (int lane = 0; lane < kGroup; lane += width) {
                transform_column<width>(source, x * pixel + lane, x * kGroup + lane, columns);
            }
        }
        return;
    }
    for (; offset + kLanes <= end; offset += kLanes) {
        transform_column<kLanes>(source, offset, offset, columns);
    }
    if (kLanes > kGroup && offset < end)
        transform_column<least(kLanes, kGroup)>(source, offset, offset, columns);
}

template <bool Upsample>
REALESRGAN_INLINE void transform_tile(const float* columns, int tile, float* data,
                                      std::size_t plane) {
    constexpr int width = least(kLanes, kGroup);
    constexpr int per_tile = Upsample ? kTile / 2 : kTile;
    for (int i = 0; i < kPatch; ++i) {
        for (int lane = 0; lane < kGroup; lane += width) {
            const float* first = columns + (i * kRunColumns + tile * per_tile) * kGroup + lane;
            Vec<width> d[kPatch];
            Vec<width> r[kPatch];
            REALESRGAN_UNROLL
            for (int j = 0; j < kPatch; ++j) {
                d[j] = load<width>(first + (Upsample ? (j + 1) / 2 : j) * kGroup);
            }
            transform_data(d, r);
            REALESRGAN_UNROLL
            for (int j = 0; j < kPatch; ++j)
                store<width>(data + (i * kPatch + j) * plane + lane, r[j]);
        }
    }
}

// Prefetches the next channel group's rows, which are too short for the processor to predict.
REALESRGAN_INLINE void prefetch_rows(const PatchRows& patch, std::ptrdiff_t origin, int columns,
                                     int from) {
    for (int i = from; i < kPatch; ++i) {
        if (patch.row[i] == nullptr) continue;
        for (int x = 0; x < columns * kGroup; x += 16)
            REALESRGAN_PREFETCH(patch.row[i] + origin + x);
    }
}

void transform_input(const Task& task, const Block& block, float* data) {
    alignas(64) float columns[kPatch * kRunColumns * kGroup];
    const std::size_t plane = data_plane(task, (block.count() + kTiles - 1) / kTiles);
    const int channel_groups = groups_of(task.in_channels);
    const std::size_t group_size = static_cast<std::size_t>(channel_groups) * kTiles * kGroup;
    for (int group = 0; group < channel_groups; ++group) {
        for (int row = 0; row < block.rows; ++row) {
            const PatchRows patch = patch_rows(task, block.row + row);
            for (int column = 0; column < block.columns; column += kRun) {
                const int tiles = least(kRun, block.columns - column);
                const RunColumns run = run_columns(task, block.column + column, tiles);
                const int x =
                    ((block.column + column) * kTile) / (task.upsample ? 2 : 1) - 1 + run.begin;
                const GroupLayout& layout = task.input.layout;
                const std::ptrdiff_t origin = layout.offset(group) + x * layout.pixel;
                transform_columns(patch, origin, layout.pixel, run, columns);
                if (group + 1 < channel_groups) {
                    const std::ptrdiff_t step = layout.offset(group + 1) - layout.offset(group);
                    prefetch_rows(patch, origin + step, run.end - run.begin, row == 0 ? 0 : 2);
                }
                for (int t = 0; t < tiles; ++t) {
                    const int tile = row * block.columns + column + t;
                    float* destination = data + (tile / kTiles) * group_size +
                                         (group * kTiles + tile % kTiles) * kGroup;
                    if (task.upsample) {
                        transform_tile<true>(columns, t, destination, plane);
                    } else {
                        transform_tile<false>(columns, t, destination, plane);
                    }
                }
            }
        }
    }
}

}  // namespace realesrgan::winograd::KERNEL_ISA
