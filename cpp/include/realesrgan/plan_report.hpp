#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "realesrgan/image.hpp"
#include "realesrgan/yuv.hpp"

namespace realesrgan {

// What a run would be asked for.
struct RunShape {
    int width = 0;  // of the picture
    int height = 0;
    SampleType input = SampleType::u8;
    SampleType output = SampleType::u8;
    // Of a video frame, from planes to planes, both or neither; the types are then those of the
    // rows that it is run as where the device does not convert planes.
    std::optional<PlaneFormat> input_planes = std::nullopt;
    std::optional<PlaneFormat> output_planes = std::nullopt;
    int band_rows = 0;  // picture rows the stream takes at a time; 0: what fits best

    bool operator==(const RunShape& other) const {
        return std::tie(width, height, input, output, input_planes, output_planes, band_rows) ==
               std::tie(other.width, other.height, other.input, other.output, other.input_planes,
                        other.output_planes, other.band_rows);
    }
};

// How a picture of a given size would be run.
struct PlanReport {
    std::string path;      // "stream" or "tiles"
    std::string reason;    // why this path, in words
    int band_rows = 0;     // picture rows the stream takes at a time; 0 on the tile path
    int column_tiles = 0;  // the stream's, each of the full height; 0 on the tile path
    int halo = 0;  // picture columns that a column tile, or pixels that a tile, computes again
    int tile = 0;  // the tile path's longest side without the halo; 0 on the stream's
    // Bytes by kind, the kinds' sum last ("total"). "host" is the machine's memory for sums of
    // floats, which counts to a memory limit only where the device has no memory of its own.
    std::vector<std::pair<std::string, std::uint64_t>> memory_bytes;
    int dispatches_per_band = 0;
    double bytes_moved_per_input_pixel = 0.0;
};

}  // namespace realesrgan
