#include "tiles/tile_engine.hpp"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "base/interruption.hpp"
#include "base/memory_budget.hpp"
#include "image/image_view.hpp"
#include "model/shape_inference.hpp"
#include "realesrgan/errors.hpp"
#include "tiles/tile_run.hpp"

namespace realesrgan {
namespace {

// x4plus' field of 349 pixels would have a tile of 200 do twenty times the work; at 64 the error of
// what is cut off has fallen below 3 steps of 8 bits.
constexpr std::int64_t kShortHalo = 64;
// How often a pixel is read on average, at most, for tiles to have the whole halo.
constexpr double kMostReads = 4;
// Measured on x4plus, tile 64 of a 192x160 photograph against the whole picture, in 255ths: largest
// error 1.18 without blending, 1.09 with 8 pixels, 0.91 with 16, 0.99 with 24 (there the fading
// part comes too close to the end of what the tile has seen).
constexpr std::int64_t kFeather = 16;

// Whether a picture is run transposed, so that the sums of a row of tiles, which take memory beside
// a tile, are as wide as its shorter side.
bool runs_transposed(int width, int height, std::int64_t tile) {
    return width > height && tile < width;
}

}  // namespace

TileEngine::TileEngine(const Graph& graph, std::unique_ptr<const NcnnNetwork> network,
                       const NetworkInfo& info, const Options& options)
    : network_(std::move(network)),
      info_(info),
      options_(options),
      whole_{std::max<std::int64_t>(info.receptive_field - info.border, 0), 0},
      short_{std::min(whole_.halo, kShortHalo), whole_.halo > kShortHalo ? kFeather : 0} {
    const Trace sizes = trace(graph);
    alignment_ = static_cast<int>(sizes.alignment);
    rest_ = sizes.rest;
    // A flipped tile reads as much less at one end as it is padded at the other (tile_run.cpp).
    if (options.tta) whole_.halo += alignment_ - 1;
    field_known_ = is_field_known(graph, sizes);
    if (!field_known_) short_.feather = whole_.feather = kFeather;
    if (info.border > 0 && info.pools_all) {
        // Neighbours differ by what each pools, wherever they meet.
        for (Reach* reach : {&whole_, &short_}) {
            *reach = {std::max(reach->halo, kFeather), kFeather};
        }
    }
}

TileEngine::Bytes TileEngine::bytes(int width, int height, const Tiles& tiles) const {
    const bool turn = runs_transposed(width, height, tiles.side);
    const AxisTiling columns = tile_axis(turn ? height : width, tiling(tiles));
    const AxisTiling rows = tile_axis(turn ? width : height, tiling(tiles));
    Bytes bytes;
    bytes.pixels = columns.longest_read() * rows.longest_read();
    bytes.tile = network_->memory().total(columns.longest_read(), rows.longest_read());
    // In doubles: of a picture of the largest sides, 64 bits do not hold the product.
    const double sums = static_cast<double>(columns.length) *
                        static_cast<double>(rows.longest_write()) * info_.scale * info_.scale *
                        info_.output_channels * sizeof(float);
    bytes.host = static_cast<std::uint64_t>(std::min(sums, kMostBytes));
    bytes.cut = columns.tiles.size() > 1 || rows.tiles.size() > 1;
    return bytes;
}

// How often a pixel of the picture is read, on average.
double TileEngine::reads(int width, int height, const Tiles& tiles) const {
    double times = 1;
    for (const int side : {width, height}) {
        double pixels = 0;
        for (const AxisTile& tile : tile_axis(side, tiling(tiles)).tiles) {
            pixels += static_cast<double>(tile.read.size());
        }
        times *= pixels / side;
    }
    return times;
}

// The longest side of a tile whose run takes no more than `limit`, 0 when none does. What the host
// adds up counts unless the device has memory of its own.
std::int64_t TileEngine::largest_within(int width, int height, std::uint64_t limit,
                                        const Reach& reach) const {
    return largest_tile(std::max(width, height), kSmallestTile, [&](std::int64_t tile) {
        check_interruption();
        const Bytes bytes = this->bytes(width, height, {tile, reach});
        const std::uint64_t counted = bytes.tile + (network_->own_memory() ? 0 : bytes.host);
        return bytes.pixels <= network_->most_pixels() && counted <= limit;
    });
}

std::uint64_t TileEngine::memory_limit() const {
    if (options_.memory_limit > 0) return options_.memory_limit;
    return options_.tile != kTileAuto ? UINT64_MAX : network_->memory_budget();
}

// The longest side of a tile of this reach to begin with, as far as was asked for; 0 when none
// fits.
std::int64_t TileEngine::largest_tile_of(int width, int height, const Reach& reach) const {
    const std::uint64_t limit = memory_limit();
    const bool shared = options_.memory_limit == 0 && options_.tile == kTileAuto;
    const auto runs = static_cast<std::uint64_t>(shared ? options_.runs_at_once : 1);
    std::int64_t tile = largest_within(width, height, limit / runs, reach);
    if (tile == 0 && shared && largest_within(width, height, limit, reach) > 0) {
        tile = kSmallestTile;
    }
    if (options_.tile == kTileWhole) return tile < std::max(width, height) ? 0 : tile;
    return options_.tile == kTileAuto ? tile : std::min<std::int64_t>(tile, options_.tile);
}

// The tiles to begin with: with all that a result depends on around them, unless that does not fit
// or takes too long.
TileEngine::Tiles TileEngine::first_tiles(int width, int height) const {
    if (whole_.halo > short_.halo) {
        const Tiles tiles{largest_tile_of(width, height, whole_), whole_};
        if (tiles.side > 0 && reads(width, height, tiles) <= kMostReads) return tiles;
    }
    const Tiles tiles{largest_tile_of(width, height, short_), short_};
    if (tiles.side == 0) {
        const std::int64_t longest = std::max(width, height);
        const std::uint64_t limit = memory_limit();
        const bool none = largest_within(width, height, limit, short_) == 0;
        refuse(width, height, none ? std::min<std::int64_t>(longest, kSmallestTile) : longest,
               limit);
    }
    return tiles;
}

void TileEngine::refuse(int width, int height, std::int64_t tile, std::uint64_t limit) const {
    const bool whole = options_.tile == kTileWhole;
    const Bytes bytes = this->bytes(width, height, {tile, short_});
    std::string why;
    if (bytes.pixels > network_->most_pixels()) {
        why = "with its halo it has " + std::to_string(bytes.pixels) +
              " pixels, and the device's largest buffer allows " +
              std::to_string(network_->most_pixels());
    } else {
        const std::uint64_t counted = bytes.tile + (network_->own_memory() ? 0 : bytes.host);
        why = "it needs " + std::to_string(counted >> 20U) + " MiB, and the " +
              (options_.memory_limit > 0 ? "memory limit is " : "memory that is free allows ") +
              std::to_string(limit >> 20U) + " MiB";
    }
    throw OutOfMemoryError(
        std::string(whole ? "the whole picture at once" : "even the smallest tile") +
        " does not fit: " + why + "; " +
        (whole ? "leave the tile size to auto" : "raise the limit or use another device"));
}

void TileEngine::run(const ImageView& input, const MutableImageView& output,
                     const Progress& progress) const {
    const Progress fraction = monotone(progress);
    for (Tiles tiles = first_tiles(input.width, input.height);;
         tiles.side = std::max<std::int64_t>(tiles.side / 2, kSmallestTile)) {
        const std::int64_t tile = tiles.side;
        if (reads(input.width, input.height, tiles) > kMostReads) tiles.reach = short_;
        const bool turn = runs_transposed(input.width, input.height, tile);
        const ImageView from = turn ? transposed(input) : input;
        const MutableImageView to = turn ? transposed(output) : output;
        const AxisTiling columns = tile_axis(from.width, tiling(tiles));
        const AxisTiling rows = tile_axis(from.height, tiling(tiles));
        TileRun::Settings settings{*network_,    info_.scale,       info_.output_channels,
                                   info_.border, info_.adds_source, orientations(options_.tta)};
        for (Orientation& orientation : settings.orientations) {
            orientation.transpose =
                orientation.transpose != turn;  // the network sees the picture as it is
        }
        const bool smallest = options_.tile == kTileWhole || tile <= kSmallestTile ||
                              (columns.tiles.size() == 1 && rows.tiles.size() == 1 &&
                               from.width <= kSmallestTile && from.height <= kSmallestTile);
        try {
            TileRun(settings, columns, rows, from, to).run(fraction);
            return;
        } catch (const BadResult& bad) {
            if (turn) throw bad.turned();
            throw;
        } catch (const OutOfMemoryError&) {
            if (smallest) {
                throw;
            }
        } catch (const std::bad_alloc&) {
            if (smallest) {
                throw OutOfMemoryError("no memory left for the smallest tile of " +
                                       std::to_string(tile) + " pixels");
            }
        }
    }
}

// What is to be known of the result beside the path, each note begun by a semicolon.
std::string TileEngine::notes(const Tiles& tiles, bool cut) const {
    std::string notes = border_note(info_.border);
    if (info_.adds_source) notes += "; the source, enlarged by nearest, is added to its result";
    const std::int64_t read = tiles.reach.halo + info_.border;
    if (cut && field_known_ && read < info_.receptive_field) {
        notes += "; tiles read " + std::to_string(read) + " pixels around, of the " +
                 std::to_string(info_.receptive_field) +
                 " that a result depends on: it is not quite that of the picture at once (by up to "
                 "1 of 255 with realesrgan-x4plus; larger tiles, which take more memory, read all)";
    }
    if (cut && !field_known_) {
        notes += "; how much of the picture a result depends on is not known, and tiles read " +
                 std::to_string(read) +
                 " pixels around: it is not quite that of the picture at once (--tile whole)";
    }
    if (info_.pools_all) {
        notes +=
            cut ? "; a layer takes means of the whole picture, here of each tile: the result is "
                  "not that of the picture at once (--tile whole)"
                : "; a layer takes means of the whole picture, which is run at once";
    }
    return notes;
}

PlanReport TileEngine::plan(const RunShape& size) const {
    const Tiles tiles = first_tiles(size.width, size.height);
    const Bytes bytes = this->bytes(size.width, size.height, tiles);
    PlanReport report;
    report.path = "tiles";
    report.reason = notes(tiles, bytes.cut);
    report.tile = static_cast<int>(tiles.side);
    report.halo = bytes.cut ? static_cast<int>(tiles.reach.halo) + info_.border : 0;
    report.memory_bytes = {
        {"tile", bytes.tile}, {"host", bytes.host}, {"total", bytes.tile + bytes.host}};
    return report;
}

}  // namespace realesrgan
