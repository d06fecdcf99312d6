#include "tiles/tile_memory.hpp"

#include <algorithm>
#include <vector>

#include "model/shape_inference.hpp"

namespace realesrgan {
namespace {

std::size_t index_of(int id) {
    return static_cast<std::size_t>(id);
}

double floats_per_pixel(const BlobSize& blob) {
    return blob.channels * blob.zoom.value() * blob.zoom.value();
}

// Blobs that share the memory of another: a Split's outputs, and what is computed in place.
std::vector<int> owners(const Graph& graph) {
    std::vector<int> owner(graph.blobs.size());
    for (const Layer& layer : graph.layers) {
        const bool shares = layer.type == "Split" || layer.type == "PReLU" ||
                            layer.type == "ReLU" || layer.type == "Clip" ||
                            layer.type == "Sigmoid" ||
                            (layer.type == "BinaryOp" && layer.inputs.size() == 1);
        for (const int output : layer.outputs) {
            owner[index_of(output)] = shares ? owner[index_of(layer.inputs.front())] : output;
        }
    }
    return owner;
}

// The padded copy of a 3x3 convolution's input and the transforms of it and of its result, which
// F(4,3) Winograd makes 36/16 as large as the blobs. On Vulkan ncnn transforms 16 channels and
// more, and none in 16 bits, where it is told not to.
double workspace(const Layer& layer, const Trace& sizes, const Options& options) {
    constexpr double kTransform = 36.0 / 16.0;
    constexpr int kLeastChannels = 16;
    if (layer.type != "Convolution" || layer.integer(1, 0) == 1) {
        return 0;
    }
    const BlobSize& from = sizes.blobs[index_of(layer.inputs.front())];
    const BlobSize& to = sizes.blobs[index_of(layer.outputs.front())];
    const double padded = floats_per_pixel(from);
    const bool transformed =
        options.device == kCpuDevice ||
        (!options.fp16 && from.channels >= kLeastChannels && to.channels >= kLeastChannels);
    return transformed ? padded + kTransform * (padded + floats_per_pixel(to)) : padded;
}

double peak_floats(const Graph& graph, const Options& options) {
    const Trace sizes = trace(graph);
    const std::vector<int> owner = owners(graph);
    std::vector<std::size_t> last_use(graph.blobs.size(), graph.layers.size());
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
        for (const int input : graph.layers[i].inputs) {
            last_use[index_of(owner[index_of(input)])] = i;
        }
    }
    last_use[index_of(owner[index_of(graph.output)])] = graph.layers.size();
    double alive = 0;
    double peak = 0;
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
        const Layer& layer = graph.layers[i];
        for (const int output : layer.outputs) {
            alive += owner[index_of(output)] == output
                         ? floats_per_pixel(sizes.blobs[index_of(output)])
                         : 0;
        }
        peak = std::max(peak, alive + workspace(layer, sizes, options));
        std::vector<int> ending;
        for (const int input : layer.inputs) {
            const int root = owner[index_of(input)];
            if (last_use[index_of(root)] == i &&
                std::find(ending.begin(), ending.end(), root) == ending.end()) {
                ending.push_back(root);
                alive -= floats_per_pixel(sizes.blobs[index_of(root)]);
            }
        }
    }
    return peak;
}

}  // namespace

double network_bytes_per_pixel(const Graph& graph, const Options& options) {
    return peak_floats(graph, options) * (options.fp16 ? 2.0 : 4.0);
}

double tile_bytes_per_pixel(const Graph& graph, const NetworkInfo& network,
                            const Options& options) {
    // The tile before the network, as it is and laid down, always in 32 bits.
    const double given = 2.0 * network.input_channels * sizeof(float);
    const double result = static_cast<double>(network.scale) * network.scale *
                          network.output_channels * sizeof(float);
    const double blobs = network_bytes_per_pixel(graph, options);
    // The result is copied out of what held the blobs.
    return given + std::max(blobs, 2.0 * result);
}

}  // namespace realesrgan
