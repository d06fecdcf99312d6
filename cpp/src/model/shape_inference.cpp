#include "model/shape_inference.hpp"

#include <algorithm>
#include <cmath>
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
constexpr std::int64_t kMostBorder = 1024;  // on both sides together

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
        case LayerRule::Channels::second:
            channels = blobs[at(layer.inputs[1])].channels;
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

bool makes_vector(const Layer& layer, const LayerRule& rule, const std::vector<BlobSize>& blobs) {
    return rule.pools_all || (!layer.inputs.empty() &&
                              std::all_of(layer.inputs.begin(), layer.inputs.end(),
                                          [&](int input) { return blobs[at(input)].vector; }));
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
        const bool vector = makes_vector(layer, rule, result.blobs);
        result.local = result.local && (rule.known || vector);
        if (!weights_fit(layer, result.blobs)) return std::nullopt;
        const Ratio zoom = rule.known && !vector ? picture_zoom(layer, result.blobs) *
                                                       Ratio{rule.rows.up, rule.rows.down}
                                                 : Ratio{};
        const std::vector<int> channels = out_channels(layer, rule, result.blobs);
        for (std::size_t o = 0; o < layer.outputs.size(); ++o) {
            result.blobs[at(layer.outputs[o])] = layer.outputs[o] == graph.input
                                                     ? BlobSize{input_channels, {1, 1}, 0, false}
                                                     : BlobSize{channels[o], zoom, 0, vector};
        }
        if (zoom.known() && result.alignment <= kMostAlignment) {
            result.alignment = std::lcm(result.alignment, zoom.denominator);
        }
    }
    return result;
}

// The rows that each blob has beyond its zoom times the largest multiple of the alignment in the
// input's rows, which are `rest` more than that; 0 where the zoom is unknown. Nothing where layers
// would get inputs of different sizes.
std::optional<std::vector<std::int64_t>> follow_rest(const Graph& graph, const Trace& sizes,
                                                     std::int64_t rest) {
    std::vector<std::int64_t> rows(graph.blobs.size(), 0);
    rows[at(graph.input)] = rest;
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
        const Layer& layer = graph.layers[i];
        const LayerRule& rule = sizes.rules[i];
        std::optional<int> first;
        for (const int input : layer.inputs) {
            const Ratio& zoom = sizes.blobs[at(input)].zoom;
            if (!zoom.known()) continue;
            if (!first) {
                first = input;
                continue;
            }
            const std::int64_t wanted = rows[at(*first)] + (rule.as_second ? rule.more : 0);
            if (zoom == sizes.blobs[at(*first)].zoom && rows[at(input)] != wanted) {
                return std::nullopt;
            }
        }
        if (!first) continue;
        const std::int64_t made =
            floor_div(rule.rows.up * rows[at(*first)] + rule.more, rule.rows.down);
        for (const int output : layer.outputs) {
            if (sizes.blobs[at(output)].zoom.known()) rows[at(output)] = made;
        }
    }
    return rows;
}

// Finds the rest and the border: the smallest one that is the same on each side.
void find_border(const Graph& graph, Trace& sizes) {
    const std::int64_t zoom = sizes.blobs[at(graph.output)].zoom.numerator;
    const bool whole = sizes.blobs[at(graph.output)].zoom.denominator == 1;
    if (zoom == 0 || !whole || sizes.alignment > kMostAlignment) return;
    for (std::int64_t rest = 0; rest < sizes.alignment && sizes.border != 0; ++rest) {
        const auto rows = follow_rest(graph, sizes, rest);
        if (!rows) continue;
        const std::int64_t lost = rest * zoom - (*rows)[at(graph.output)];
        if (lost < 0 || lost % (2 * zoom) != 0 || lost / zoom > kMostBorder) continue;
        const int border = static_cast<int>(lost / (2 * zoom));
        if (sizes.border && *sizes.border <= border) continue;
        sizes.border = border;
        sizes.rest = rest;
        for (std::size_t i = 0; i < sizes.blobs.size(); ++i) {
            BlobSize& blob = sizes.blobs[i];
            blob.offset = blob.zoom.known() ? static_cast<double>((*rows)[i]) -
                                                  static_cast<double>(rest) * blob.zoom.value()
                                            : 0;
        }
    }
}

// The side of an input to try sizes with: of a length that the network takes and, for kernels that
// networks have, larger than any of them.
std::int64_t sample_side(const Graph& graph, const Trace& sizes) {
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
    return round_up(side + 2 * sizes.border.value_or(0), sizes.alignment) + sizes.rest;
}

