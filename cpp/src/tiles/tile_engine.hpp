#pragma once

#include <memory>
#include <string>

#include "engine.hpp"
#include "model/graph.hpp"
#include "plan/tiling.hpp"
#include "tiles/ncnn_network.hpp"

namespace realesrgan {

// The path for every network: ncnn's own layers over tiles. A tile is read with a halo of the
// receptive field, so that neighbours agree; where memory or time do not allow that, with one of 64
// pixels, and is then blended into its neighbours. At the picture's border it
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
    // What a tile reads around its core, and over what it is blended into its neighbours.
    struct Reach {
        std::int64_t halo;
        std::int64_t feather;
    };
    struct Tiles {
        std::int64_t side;
        Reach reach;
    };
    // What a run in such tiles takes.
    struct Bytes {
        std::int64_t pixels = 0;  // of the largest tile with its halo
        std::uint64_t tile = 0;
        std::uint64_t host = 0;  // of the machine's memory, for sums of floats
        bool cut = false;        // whether there is more than one tile
    };
    Bytes bytes(int width, int height, const Tiles& tiles) const;
    double reads(int width, int height, const Tiles& tiles) const;
    std::int64_t largest_within(int width, int height, std::uint64_t limit,
                                const Reach& reach) const;
    std::int64_t largest_tile_of(int width, int height, const Reach& reach) const;
    Tiles first_tiles(int width, int height) const;
    std::string notes(const Tiles& tiles, bool cut) const;
    [[noreturn]] void refuse(int width, int height, std::int64_t tile, std::uint64_t limit) const;
    std::uint64_t memory_limit() const;
    TileRequest tiling(const Tiles& tiles) const {
        return {tiles.side, tiles.reach.halo, alignment_, tiles.reach.feather, info_.border, rest_};
    }

    std::unique_ptr<const NcnnNetwork> network_;
    NetworkInfo info_;
    Options options_;
    Reach whole_;  // all that a result depends on
    Reach short_;  // no more than 64 pixels of it
    bool field_known_;
    int alignment_;
    std::int64_t rest_;
};

}  // namespace realesrgan
