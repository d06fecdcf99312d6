#include "model/shape_inference.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "base/escape.hpp"
#include "base/integers.hpp"
#include "model/layer_kinds.hpp"
#include "model/layer_sizes.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {
namespace {

constexpr int kMostInputChannels = 64;
constexpr std::int64_t kMostBlobChannels = 1 << 20;

std::size_t at(int id) {
    return static_cast<std::size_t>(id);
}

// Of several inputs the first with a known zoom is the picture; the others are added to it, or are
// constants and per-channel factors.
Ratio picture_zoom(const Layer& layer, const std::vector<BlobSize>& blobs) {
    for (const int input : layer.inputs) {
        if (blobs[at(input)].zoom.known()) {
            return blobs[at(input)].zoom;
        }
    }
    return {};
}

int most_channels(const Layer& layer, const std::vector<BlobSize>& blobs) {
    int most = 0;
    for (const int input : layer.inputs) {
        most = std::max(most, blobs[at(input)].channels);
    }
    return most;
}

// More than any network has stands for "unknown".
int bounded(std::int64_t channels) {
    return channels > 0 && channels <= kMostBlobChannels ? static_cast<int>(channels) : 0;
}

int summed_channels(const Layer& layer, const std::vector<BlobSize>& blobs) {
    std::int64_t sum = 0;
    for (const int input : layer.inputs) {
        if (blobs[at(input)].channels == 0) {
            return 0;
        }
        sum += blobs[at(input)].channels;
    }
    return bounded(sum);
}

// The channels of each output of a Slice of known channels; 0 where the list does not tell.
std::vector<int> sliced_channels(const Layer& layer, int channels) {
    const std::vector<int> slices = layer.integers(0);
    std::vector<int> parts(layer.outputs.size(), 0);
    std::int64_t left = channels;
    for (std::size_t i = 0; i < std::min(parts.size(), slices.size()) && channels > 0; ++i) {
        const auto shares = static_cast<std::int64_t>(slices.size() - i);
        const std::int64_t part = slices[i] == kRest ? left / shares : slices[i];
        parts[i] = bounded(part);
        left -= part;
    }
    return parts;
}

// The channels of each output.
std::vector<int> out_channels(const Layer& layer, const LayerRule& rule,
                              const std::vector<BlobSize>& blobs) {
    const std::int64_t most = most_channels(layer, blobs);
    int channels = rule.known ? static_cast<int>(most) : 0;
    switch (rule.channels) {
        case LayerRule::Channels::fixed:
            channels = bounded(rule.factor);
            break;
        case LayerRule::Channels::sum:
            channels = summed_channels(layer, blobs);
            break;
        case LayerRule::Channels::times:
            channels = bounded(most * rule.factor);
            break;
        case LayerRule::Channels::divided:
            channels = bounded(most / rule.factor);
            break;
        case LayerRule::Channels::slices:
            return sliced_channels(layer, static_cast<int>(most));
        case LayerRule::Channels::same:
            break;
    }
    return std::vector<int>(layer.outputs.size(), channels);
}

bool weights_fit(const Layer& layer, const std::vector<BlobSize>& blobs) {
    if (layer.type != "Convolution" || layer.inputs.size() != 1) {
        return true;
    }
    const std::int64_t channels = blobs[at(layer.inputs[0])].channels;
    const std::int64_t kernel = layer.integer(1, 0);
    const std::int64_t area = kernel * layer.integer(11, static_cast<int>(kernel));
    return channels == 0 || channels * area * layer.integer(0, 0) == layer.integer(6, 0);
}

// With this number of input channels; nothing where the convolutions' weights do not fit it.
std::optional<Trace> trace_with(const Graph& graph, const std::vector<LayerRule>& rules,
                                int input_channels) {
    Trace result;
    result.rules = rules;
    result.input_channels = input_channels;
    result.blobs.resize(graph.blobs.size());
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
        const Layer& layer = graph.layers[i];
        const LayerRule& rule = rules[i];
        result.known = result.known && rule.known;
        if (!weights_fit(layer, result.blobs)) return std::nullopt;
        const Ratio zoom =
            rule.known ? picture_zoom(layer, result.blobs) * Ratio{rule.rows.up, rule.rows.down}
                       : Ratio{};
        const std::vector<int> channels = out_channels(layer, rule, result.blobs);
        for (std::size_t o = 0; o < layer.outputs.size(); ++o) {
            result.blobs[at(layer.outputs[o])] = layer.outputs[o] == graph.input
                                                     ? BlobSize{input_channels, {1, 1}}
                                                     : BlobSize{channels[o], zoom};
        }
        if (zoom.known() && result.alignment <= kMostAlignment) {
            result.alignment = std::lcm(result.alignment, zoom.denominator);
        }
    }
    return result;
}