Shape traced_shape(const BlobSize& blob, std::int64_t side, std::int64_t rest) {
    if (!blob.zoom.known() || blob.channels == 0) {
        return {};
    }
    const std::int64_t rows =
        (side - rest) * blob.zoom.numerator / blob.zoom.denominator +
        std::llround(static_cast<double>(rest) * blob.zoom.value() + blob.offset);
    return rows > 0 ? Shape::picture(rows, rows, blob.channels) : Shape{};
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
            if (!blobs[at(output)] || sizes.blobs[at(output)].vector) {
                continue;
            }
            const RowDependency& reads = sizes.rules[i].rows;
            const Interval rows{reads.first_row(blobs[at(output)]->low),
                                reads.rows_end(blobs[at(output)]->high + 1) - 1};
            for (const int input : graph.layers[i].inputs) {
                const bool shape_alone =
                    sizes.rules[i].as_second && input != graph.layers[i].inputs.front();
                if (shape_alone) continue;
                std::optional<Interval>& known = blobs[at(input)];
                known = known ? Interval{std::min(known->low, rows.low),
                                         std::max(known->high, rows.high)}
                              : rows;
            }
        }
    }
    return blobs[at(graph.input)].value_or(Interval{0, 0});
}

// Real-CUGAN's network for 4x leaves the last addition to the program that runs it. Its graph
// differs from those for 2x and 3x by its end; the names are those by which its own programs reach
// its four poolings, and are kept by whoever converts it for them.
bool lacks_enlarged_source(const Graph& graph, const NetworkInfo& info) {
    constexpr int kScale = 4;
    if (info.scale != kScale || info.border == 0 || info.input_channels != info.output_channels ||
        graph.layers.back().type != "PixelShuffle") {
        return false;
    }
    const std::vector<std::string> names = {"gap0", "gap1", "gap2", "gap3"};
    return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
        return std::find(graph.blobs.begin(), graph.blobs.end(), name) != graph.blobs.end();
    });
}

void check_sizes(const Graph& graph, const Trace& sizes) {
    if (sizes.alignment > kMostAlignment) {
        throw ModelError("the network needs pictures whose sides are multiples of more than " +
                         std::to_string(kMostAlignment) + ", which is not supported");
    }
    const std::int64_t side = sample_side(graph, sizes);
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
        const Layer& layer = graph.layers[i];
        const bool permuted = sizes.pixel_norms.count(i) != 0 && layer.type == "LayerNorm";
        std::vector<Shape> inputs;
        for (const int input : layer.inputs) {
            const Shape shape = traced_shape(sizes.blobs[at(input)], side, sizes.rest);
            inputs.push_back(permuted && shape.dims > 0 ? Shape::picture(shape.c, shape.w, shape.h)
                                                        : shape);
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
    const std::set<std::size_t> norms = pixel_norms(graph);
    std::vector<LayerRule> rules;
    for (const Layer& layer : graph.layers) {
        rules.push_back(layer_rule(layer));
        if (norms.count(rules.size() - 1) != 0) rules.back().known = true;
    }
    std::optional<Trace> result = trace_with(graph, rules, kUsual);
    for (int channels = 1; channels <= kMostInputChannels && !result; ++channels) {
        result = trace_with(graph, rules, channels);
    }
    if (!result) {
        throw ModelError("output " + shown_name(graph.output_name()) +
                         ": no number of input channels fits the sizes of the convolutions' "
                         "weights; the .param file is damaged");
    }
    result->pixel_norms = norms;
    find_border(graph, *result);
    check_sizes(graph, *result);
    return *std::move(result);
}

bool is_field_known(const Graph& graph, const Trace& sizes) {
    // Vectors hold values of the whole picture: their reach is not known, but for networks that
    // lose a border, which are made to be run on parts of a picture.
    const bool traced = sizes.known || (sizes.local && sizes.border.value_or(0) > 0);
    return traced && sizes.blobs[at(graph.output)].zoom.known();
}

int receptive_field(const Graph& graph, const Trace& sizes) {
    constexpr std::int64_t kMostSteps = 1 << 24;
    const std::int64_t scale = sizes.blobs[at(graph.output)].zoom.numerator;
    const std::int64_t period = sizes.alignment;  // phases repeat after it
    const std::int64_t home = std::int64_t{1} << 20;
    if (period * scale > kMostSteps / static_cast<std::int64_t>(graph.layers.size())) {
        return kFieldUnknown;
    }
    std::int64_t field = 0;
    for (std::int64_t phase = 0; phase < period * scale; ++phase) {
        const std::int64_t input = home * period + phase / scale + sizes.border.value_or(0);
        const Interval rows = needed_input(graph, sizes, home * period * scale + phase);
        field = std::max({field, input - rows.low, rows.high - input});
    }
    return static_cast<int>(std::min<std::int64_t>(field, 1 << 20));
}

double BlobSize::rows(double input_rows) const {
    return std::max(0.0, std::ceil(input_rows * zoom.value() + offset));
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
    info.scale = sizes.border ? static_cast<int>(output.zoom.numerator) : 0;
    info.border = sizes.border.value_or(0);
    info.input_channels = sizes.input_channels;
    info.output_channels = output.channels;
    info.receptive_field =
        is_field_known(graph, sizes) ? receptive_field(graph, sizes) : kFieldUnknown;
    info.pools_all = std::any_of(sizes.rules.begin(), sizes.rules.end(),
                                 [](const LayerRule& rule) { return rule.pools_all; });
    info.adds_source = lacks_enlarged_source(graph, info);
    return info;
}

}  // namespace realesrgan
