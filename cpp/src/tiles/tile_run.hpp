#pragma once

#include <cstdint>

#include "image/orientation.hpp"
#include "image/result_check.hpp"
#include "plan/tiling.hpp"
#include "realesrgan/upscaler.hpp"
#include "tiles/ncnn_network.hpp"
#include "tiles/tile_blend.hpp"

namespace realesrgan {

// One pass over a picture in tiles of one size.
class TileRun {
  public:
    struct Settings {
        const NcnnNetwork& network;
        int scale;
        int output_channels;
        int border;        // input pixels on each side that the network's result lacks
        bool adds_source;  // to the network's result, enlarged by nearest
        std::vector<Orientation> orientations;  // their mean is the result
    };

    TileRun(const Settings& settings, const AxisTiling& columns, const AxisTiling& rows,
            const ImageView& input, const MutableImageView& output);

    // Calls `progress` with the completed fraction of the passes over all tiles. Throws
    // OutOfMemoryError when a tile does not fit, BadResult for a result that is no picture.
    void run(const Progress& progress);

  private:
    void run_tile(std::size_t column, std::size_t row, const Progress& progress);
    Region region_read(std::size_t column, std::size_t row, const Orientation& orientation) const;
    Planes load_tile(const Region& region);
    ncnn::Mat pass(const Planes& tile, const Region& region, const Orientation& orientation,
                   const Progress& progress);
    void add_source(const Planes& result, const ConstPlanes& source) const;
    void blend(const ncnn::Mat& result, const Region& region, const Orientation& orientation,
               std::size_t column, std::size_t row);

    const Settings& settings_;
    const AxisTiling& columns_;
    const AxisTiling& rows_;
    const ImageView& input_;
    MutableImageView output_;
    TileBlend sums_;
    ResultCheck check_;
    std::vector<float> tile_;  // what the network reads of the picture, not oriented
    double done_ = 0;          // passes
};

}  // namespace realesrgan
