#include "program/fuse.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/integers.hpp"
#include "model/weight_file.hpp"
#include "program/lowering.hpp"

namespace realesrgan {

namespace {

// Where a convolution's numbers come from, and how they are laid out for its op.
struct ConvolutionSource {
    std::size_t layer = 0;
    int first_output = 0;  // of the layer's channels, the op's first
    std::optional<std::size_t> prelu;
    KernelFold fold;
    std::vector<int> input_parts;  // channels of the tensors read, in order, each starting aligned
};

// Assigns to every node of a lowered graph channels of a tensor.
class BufferAssigner {
  public:
    explicit BufferAssigner(const LoweredGraph& lowered)
        : lowered_(lowered), places_(lowered.nodes.size()) {}

    Program place(std::vector<ConvolutionSource>& sources) {
        place_input();
        place_concats();
        for (std::size_t i = 1; i < lowered_.nodes.size(); ++i) {
            if (places_[i].tensor < 0) append(i, new_tensor(lowered_.nodes[i].scale));
        }
        find_readers();
        for (std::size_t i = 1; i < lowered_.nodes.size(); ++i) emit(i, sources);
        if (lowered_.output + 1 != lowered_.nodes.size()) {
            throw NotStreamable("it computes tensors that the output does not depend on");
        }
        program_.output = places_[lowered_.output];
        if (program_.tensor(program_.output).scale % program_.alignment != 0) {
            throw NotStreamable("its result is not a whole number of times the picture's size");
        }
        return std::move(program_);
    }

  private:
    void place_input() {
        append(0, new_tensor(lowered_.nodes[0].scale));
        program_.input = places_[0];
        program_.unshuffle = lowered_.unshuffle;
        program_.alignment = lowered_.alignment;
        program_.border = lowered_.border;
        program_.picture_channels = places_[0].channels / (lowered_.unshuffle * lowered_.unshuffle);
    }

    int new_tensor(int scale) {
        program_.tensors.push_back(Tensor{0, scale});
        return static_cast<int>(program_.tensors.size()) - 1;
    }

    void append(std::size_t node, int tensor) {
        Tensor& into = program_.tensors[idx(tensor)];
        const int channel = round_up(into.channels, kChannelAlignment);
        places_[node] = ChannelSlice{tensor, channel, lowered_.nodes[node].channels};
        into.channels = channel + lowered_.nodes[node].channels;
    }

    // Longest first, so that a dense block's last concatenation makes the tensor and the shorter
    // ones are its beginnings.
    void place_concats() {
        std::vector<const Value*> concats;
        for (const Node& node : lowered_.nodes) {
            if (node.input.parts.size() > 1) concats.push_back(&node.input);
        }
        std::stable_sort(concats.begin(), concats.end(), [](const Value* a, const Value* b) {
            return a->parts.size() > b->parts.size();
        });
        for (const Value* concat : concats) place_concat(concat->parts);
    }

    void place_concat(const std::vector<std::size_t>& parts) {
        const bool fresh = std::all_of(parts.begin(), parts.end(),
                                       [&](std::size_t part) { return places_[part].tensor < 0; });
        if (fresh) {
            const int tensor = new_tensor(lowered_.nodes[parts[0]].scale);
            for (const std::size_t part : parts) {
                if (places_[part].tensor >= 0)
                    throw NotStreamable("a tensor is concatenated with itself");
                append(part, tensor);
            }
            return;
        }
        for (std::size_t i = 1; i < parts.size(); ++i) {
            const ChannelSlice& before = places_[parts[i - 1]];
            const ChannelSlice& slice = places_[parts[i]];
            const int next = round_up(before.channel + before.channels, kChannelAlignment);
            if (before.tensor < 0 || slice.tensor != before.tensor || slice.channel != next) {
                throw NotStreamable("its concatenations overlap in a way that needs copies");
            }
        }
    }

    ChannelSlice slice_of(const Value& value) const {
        const ChannelSlice& first = places_[value.parts.front()];
        const ChannelSlice& last = places_[value.parts.back()];
        return ChannelSlice{first.tensor, first.channel,
                            last.channel + last.channels - first.channel};
    }

    // For every tensor, the last node that reads it as a convolution, shuffle or resize does.
    void find_readers() {
        last_reader_.assign(program_.tensors.size(), 0);
        for (std::size_t i = 1; i < lowered_.nodes.size(); ++i) {
            for (const std::size_t part : lowered_.nodes[i].input.parts) {
                last_reader_[idx(places_[part].tensor)] = i;
            }
        }
    }

