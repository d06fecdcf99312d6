#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <numeric>
#include <string_view>

#include "model/layer_kinds.hpp"
#include "model/shape_inference.hpp"

namespace realesrgan {
namespace {

// Layers whose output sample depends on the input samples at the same place alone.
constexpr std::string_view kPointwise[] = {
    "AbsVal",  "BatchNorm", "Bias",  "BinaryOp",    "Clip",      "Dropout", "ELU",
    "Eltwise", "Exp",       "GELU",  "HardSigmoid", "HardSwish", "Input",   "Log",
    "Mish",    "Noop",      "PReLU", "Power",       "ReLU",      "Scale",   "Sigmoid",
    "Split",   "Swish",     "TanH",  "UnaryOp"};

LayerRule convolution(const Layer& layer) {
    const KernelAxis window = kernel_rows(layer);
    LayerRule rule;
    rule.channels = LayerRule::Channels::fixed;
    rule.factor = layer.integer(0, 0);
    if (!(window == kernel_columns(layer)) || window.pad_before < 0) {
        return rule;
    }
    rule.known = true;
    rule.more = window.pad_before + window.pad_after - window.reach() - 1 + window.stride;
    rule.rows = {1, window.stride, -2 * window.pad_before,
                 2 * (window.reach() - window.pad_before)};
    return rule;
}

LayerRule deconvolution(const Layer& layer) {
    const KernelAxis window = kernel_rows(layer);
    LayerRule rule;
    rule.channels = LayerRule::Channels::fixed;
    rule.factor = layer.integer(0, 0);
    if (!(window == kernel_columns(layer)) ||
        layer.integer(19, layer.integer(18, 0)) != layer.integer(18, 0)) {
        return rule;
    }
    rule.known = true;
    rule.more = window.reach() + 1 - window.stride - window.pad_before - window.pad_after +
                layer.integer(18, 0);
    const std::int64_t reach = window.reach() / window.stride * window.stride;
    rule.rows = {window.stride, 1, 2 * (window.pad_before - reach), 2 * window.pad_before};
    return rule;
}

// A decimal zoom of a .param file as a fraction with a small denominator, if it is within 1e-6 of
// one: converters write seven digits. ncnn takes the zoom as it is, so that one that is less exact
// gives a column too few, or repeats other samples.
Ratio to_ratio(float zoom) {
    constexpr int kLargest = 64;
    for (int denominator = 1; denominator <= kLargest; ++denominator) {
        const double numerator = static_cast<double>(zoom) * denominator;
        const double nearest = std::round(numerator);
        if (nearest >= 1 && nearest <= kLargest * denominator &&
            std::abs(numerator - nearest) < 1e-6 * denominator) {
            return {static_cast<std::int64_t>(nearest), denominator};
        }
    }
    return {};
}

LayerRule interpolation(const Layer& layer) {
    constexpr int kNearest = 1;
    constexpr int kBicubic = 3;
    LayerRule rule;
    const int kind = layer.integer(0, 0);
    const Ratio zoom = to_ratio(layer.number(1, 1.0F));
    const bool fixed_size = layer.integer(3, 0) != 0 || layer.integer(4, 0) != 0;
    const bool by_blob =
        layer.integer(5, 0) != 0 || layer.inputs.size() != 1 || !layer.text(9).empty();
    if (!zoom.known() || !(zoom == to_ratio(layer.number(2, 1.0F))) || fixed_size || by_blob ||
        kind < kNearest || kind > kBicubic || layer.integer(6, 0) != 0) {
        return rule;
    }
    rule.known = true;
    const bool bicubic = kind == kBicubic;
    rule.rows = kind == kNearest ? RowDependency{zoom.numerator, zoom.denominator}
                                 : RowDependency::resampling(zoom.numerator, zoom.denominator,
                                                             bicubic ? 1 : 0, bicubic ? 2 : 1);
    return rule;
}

LayerRule shuffle(const Layer& layer, bool to_channels) {
    const std::int64_t factor = layer.integer(0, 1);
    LayerRule rule;
    if (factor < 1) {
        return rule;
    }
    rule.known = true;
    rule.factor = factor * factor;
    rule.channels = to_channels ? LayerRule::Channels::times : LayerRule::Channels::divided;
    rule.rows = to_channels ? RowDependency{1, factor, 0, 2 * (factor - 1)} : RowDependency{factor};
    return rule;
}

// As converters write them: as many rows and columns off each end, of all channels.
LayerRule crop(const Layer& layer) {
    LayerRule rule;
    const std::vector<int> starts = layer.integers(9);
    const std::vector<int> ends = layer.integers(10);
    const std::vector<int> axes = layer.integers(11);
    const bool planes = axes == std::vector<int>{-2, -1} || axes == std::vector<int>{1, 2};
    std::int64_t lost = -1;
    if (layer.inputs.size() == 2 && layer.integer(0, 0) == layer.integer(1, 0) &&
        layer.integer(2, 0) == 0 && layer.text(19).empty()) {
        lost = layer.integer(0, 0);
        rule.as_second = true;
        rule.channels = LayerRule::Channels::second;
    } else if (layer.inputs.size() == 1 && planes && starts.size() == 2 && ends.size() == 2 &&
               starts[0] == starts[1] && ends[0] == -starts[0] && ends[1] == -starts[0]) {
        lost = starts[0];
    }
    if (lost < 0) return rule;
    rule.known = true;
    rule.rows = {1, 1, 2 * lost, 2 * lost};
    rule.more = -2 * lost;
    return rule;
}

LayerRule padding(const Layer& layer) {
    LayerRule rule;
    const std::int64_t before = layer.integer(0, 0);
    const std::int64_t after = layer.integer(1, 0);
    if (layer.integer(2, 0) != before || layer.integer(3, 0) != after || layer.integer(7, 0) != 0 ||
        layer.integer(8, 0) != 0) {
        return rule;
    }
    rule.known = true;
    rule.rows = {1, 1, -2 * before, -2 * before};
    rule.more = before + after;
    return rule;
}

LayerRule constant(const Layer& layer) {
    LayerRule rule;
    const int height = layer.integer(1, 0);
    const int channels = layer.integer(2, 0);
    rule.known = height <= 1;  // a constant picture would fix the size of the input
    rule.channels = LayerRule::Channels::fixed;
    rule.factor = channels > 0 ? channels : layer.integer(0, 0);
    return rule;
}

LayerRule along_channels(const Layer& layer, int axis_id, LayerRule::Channels channels) {
    LayerRule rule;
    rule.known = layer.integer(axis_id, 0) == 0;
    rule.channels = channels;
    return rule;
}

}  // namespace

Ratio operator*(const Ratio& a, const Ratio& b) {
    const std::int64_t numerator = a.numerator * b.numerator;
    const std::int64_t denominator = a.denominator * b.denominator;
    if (numerator == 0) return {};
    const std::int64_t divisor = std::gcd(numerator, denominator);
    const Ratio product{numerator / divisor, denominator / divisor};
    const bool bounded = product.numerator <= kMostRatio && product.denominator <= kMostRatio;
    return bounded ? product : Ratio{};
}

bool operator==(const Ratio& a, const Ratio& b) {
    return a.numerator == b.numerator && a.denominator == b.denominator;
}

std::set<std::size_t> pixel_norms(const Graph& graph) {
    constexpr int kChannelsFirst = 3;  // ncnn's orders of a Permute
    constexpr int kChannelsLast = 4;
    std::map<int, std::vector<std::size_t>> readers;  // by blob
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
        for (const int blob : graph.layers[i].inputs) readers[blob].push_back(i);
    }
    std::set<std::size_t> found;
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
        std::vector<std::size_t> three{i};
        while (three.size() < 3) {
            const std::vector<std::size_t>& next =
                readers[graph.layers[three.back()].outputs.at(0)];
            if (next.size() != 1) break;
            three.push_back(next[0]);
        }
        if (three.size() != 3) continue;
        const Layer& before = graph.layers[three[0]];
        const Layer& after = graph.layers[three[2]];
        if (before.type == "Permute" && before.integer(0, 0) == kChannelsFirst &&
            graph.layers[three[1]].type == "LayerNorm" && after.type == "Permute" &&
            after.integer(0, 0) == kChannelsLast) {
            found.insert(three.begin(), three.end());
        }
    }
    return found;
}

