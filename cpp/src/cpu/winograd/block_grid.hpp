#pragma once

#include <algorithm>
#include <cstddef>

#include "base/integers.hpp"
#include "cpu/winograd/instruction_set.hpp"
#include "cpu/winograd/kernel.hpp"

namespace realesrgan::winograd {

// A band's output cut into blocks, column after column: up to four rows of tiles tall, so that the
// patches of a block overlap inside a cache, and as wide as `capacity` allows.
class BlockGrid {
  public:
    // In tiles (or pixels, for the direct form).
    BlockGrid(int columns, int rows, int capacity, int max_block_rows)
        : columns_(columns), rows_(rows), down_(ceil_div(rows, max_block_rows)) {
        block_rows_ = ceil_div(rows, down_);
        block_columns_ = std::max(1, capacity / block_rows_);
        across_ = ceil_div(columns, block_columns_);
    }

    int count() const { return across_ * down_; }

    Block operator[](int item) const {
        Block block;
        block.row = item % down_ * block_rows_;
        block.column = item / down_ * block_columns_;
        block.rows = std::min(block_rows_, rows_ - block.row);
        block.columns = std::min(block_columns_, columns_ - block.column);
        return block;
    }

  private:
    int columns_;
    int rows_;
    int down_;
    int across_ = 0;
    int block_rows_ = 0;
    int block_columns_ = 0;
};

// Tiles in a block, a multiple of the kernel's: as many as keep the data and products, which take
// turns in the same memory, in half of the second-level cache (weights, input and output stream
// through the rest), fewer when there would not be several blocks for each thread.
inline int tiles_per_block(const Kernel& kernel, int channels, int tiles, int threads) {
    const std::size_t bytes_per_tile = static_cast<std::size_t>(kernel.points) *
                                       static_cast<std::size_t>(channels) * sizeof(float);
    const int fitting = static_cast<int>(second_level_cache_bytes() / 2 / bytes_per_tile);
    const int fair = tiles / 4 / threads;
    constexpr int largest = 8 * kBlockStep;
    const int wanted = std::min({fitting, fair, largest});
    return std::max(wanted / kernel.tiles, 1) * kernel.tiles;
}

}  // namespace realesrgan::winograd
