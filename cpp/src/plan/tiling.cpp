#include "plan/tiling.hpp"

#include <algorithm>

#include "base/integers.hpp"

namespace realesrgan {
namespace {

// Weight of the tile on the right of a boundary, at the centre of an output position: a smoothstep,
// so that neither its value nor its slope jumps where the blending begins.
float rise(double position, double boundary, double half_width) {
    const double t = std::clamp((position - boundary + half_width) / (2 * half_width), 0.0, 1.0);
    return static_cast<float>(t * t * (3 - 2 * t));
}

}  // namespace

std::int64_t AxisTiling::longest_read() const {
    std::int64_t longest = 0;
    for (const AxisTile& tile : tiles) {
        longest = std::max(longest, tile.read.size());
    }
    return longest;
}

std::int64_t AxisTiling::longest_write() const {
    std::int64_t longest = 0;
    for (const AxisTile& tile : tiles) {
        longest = std::max(longest, tile.write.size());
    }
    return longest;
}

std::vector<float> AxisTiling::weights(std::size_t tile, int scale) const {
    const AxisTile& here = tiles[tile];
    const auto half = static_cast<double>(feather);
    std::vector<float> weights(static_cast<std::size_t>(here.write.size() * scale), 1.0F);
    for (std::size_t i = 0; i < weights.size() && half > 0; ++i) {
        const double position =
            static_cast<double>(here.write.begin) + (static_cast<double>(i) + 0.5) / scale;
        if (tile > 0) {
            weights[i] *= rise(position, static_cast<double>(here.core.begin), half);
        }
        if (tile + 1 < tiles.size()) {
            weights[i] *= 1.0F - rise(position, static_cast<double>(here.core.end), half);
        }
    }
    return weights;
}

AxisTiling tile_axis(std::int64_t length, const TileRequest& request) {
    // In units of the alignment, so that every boundary is a multiple of it.
    const std::int64_t unit = request.alignment;
    const std::int64_t units = ceil_div(length, unit);
    const std::int64_t tile =
        request.tile >= length ? units : std::max<std::int64_t>(1, request.tile / unit);
    const std::int64_t halo = ceil_div(request.halo, unit);
    const std::int64_t count = ceil_div(units, tile);

    const std::int64_t behind = request.rest - 2 * request.border -
                                unit * floor_div(request.rest - 2 * request.border, unit);

    AxisTiling plan;
    plan.length = length;
    // Half the smallest core: a position is never blended from more than two tiles.
    plan.feather = count == 1 ? 0 : std::min(request.feather, units / count * unit / 2);
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t begin = units * i / count;
        const std::int64_t end = units * (i + 1) / count;
        AxisTile part;
        part.core = {begin * unit, std::min(end * unit, length)};
        part.read = {std::max<std::int64_t>(begin - halo, 0) * unit - request.border,
                     std::min(end + halo, units) * unit + request.border + behind};
        part.write = {i == 0 ? 0 : std::max<std::int64_t>(part.core.begin - plan.feather, 0),
                      i + 1 == count ? length : std::min(part.core.end + plan.feather, length)};
        plan.tiles.push_back(part);
    }
    return plan;
}

std::int64_t largest_tile(std::int64_t longest, std::int64_t smallest,
                          const std::function<bool(std::int64_t)>& fits) {
    if (fits(longest)) {
        return longest;
    }
    std::int64_t low = std::min(smallest, longest);
    if (!fits(low)) {
        return 0;
    }
    std::int64_t high = longest;  // does not fit
    while (high - low > 1) {
        const std::int64_t middle = low + (high - low) / 2;
        (fits(middle) ? low : high) = middle;
    }
    return low;
}

}  // namespace realesrgan
