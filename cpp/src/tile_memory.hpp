#pragma once

#include "graph.hpp"
#include "realesrgan/upscaler.hpp"

namespace realesrgan {

// Bytes that stock ncnn and the blending need at most for each input pixel of a tile: the blobs
// that are alive at once, with the padded copy and the Winograd transforms of the layer that is
// running.
double tile_bytes_per_pixel(const Graph& graph, const NetworkInfo& network, const Options& options);

}  // namespace realesrgan
