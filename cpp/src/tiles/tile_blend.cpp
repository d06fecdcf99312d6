#include "tiles/tile_blend.hpp"

#include <algorithm>

#include "base/integers.hpp"
#include "image/sample_conversion.hpp"

namespace realesrgan {

TileBlend::TileBlend(const MutableImageView& output, std::int64_t rows)
    : output_(output),
      capacity_(std::min<std::int64_t>(rows, output.height)),
      sums_(static_cast<std::size_t>(capacity_) * static_cast<std::size_t>(output.channels) *
            static_cast<std::size_t>(output.width)) {}

std::size_t TileBlend::offset(std::int64_t y, int channel) const {
    return static_cast<std::size_t>(((y % capacity_) * output_.channels + channel) * output_.width);
}

void TileBlend::add(const ConstPlanes& tile, std::int64_t x, std::int64_t y,
                    const std::vector<float>& columns, const std::vector<float>& rows, float gain) {
    for (std::int64_t i = 0; i < tile.height; ++i) {
        const float fraction = gain * rows[idx(i)];
        for (int c = 0; c < tile.channels; ++c) {
            const float* source = tile.row(c, i);
            float* sum = sums_.data() + offset(y + i, c) + x;
            for (std::int64_t j = 0; j < tile.width; ++j) {
                sum[j] += fraction * columns[idx(j)] * source[j * tile.x_stride];
            }
        }
    }
}

void TileBlend::store_until(std::int64_t end) {
    for (; begin_ < end; ++begin_) {
        float* row = sums_.data() + offset(begin_, 0);
        const ConstPlanes planes{row, output_.width, 1, output_.channels, 1, 0, output_.width};
        store_samples(planes, output_, begin_);
        std::fill(row, row + output_.channels * output_.width, 0.0F);
    }
}

}  // namespace realesrgan