    // A skip that reaches further back than a dense block's own readers would make the whole wide
    // tensor keep its rows for it; such a tensor is written to a narrow tensor as well.
    ChannelSlice skip_place(std::size_t source, std::size_t reader) {
        const ChannelSlice& home = places_[source];
        const bool wide =
            program_.tensor(home).channels > round_up(home.channels, kChannelAlignment);
        if (source == 0 || !wide || reader <= last_reader_[idx(home.tensor)]) {
            return home;
        }
        Op& writer = program_.ops[source - 1];
        if (!writer.duplicate_output) {
            const int tensor = new_tensor(lowered_.nodes[source].scale);
            program_.tensors.back().channels = home.channels;
            writer.duplicate_output = ChannelSlice{tensor, 0, home.channels};
        }
        return *writer.duplicate_output;
    }

    void emit(std::size_t index, std::vector<ConvolutionSource>& sources) {
        const Node& node = lowered_.nodes[index];
        Op op;
        op.kind = node.kind;
        op.input = slice_of(node.input);
        op.upsample = node.input.upsample;
        op.kernel = node.kernel;
        op.epsilon = node.epsilon;
        op.output = places_[index];
        op.activation = node.activation;
        op.slope = node.slope;
        op.gate = node.gate;
        op.factor = node.factor;
        op.phase = node.phase;
        op.resize = node.resize;
        op.layers = node.layers;
        for (const LoweredSkip& skip : node.skips) {
            const ChannelSlice from = skip.from.parts.size() > 1
                                          ? slice_of(skip.from)
                                          : skip_place(skip.from.parts[0], index);
            op.skips.push_back(Skip{from, skip.value_scale, skip.skip_scale, skip.from.upsample,
                                    skip.shift, skip.product});
        }
        const bool depthwise = node.kind == OpKind::depthwise || node.kind == OpKind::layer_norm;
        if (node.kind == OpKind::convolution || depthwise) {
            op.convolution = static_cast<int>(sources.size());
            program_.convolutions.push_back(ConvolutionShape{
                depthwise ? 1 : op.input.channels, node.channels, node.kernel, depthwise});
            sources.push_back(source_of(node));
        }
        program_.ops.push_back(std::move(op));
    }

    ConvolutionSource source_of(const Node& node) const {
        ConvolutionSource source;
        source.layer = node.layer;
        source.first_output = node.first_output;
        source.prelu = node.prelu;
        source.fold = node.fold;
        for (const std::size_t part : node.input.parts) {
            source.input_parts.push_back(lowered_.nodes[part].channels);
        }
        return source;
    }

