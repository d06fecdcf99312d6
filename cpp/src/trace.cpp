#include "trace.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

namespace realesrgan {
namespace {

constexpr int kMostChannels = 64;
constexpr int kSlicesRest = -233;  // "the rest, shared equally" in a Slice's list

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

int summed_channels(const Layer& layer, const std::vector<BlobSize>& blobs) {
    int sum = 0;
    for (const int input : layer.inputs) {
        if (blobs[at(input)].channels == 0) {
            return 0;
        }
        sum += blobs[at(input)].channels;
    }
    return sum;
}

int slice_channels(const Layer& layer, int channels, std::size_t index) {
    const std::vector<float> slices = layer.array(0);
    if (index >= slices.size()) {
        return 0;
    }
    const auto listed = static_cast<int>(slices[index]);
    if (listed != kSlicesRest) {
        return listed;
    }
    int rest = channels;
    for (std::size_t i = 0; i < index; ++i) {
        rest -= slice_channels(layer, channels, i);
    }
    return rest / static_cast<int>(slices.size() - index);
}

int out_channels(const Layer& layer, const LayerRule& rule, const std::vector<BlobSize>& blobs,
                 std::size_t index) {
    const int most = most_channels(layer, blobs);
    switch (rule.channels) {
        case LayerRule::Channels::fixed:
            return rule.factor;
        case LayerRule::Channels::sum:
            return summed_channels(layer, blobs);
        case LayerRule::Channels::times:
            return most * rule.factor;
        case LayerRule::Channels::divided:
            return most / rule.factor;
        case LayerRule::Channels::slices:
            return slice_channels(layer, most, index);
        case LayerRule::Channels::same:
            break;
    }
    return rule.known ? most : 0;
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

Trace trace_with(const Graph& graph, int input_channels) {
    Trace result;
    result.input_channels = input_channels;
    result.blobs.resize(graph.blobs.size());
    for (const Layer& layer : graph.layers) {
        const LayerRule rule = layer_rule(layer);
        result.rules.push_back(rule);
        result.known = result.known && rule.known;
        result.consistent = result.consistent && weights_fit(layer, result.blobs);
        const Ratio step = rule.footprint.step;
        const Ratio zoom =
            rule.known ? picture_zoom(layer, result.blobs) * Ratio{step.denominator, step.numerator}
                       : Ratio{};
        for (std::size_t i = 0; i < layer.outputs.size(); ++i) {
            BlobSize& blob = result.blobs[at(layer.outputs[i])];
            blob = layer.outputs[i] == graph.input
                       ? BlobSize{input_channels, {1, 1}}
                       : BlobSize{out_channels(layer, rule, result.blobs, i), zoom};
            if (zoom.known()) {
                result.alignment = std::lcm(result.alignment, blob.zoom.denominator);
            }
        }
    }
    return result;
}

struct Interval {
    std::int64_t low;
    std::int64_t high;
};

Interval needed(const Footprint& footprint, const Interval& out) {
    const double step = footprint.step.value();
    const auto source = [&](std::int64_t row) {
        return static_cast<std::int64_t>(
            std::floor(static_cast<double>(row) * step + footprint.offset));
    };
    return {source(out.low) + footprint.low, source(out.high) + footprint.high};
}

// The input rows that output row `row` of the network needs.
Interval needed_input(const Graph& graph, const Trace& sizes, std::int64_t row) {
    std::vector<std::optional<Interval>> blobs(graph.blobs.size());
    blobs[at(graph.output)] = Interval{row, row};
    for (std::size_t i = graph.layers.size(); i-- > 0;) {
        for (const int output : graph.layers[i].outputs) {
            if (!blobs[at(output)]) {
                continue;
            }
            const Interval rows = needed(sizes.rules[i].footprint, *blobs[at(output)]);
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

}  // namespace

Trace trace(const Graph& graph) {
    constexpr int kUsual = 3;
    const Trace usual = trace_with(graph, kUsual);
    if (usual.consistent) {
        return usual;
    }
    for (int channels = 1; channels <= kMostChannels; ++channels) {
        Trace other = trace_with(graph, channels);
        if (other.consistent) {
            return other;
        }
    }
    return usual;
}

int receptive_field(const Graph& graph, const Trace& sizes) {
    const int scale = sizes.blobs[at(graph.output)].zoom.numerator;
    const std::int64_t period = sizes.alignment;  // phases repeat after it
    const std::int64_t home = std::int64_t{1} << 20;
    std::int64_t field = 0;
    for (std::int64_t phase = 0; phase < period * scale; ++phase) {
        const std::int64_t input = home * period + phase / scale;
        const Interval rows = needed_input(graph, sizes, home * period * scale + phase);
        field = std::max({field, input - rows.low, rows.high - input});
    }
    return static_cast<int>(std::min<std::int64_t>(field, 1 << 20));
}

}  // namespace realesrgan