LayerRule layer_rule(const Layer& layer) {
    if (std::find(std::begin(kPointwise), std::end(kPointwise), layer.type) !=
        std::end(kPointwise)) {
        LayerRule rule;
        rule.known = true;
        return rule;
    }
    if (layer.type == "Convolution" || layer.type == "ConvolutionDepthWise") {
        return convolution(layer);
    }
    if (layer.type == "Deconvolution" || layer.type == "DeconvolutionDepthWise") {
        return deconvolution(layer);
    }
    if (layer.type == "Interp") {
        return interpolation(layer);
    }
    if (layer.type == "PixelShuffle" || layer.type == "Reorg") {
        return shuffle(layer, layer.type == "Reorg");
    }
    if (layer.type == "Concat" || layer.type == "Slice") {
        return layer.type == "Concat" ? along_channels(layer, 0, LayerRule::Channels::sum)
                                      : along_channels(layer, 1, LayerRule::Channels::slices);
    }
    if (layer.type == "Crop" || layer.type == "Padding") {
        return layer.type == "Crop" ? crop(layer) : padding(layer);
    }
    if (layer.type == "MemoryData") return constant(layer);
    LayerRule rule;
    rule.pools_all = layer.type == "Pooling" && layer.integer(4, 0) != 0;
    return rule;
}

}  // namespace realesrgan
