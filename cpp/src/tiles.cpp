#include "tiles.hpp"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "memory_budget.hpp"
#include "realesrgan/errors.hpp"
#include "tile_memory.hpp"
#include "tile_run.hpp"
#include "trace.hpp"

namespace realesrgan {
namespace {

// x4plus' field of 349 pixels would have a tile of 200 do twenty times the work; at 64 the error of
// what is cut off has fallen below 3 steps of 8 bits.
constexpr std::int64_t kMostHalo = 64;
// Measured on x4plus, tile 64 of a 192x160 photograph against the whole picture, in 255ths: largest
// error 1.18 without blending, 1.09 with 8 pixels, 0.91 with 16, 0.99 with 24 (there the fading
// part comes too close to the end of what the tile has seen).
constexpr std::int64_t kFeather = 16;

template <typename View>
View transposed(View view) {
    std::swap(view.width, view.height);
    std::swap(view.row_stride, view.pixel_stride);
    return view;
}

// Bands lie across the shorter side: their sums are what memory is needed for beside a tile.
bool lies(int width, int height, std::int64_t tile) {
    return width > height && tile < width;
}

// Never goes back, also when a pass begins anew with smaller tiles.
class MonotoneProgress {
  public:
    explicit MonotoneProgress(const Progress& progress) : progress_(progress) {}

    Progress function() {
        if (!progress_) {
            return nullptr;
        }
        return [this](double share) {
            best_ = std::max(best_, std::min(share, 1.0));
            progress_(best_);
        };
    }

  private:
    const Progress& progress_;
    double best_ = 0;
};

}  // namespace

TileEngine::TileEngine(const Graph& graph, std::unique_ptr<const Network> network,
                       const NetworkInfo& info, const Options& options)
    : network_(std::move(network)),
      info_(info),
      options_(options),
      halo_(std::min<std::int64_t>(info.receptive_field, kMostHalo)),
      feather_(info.receptive_field > kMostHalo ? kFeather : 0),
      alignment_(trace(graph).alignment),
      bytes_per_pixel_(tile_bytes_per_pixel(graph, info, options)) {}

// The longest side of a tile to begin with.
std::int64_t TileEngine::first_tile(int width, int height) const {
    const bool asked = options_.tile != kTileAuto;
    auto most_pixels = static_cast<double>(network_->most_pixels());
    if (!asked || options_.memory_limit > 0) {
        const std::uint64_t limit = options_.memory_limit > 0
                                        ? options_.memory_limit
                                        : default_memory_limit(options_.device);
        most_pixels = std::min(most_pixels, static_cast<double>(limit) / bytes_per_pixel_);
    }
    const std::int64_t tile =
        largest_tile(width, height, halo_, alignment_, most_pixels, kSmallestTile);
    const std::int64_t whole = std::max(width, height);
    if (tile == 0 || (options_.tile == kTileWhole && tile < whole)) {
        const std::string what = tile == 0 ? "even the smallest tile" : "the whole picture at once";
        const std::string advice =
            tile == 0 ? "raise the limit or use another device" : "leave the tile size to auto";
        throw OutOfMemoryError(
            what + " does not fit: the memory limit, or the device's largest buffer, allows " +
            std::to_string(static_cast<std::int64_t>(most_pixels)) +
            " pixels at a time, with the halo of " + std::to_string(halo_) + " on each side; " +
            advice);
    }
    return asked && options_.tile != kTileWhole ? std::min<std::int64_t>(tile, options_.tile)
                                                : tile;
}

void TileEngine::run(const ImageView& input, const MutableImageView& output,
                     const Progress& progress) const {
    MonotoneProgress monotone(progress);
    for (std::int64_t tile = first_tile(input.width, input.height);;
         tile = std::max<std::int64_t>(tile / 2, kSmallestTile)) {
        const bool turn = lies(input.width, input.height, tile);
        const ImageView from = turn ? transposed(input) : input;
        const MutableImageView to = turn ? transposed(output) : output;
        const AxisPlan columns = plan_axis(from.width, tiling(tile));
        const AxisPlan rows = plan_axis(from.height, tiling(tile));
        TileRun::Settings settings{*network_, info_.scale, info_.output_channels,
                                   orientations(options_.tta)};
        for (Orientation& way : settings.ways) {
            way.transpose = way.transpose != turn;  // the network sees the picture upright
        }
        const bool smallest = options_.tile == kTileWhole || tile <= kSmallestTile ||
                              (columns.tiles.size() == 1 && rows.tiles.size() == 1 &&
                               from.width <= kSmallestTile && from.height <= kSmallestTile);
        try {
            TileRun(settings, columns, rows, from, to).run(monotone.function());
            return;
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

PlanReport TileEngine::plan(const PlanSize& size) const {
    const std::int64_t tile = first_tile(size.width, size.height);
    const bool turn = lies(size.width, size.height, tile);
    const AxisPlan columns = plan_axis(turn ? size.height : size.width, tiling(tile));
    const AxisPlan rows = plan_axis(turn ? size.width : size.height, tiling(tile));
    const auto pixels = static_cast<double>(columns.longest_read() * rows.longest_read());
    const auto area =
        static_cast<std::uint64_t>(info_.scale) * static_cast<std::uint64_t>(info_.scale);
    PlanReport report;
    report.path = "tiles";
    report.reason = "tiles were asked for, or the network is not local in rows";
    report.tile = static_cast<int>(tile);
    report.halo = columns.tiles.size() > 1 || rows.tiles.size() > 1 ? static_cast<int>(halo_) : 0;
    const auto tiles = static_cast<std::uint64_t>(pixels * bytes_per_pixel_);
    const std::uint64_t sums = static_cast<std::uint64_t>(columns.length * rows.longest_write()) *
                               area * static_cast<std::uint64_t>(info_.output_channels) *
                               sizeof(float);
    report.memory_bytes = {{"tile", tiles}, {"host", sums}, {"total", tiles + sums}};
    return report;
}

}  // namespace realesrgan
