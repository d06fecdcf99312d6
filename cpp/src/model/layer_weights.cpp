#include "model/layer_weights.hpp"

#include <algorithm>

#include "model/layer_kinds.hpp"

namespace realesrgan {

namespace weights {

namespace {

using Blocks = std::vector<WeightBlock>;

Blocks bare(std::size_t blocks, std::int64_t count) {
    return Blocks(blocks, WeightBlock{count, false});
}

Blocks kernel_and_bias(std::int64_t kernel, bool bias, std::int64_t outputs) {
    Blocks blocks{{kernel, true}};
    if (bias) blocks.push_back({outputs, false});
    return blocks;
}

Blocks attention(const Layer& layer) {
    const std::int64_t embed = layer.integer(0, 0);
    const std::int64_t query = layer.integer(2, 0);  // embed times the query's size
    const std::int64_t key = embed * layer.integer(3, static_cast<int>(embed));
    const std::int64_t value = embed * layer.integer(4, static_cast<int>(embed));
    return {{query, true}, {embed, false}, {key, true},   {embed, false},
            {value, true}, {embed, false}, {query, true}, {query / embed, false}};
}

Blocks gemm(const Layer& layer) {
    const std::int64_t m = layer.integer(7, 0);
    const std::int64_t n = layer.integer(8, 0);
    const std::int64_t k = layer.integer(9, 0);
    Blocks blocks;
    if (layer.integer(4, 0) != 0) blocks.push_back({m * k, true});
    if (layer.integer(5, 0) != 0) blocks.push_back({n * k, true});
    if (layer.integer(6, 0) != 0) {
        const std::int64_t sizes[] = {1, m, m, n * m, n};
        const int type = layer.integer(10, 0);
        if (type >= 0) blocks.push_back({sizes[type], true});
    }
    return blocks;
}

// Sizes that are 0 are not counted: ncnn takes the first of depth, channels, height and width that
// is given for the last dimension.
Blocks memory_data(const Layer& layer) {
    const std::int64_t sizes[] = {layer.integer(0, 0), layer.integer(1, 0), layer.integer(2, 0),
                                  layer.integer(11, 0)};
    const auto [width, height, channels, depth] = sizes;
    if (depth == 0 && channels == 0 && height == 0 && width == 0) return {};
    std::int64_t count = width;
    constexpr std::int64_t kMost = std::int64_t{1} << 31;
    const auto times = [&](std::int64_t size) { count = std::min(count * size, kMost); };
    if (depth != 0 || channels != 0 || height != 0) times(height);
    if (depth != 0 || channels != 0) times(channels);
    if (depth != 0) times(depth);
    return {{count, layer.integer(21, 1) == 0}};
}

}  // namespace

}  // namespace weights

std::vector<WeightBlock> weight_blocks(const Layer& layer) {
    using namespace weights;  // NOLINT(google-build-using-namespace)
    const std::string& type = layer.type;
    const std::int64_t count = layer.integer(0, 0);
    if (type == "Convolution" || type == "ConvolutionDepthWise" || type == "Deconvolution" ||
        type == "DeconvolutionDepthWise") {
        return kernel_and_bias(layer.integer(6, 0), layer.integer(5, 0) != 0, count);
    }
    if (type == "InnerProduct") {
        return kernel_and_bias(layer.integer(2, 0), layer.integer(1, 0) != 0, count);
    }
    if (type == "PReLU" || type == "Bias") return bare(1, count);
    if (type == "BatchNorm") return bare(4, count);
    if (type == "Scale") {
        return count == kRest ? Blocks() : bare(layer.integer(1, 0) != 0 ? 2 : 1, count);
    }
    if (type == "GroupNorm") return bare(layer.integer(3, 1) != 0 ? 2 : 0, layer.integer(1, 0));
    if (type == "InstanceNorm" || type == "LayerNorm") {
        return bare(layer.integer(2, 1) != 0 ? 2 : 0, count);
    }
    if (type == "RMSNorm") return bare(layer.integer(2, 1) != 0 ? 1 : 0, count);
    if (type == "Normalize") return bare(1, layer.integer(3, 0));
    if (type == "Padding") return bare(layer.integer(6, 0) != 0 ? 1 : 0, layer.integer(6, 0));
    if (type == "MultiHeadAttention") return attention(layer);
    if (type == "Gemm") return gemm(layer);
    if (type == "MemoryData") return memory_data(layer);
    return {};
}

}  // namespace realesrgan
