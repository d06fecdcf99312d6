#pragma once

#include <memory>
#include <string>

#include "engine.hpp"
#include "model/graph.hpp"
#include "plan/tiling.hpp"
#include "tiles/ncnn_network.hpp"

namespace realesrgan {

// The path for every network: ncnn's own layers over tiles. A tile is read with a halo of the
// receptive field, at most 64 pixels, and blended into its neighbours; at the picture's border it
// ends there, so that the network pads exactly where it pads the whole picture. What a network
// without padding lacks at its result's borders is read beyond the tile, mirrored where there is no
// picture. One tile for the whole picture is exact.
class TileEngine : public Engine {
  public:
    TileEngine(const Graph& graph, std::unique_ptr<const NcnnNetwork> network,
               const NetworkInfo& info, const Options& options);

    void run(const ImageView& input, const MutableImageView& output,
             const Progress& progress) const override;
    std::uint64_t prepare(int, int) const override { return 0; }  // ncnn made all when it loaded
    PlanReport plan(const RunShape& size) const override;

  private:
    // What a run in tiles of this side takes.
    struct Bytes {
        std::int64_t pixels = 0;  // of the largest tile with its halo
        std::uint64_t tile = 0;
        std::uint64_t host = 0;  // of the machine's memory, for sums of floats
        bool cut = false;        // whether there is more than one tile
    };
    Bytes bytes(int width, int height, std::int64_t tile) const;
    std::int64_t largest_within(int width, int height, std::uint64_t limit) const;
    std::int64_t first_tile(int width, int height) const;
    std::string notes(bool cut) const;
    [[noreturn]] void refuse(int width, int height, std::int64_t tile, std::uint64_t limit) const;
    TileRequest tiling(std::int64_t tile) const {
        return {tile, halo_, alignment_, feather_, info_.border, rest_};
    }

    std::unique_ptr<const NcnnNetwork> network_;
    NetworkInfo info_;
    Options options_;
    std::int64_t halo_;
    std::int64_t feather_;
    int alignment_;
    std::int64_t rest_;
};

}  // namespace realesrgan
