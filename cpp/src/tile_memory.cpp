#include "tile_memory.hpp"

#include <algorithm>
#include <vector>

#include "trace.hpp"

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
// F(4,3) Winograd makes 36/16 as large as the blobs.
double workspace(const Layer& layer, const Trace& sizes) {
    constexpr double kPadded = 1.0;
    constexpr double kTransform = 36.0 / 16.0;
    if (layer.type != "Convolution" || layer.integer(1, 0) == 1) {
        return 0;
    }
    return floats_per_pixel(sizes.blobs[index_of(layer.inputs.front())]) * (kPadded + kTransform) +
           floats_per_pixel(sizes.blobs[index_of(layer.outputs.front())]) * kTransform;
}

double peak_floats(const Graph& graph) {
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
        peak = std::max(peak, alive + workspace(layer, sizes));
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

double tile_bytes_per_pixel(const Graph& graph, const NetworkInfo& network,
                            const Options& options) {
    // ncnn's pools keep blocks that fit no later blob. Measured on the CPU, peak over the blobs
    // alive: x4plus 1.75, x4plus-anime 1.92. Without pools the peak is as computed here, but a run
    // takes 1.4 (x4plus-anime) to 2 times (animevideov3) as long.
    constexpr double kPooled = 2.0;
    const double sample = options.fp16 ? 2.0 : 4.0;
    const double area = static_cast<double>(network.scale) * network.scale;
    // The tile before and after the network, laid down and blended, always in 32 bits.
    const double picture = (2.0 * network.input_channels + 3.0 * network.output_channels * area) *
                           static_cast<double>(sizeof(float));
    return peak_floats(graph) * kPooled * sample + picture;
}

}  // namespace realesrgan