    const LoweredGraph& lowered_;
    Program program_;
    std::vector<ChannelSlice> places_;      // by node
    std::vector<std::size_t> last_reader_;  // by tensor, a node
};

// The steps of the picture's transform one after the other, for each channel.
std::vector<InputTransform> input_transform(const LoweredGraph& lowered, const WeightFile& file,
                                            int channels) {
    if (lowered.input_steps.empty()) return {};
    std::vector<double> scales(idx(channels), 1.0);
    std::vector<double> shifts(idx(channels), 0.0);
    for (const InputStep& step : lowered.input_steps) {
        const std::vector<float> numbers =
            step.constant ? file.kernel(*step.constant) : std::vector<float>{step.number};
        for (std::size_t c = 0; c < scales.size(); ++c) {
            const double number = numbers[numbers.size() > 1 ? c : 0];
            if (step.product) {
                const double factor = step.inverse ? 1.0 / number : number;
                scales[c] *= factor;
                shifts[c] *= factor;
            } else {
                shifts[c] += step.inverse ? -number : number;
            }
        }
    }
    std::vector<InputTransform> transform;
    for (std::size_t c = 0; c < scales.size(); ++c) {
        transform.push_back({static_cast<float>(scales[c]), static_cast<float>(shifts[c])});
    }
    return transform;
}

// Of an op's kernel, the tap at row `y` and column `x` from its middle; `inputs`: the layer's.
template <typename Value>
Value folded_tap(const std::vector<Value>& kernel, const KernelFold& fold, int inputs, int output,
                 int input, int y, int x) {
    const int s = fold.stride;
    const int part = fold.transposed ? output : input;
    const auto tap = [&](int at, int part_of_axis) {
        return fold.transposed ? part_of_axis + fold.shift - s * at
                               : s * at + part_of_axis - fold.shift;
    };
    const int row = tap(y, part / s % s);
    const int column = tap(x, part % s);
    if (row < 0 || row >= fold.side || column < 0 || column >= fold.side) return Value{0};
    const int to = fold.transposed ? output / (s * s) : output;
    const int from = fold.transposed ? input : input / (s * s);
    const std::size_t plane = idx(to) * idx(inputs) + idx(from);
    return kernel[(plane * idx(fold.side) + idx(row)) * idx(fold.side) + idx(column)];
}

// From the order of the file to that of the op, which has gaps between what it reads.
template <typename Value>
std::vector<Value> arranged(std::vector<Value> kernel, const ConvolutionSource& source,
                            const ConvolutionShape& shape) {
    int total = 0;
    for (const int part : source.input_parts) total += part;
    if (shape.depthwise) total = 1;
    const std::size_t taps = idx(shape.kernel) * idx(shape.kernel);
    const std::size_t outputs = idx(shape.outputs);
    const std::size_t inputs = idx(shape.inputs);
    const std::size_t before = idx(source.first_output);
    const KernelFold& fold = source.fold;
    if (fold.side == 0 && total == shape.inputs) {
        const std::size_t each = inputs * taps;
        if (kernel.size() == outputs * each) return kernel;  // as the file has it
        const auto first = kernel.begin() + static_cast<std::ptrdiff_t>(before * each);
        return {first, first + static_cast<std::ptrdiff_t>(outputs * each)};
    }
    const int half = shape.kernel / 2;
    const int layer_inputs = fold.transposed ? total : total / (fold.stride * fold.stride);
    std::vector<Value> placed(outputs * inputs * taps, Value{0});
    for (std::size_t o = 0; o < outputs; ++o) {
        int read = 0;
        int place = 0;
        for (const int part : source.input_parts) {
            Value* to = &placed[(o * inputs + idx(place)) * taps];
            if (fold.side == 0) {
                const std::size_t from = (before + o) * idx(total) + idx(read);
                std::copy_n(&kernel[from * taps], idx(part) * taps, to);
            } else {
                for (std::size_t t = 0; t < idx(part) * taps; ++t) {
                    const int tap = static_cast<int>(t % taps);
                    to[t] = folded_tap(kernel, fold, layer_inputs, static_cast<int>(before + o),
                                       read + static_cast<int>(t / taps), tap / shape.kernel - half,
                                       tap % shape.kernel - half);
                }
            }
            read += part;
            place += round_up(part, kChannelAlignment);
        }
    }
    return placed;
}

// An op's part of what a layer has one number an output channel of.
std::vector<float> own_part(const std::vector<float>& layer, const ConvolutionSource& source,
                            const ConvolutionShape& shape) {
    std::vector<float> all = layer;
    if (source.fold.transposed) {
        const std::size_t each = idx(source.fold.stride) * idx(source.fold.stride);
        all.resize(layer.size() * each);
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = layer[i / each];
    }
    std::vector<float> part(idx(shape.outputs), 0.0F);
    const std::size_t first = std::min(all.size(), idx(source.first_output));
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(first),
                std::min(part.size(), all.size() - first), part.begin());
    return part;
}

ConvolutionWeights load_convolution(const WeightFile& file, const ConvolutionSource& source,
                                    const ConvolutionShape& shape, bool accept_fp16) {
    ConvolutionWeights weights;
    weights.inputs = shape.inputs;
    weights.outputs = shape.outputs;
    weights.side = shape.kernel;
    if (!file.has_kernel(source.layer)) {  // a norm without weights
        weights.kernel.assign(idx(shape.outputs), 1.0F);
        weights.bias.assign(idx(shape.outputs), 0.0F);
        return weights;
    }
    if (accept_fp16 && file.has_fp16(source.layer)) {
        weights.fp16 = arranged(file.fp16(source.layer), source, shape);
    } else {
        weights.kernel = arranged(file.kernel(source.layer), source, shape);
    }
    weights.bias = own_part(file.bias(source.layer), source, shape);
    if (source.prelu) {
        weights.slopes = file.slopes(*source.prelu);
        const bool one = weights.slopes.size() == 1;  // it serves all channels
        weights.slopes = one ? std::vector<float>(idx(shape.outputs), weights.slopes[0])
                             : own_part(weights.slopes, source, shape);
    }
    return weights;
}

}  // namespace

bool is_row_local(const Graph& graph) {
    std::vector<ConvolutionSource> sources;
    try {
        const LoweredGraph lowered = lower_graph(graph);
        BufferAssigner(lowered).place(sources);
        return true;
    } catch (const NotStreamable&) {
        return false;
    }
}

FuseResult fuse(const Graph& graph, const std::string& bin_path) {
    FusedNetwork network;
    std::vector<ConvolutionSource> sources;
    LoweredGraph lowered;
    try {
        lowered = lower_graph(graph);
        network.program = BufferAssigner(lowered).place(sources);
    } catch (const NotStreamable& why) {
        return FuseResult{std::nullopt, why.what()};
    }
    const auto file = std::make_shared<const WeightFile>(graph, bin_path);
    network.program.input_transform =
        input_transform(lowered, *file, network.program.picture_channels);
    network.weights = [file, sources, shapes = network.program.convolutions](int index,
                                                                             bool accept_fp16) {
        const auto i = static_cast<std::size_t>(index);
        return load_convolution(*file, sources[i], shapes[i], accept_fp16);
    };
    return FuseResult{std::move(network), {}};
}

}  // namespace realesrgan
