#pragma once

#include <cstdint>
#include <vector>

#include "image/planes.hpp"
#include "realesrgan/image.hpp"

namespace realesrgan {

// Sums tiles of the result in fp32, in a row band as high as the highest tile. Rows that no further
// tile touches are stored and dropped.
class TileBlend {
  public:
    // A band of at most `rows` rows of `output`.
    TileBlend(const MutableImageView& output, std::int64_t rows);

    // Adds `gain` * columns[x] * rows[y] * tile(x, y) with the tile's corner at (x, y) of the
    // result. Its rows must not be stored yet and must lie in the band.
    void add(const ConstPlanes& tile, std::int64_t x, std::int64_t y,
             const std::vector<float>& columns, const std::vector<float>& rows, float gain);

    // Stores the rows before `end`; the band begins there from now on.
    void store_until(std::int64_t end);

  private:
    std::size_t offset(std::int64_t y, int channel) const;

    MutableImageView output_;
    std::int64_t capacity_;
    std::int64_t begin_ = 0;   // the band's first row
    std::vector<float> sums_;  // [row modulo capacity][channel][column]
};

}  // namespace realesrgan
