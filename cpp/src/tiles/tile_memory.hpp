#pragma once

#include "model/graph.hpp"
#include "realesrgan/upscaler.hpp"

namespace realesrgan {

// Bytes of blobs that are alive at once in stock ncnn, at most, for each input pixel: with the
// padded copy and the Winograd transforms of the layer that is running.
double network_bytes_per_pixel(const Graph& graph, const Options& options);

// The same with the tile before and after the network.
double tile_bytes_per_pixel(const Graph& graph, const NetworkInfo& network, const Options& options);

}  // namespace realesrgan