// The side of an input to try sizes with: a multiple of the alignment and, for kernels that
// networks have, larger than any of them.
std::int64_t sample_side(const Graph& graph, std::int64_t alignment) {
    constexpr std::int64_t kUsual = 64;
    constexpr std::int64_t kMost = 4096;
    std::int64_t side = kUsual;
    for (const Layer& layer : graph.layers) {
        const std::int64_t dilation = std::max(layer.integer(2, 1), layer.integer(12, 1));
        const std::int64_t kernel = std::max(layer.integer(1, 1), layer.integer(11, 1));
        const bool window = layer.type.find("onvolution") != std::string::npos ||
                            layer.type == "Pooling" || layer.type == "Unfold";
        if (window) side = std::max(side, std::min(kernel * dilation, kMost));
    }
    return round_up(side, alignment);
}

Shape traced_shape(const BlobSize& blob, std::int64_t side) {
    if (!blob.zoom.known() || blob.channels == 0) {
        return {};
    }
    const std::int64_t zoomed = side * blob.zoom.numerator / blob.zoom.denominator;
    return Shape::picture(zoomed, zoomed, blob.channels);
}

struct Interval {
    std::int64_t low;
    std::int64_t high;
};

// The input rows that output row `row` of the network needs.
Interval needed_input(const Graph& graph, const Trace& sizes, std::int64_t row) {
    std::vector<std::optional<Interval>> blobs(graph.blobs.size());
    blobs[at(graph.output)] = Interval{row, row};
    for (std::size_t i = graph.layers.size(); i-- > 0;) {
        for (const int output : graph.layers[i].outputs) {
            if (!blobs[at(output)]) {
                continue;
            }
            const RowDependency& reads = sizes.rules[i].rows;
            const Interval rows{reads.first_row(blobs[at(output)]->low),
                                reads.rows_end(blobs[at(output)]->high + 1) - 1};
            for (const int input : graph.layers[i].inputs) {
                std::optional<Interval>& known = blobs[at(input)];
                known = known ? Interval{std::min(known->low, rows.low),
                                         std::max(known->high, rows.high)}
                              : rows;
            }
        }
    }
    return blobs[at(graph.input)].value_or(Interval{0, 0});
}

void check_sizes(const Graph& graph, const Trace& sizes) {
    if (sizes.alignment > kMostAlignment) {
        throw ModelError("the network needs pictures whose sides are multiples of more than " +
                         std::to_string(kMostAlignment) + ", which is not supported");
    }
    const std::int64_t side = sample_side(graph, sizes.alignment);
    for (const Layer& layer : graph.layers) {
        std::vector<Shape> inputs;
        for (const int input : layer.inputs) {
            inputs.push_back(traced_shape(sizes.blobs[at(input)], side));
        }
        const std::string fault = size_fault(layer, inputs);
        if (!fault.empty()) {
            throw ModelError(layer_title(layer) + " " + fault);
        }
    }
}

}  // namespace

Trace trace(const Graph& graph) {
    constexpr int kUsual = 3;
    std::vector<LayerRule> rules;
    for (const Layer& layer : graph.layers) rules.push_back(layer_rule(layer));
    std::optional<Trace> result = trace_with(graph, rules, kUsual);
    for (int channels = 1; channels <= kMostInputChannels && !result; ++channels) {
        result = trace_with(graph, rules, channels);
    }
    if (!result) {
        throw ModelError("output " + shown_name(graph.output_name()) +
                         ": no number of input channels fits the sizes of the convolutions' "
                         "weights; the .param file is damaged");
    }
    check_sizes(graph, *result);
    return *std::move(result);
}

int receptive_field(const Graph& graph, const Trace& sizes) {
    constexpr std::int64_t kMostSteps = 1 << 24;
    const std::int64_t scale = sizes.blobs[at(graph.output)].zoom.numerator;
    const std::int64_t period = sizes.alignment;  // phases repeat after it
    const std::int64_t home = std::int64_t{1} << 20;
    const auto layers = static_cast<std::int64_t>(graph.layers.size());
    if (period * scale > kMostSteps / layers) {
        return kFieldUnknown;
    }
    std::int64_t field = 0;
    for (std::int64_t phase = 0; phase < period * scale; ++phase) {
        const std::int64_t input = home * period + phase / scale;
        const Interval rows = needed_input(graph, sizes, home * period * scale + phase);
        field = std::max({field, input - rows.low, rows.high - input});
    }
    return static_cast<int>(std::min<std::int64_t>(field, 1 << 20));
}

NetworkInfo inspect(const Graph& graph) {
    const Trace sizes = trace(graph);
    const BlobSize& output = sizes.blobs[idx(graph.output)];
    if (output.zoom.known() && output.zoom.denominator != 1) {
        throw ModelError("output " + shown_name(graph.output_name()) +
                         ": the network's result is " + std::to_string(output.zoom.value()) +
                         " times its input; only whole scales from 1 are supported");
    }
    if (output.zoom.numerator > kMostScale) {
        throw ModelError("output " + shown_name(graph.output_name()) +
                         ": the network's result is " + std::to_string(output.zoom.numerator) +
                         " times its input; scales to 64 are supported");
    }
    NetworkInfo info;
    info.scale = static_cast<int>(output.zoom.numerator);
    info.input_channels = sizes.input_channels;
    info.output_channels = output.channels;
    info.receptive_field =
        sizes.known && output.zoom.known() ? receptive_field(graph, sizes) : kFieldUnknown;
    return info;
}

}  // namespace realesrgan
