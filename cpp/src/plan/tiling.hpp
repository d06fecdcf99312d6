#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "image/region.hpp"

namespace realesrgan {

// One tile along one axis. `read` goes to the network; of its result `write` is used, and of that
// the part beyond `core` fades out into the neighbour's.
struct AxisTile {
    Span core;
    Span read;
    Span write;
};

// One axis of a picture cut into tiles of nearly equal size. Cores cover the axis once. Reads may
// begin before it by the border, and end past it by the border, the alignment and the rest: such a
// network's input is padded there.
struct AxisTiling {
    std::int64_t length = 0;
    std::int64_t feather = 0;  // half the width, in input pixels, over which neighbours are blended
    std::vector<AxisTile> tiles;

    std::int64_t longest_read() const;
    std::int64_t longest_write() const;

    // The tile's weight at each output position of its `write`, `scale` positions a pixel. At every
    // position the weights of all tiles sum to one.
    std::vector<float> weights(std::size_t tile, int scale) const;
};

struct TileRequest {
    std::int64_t tile = 0;  // the longest core; at least the axis' length: one tile
    std::int64_t halo = 0;  // input pixels read on each side of a core
    int alignment = 1;      // reads begin and end at multiples of it, but for border and rest
    // How far past its core a tile is blended into its neighbour, at most; less than the halo. Not
    // needed when the halo covers the receptive field: neighbours then agree.
    std::int64_t feather = 0;
    // Read beyond that on each side, because the network's result lacks as much of what it reads.
    std::int64_t border = 0;
    std::int64_t rest = 0;  // a read's length is a multiple of the alignment and this, less than it
};

AxisTiling tile_axis(std::int64_t length, const TileRequest& request);

// The side of the largest tile that fits, from `smallest` to `longest`, where larger ones take
// more; `longest` when it fits; 0 when no tile of at least `smallest` does.
std::int64_t largest_tile(std::int64_t longest, std::int64_t smallest,
                          const std::function<bool(std::int64_t)>& fits);

}  // namespace realesrgan
