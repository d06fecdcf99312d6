#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace realesrgan {

// How a picture of a given size would be run.
struct PlanReport {
    std::string path;    // "stream" or "tiles"
    std::string reason;  // why this path, in words
    int band_rows = 0;   // picture rows the stream takes at a time; 0 on the tile path
    int strips = 0;      // the stream's, each of the full height; 0 on the tile path
    // The stream's bytes by kind, the kinds' sum last ("total"); empty on the tile path.
    std::vector<std::pair<std::string, std::uint64_t>> memory_bytes;
    int dispatches_per_band = 0;
    double bytes_moved_per_input_pixel = 0.0;
};

}  // namespace realesrgan
