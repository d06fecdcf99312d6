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
    std::optional<std::size_t> prelu;
    int kernel = 3;                // of the layer
    int unshuffle = 1;             // folded into the layer's kernel
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
        if (program_.tensor(program_.output).scale % program_.unshuffle != 0) {
            throw NotStreamable("its result is not a whole number of times the picture's size");
        }
        return std::move(program_);
    }

  private:
    void place_input() {
        append(0, new_tensor(1));
        program_.input = places_[0];
        program_.unshuffle = lowered_.unshuffle;
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
        op.output = places_[index];
        op.activation = node.activation;
        op.slope = node.slope;
        op.gate = node.gate;
        op.factor = node.factor;
        op.resize = node.resize;
        op.layers = node.layers;
        for (const LoweredSkip& skip : node.skips) {
            op.skips.push_back(Skip{skip_place(skip.from.parts[0], index), skip.value_scale,
                                    skip.skip_scale, skip.from.upsample});
        }
        if (node.kind == OpKind::convolution) {
            op.convolution = static_cast<int>(sources.size());
            program_.convolutions.push_back(ConvolutionShape{op.input.channels, node.channels});
            sources.push_back(source_of(node));
        }
        program_.ops.push_back(std::move(op));
    }

    ConvolutionSource source_of(const Node& node) const {
        ConvolutionSource source;
        source.layer = node.layer;
        source.prelu = node.prelu;
        source.kernel = node.kernel;
        source.unshuffle = node.kernel > 3 ? lowered_.unshuffle : 1;
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

// Tap (ky, kx) of a 3x3 kernel on the unshuffled input from the layer's own kernel of any size.
template <typename Value>
Value tap(const std::vector<Value>& kernel, const ConvolutionSource& source, std::size_t output,
          int inputs, int input, int ky, int kx) {
    const int r = source.unshuffle;
    const int size = source.kernel;
    const int channel = input / (r * r);
    const int y = size == 1 ? 0 : ky * r + input / r % r;
    const int x = size == 1 ? 0 : kx * r + input % r;
    if (size == 1 && (ky != 1 || kx != 1)) return Value{0};
    const std::size_t plane =
        output * static_cast<std::size_t>(inputs / (r * r)) + static_cast<std::size_t>(channel);
    return kernel[(plane * static_cast<std::size_t>(size) + static_cast<std::size_t>(y)) *
                      static_cast<std::size_t>(size) +
                  static_cast<std::size_t>(x)];
}

// From the order of the file to that of the op, which has gaps between what it reads.
template <typename Value>
std::vector<Value> arranged(std::vector<Value> kernel, const ConvolutionSource& source,
                            const ConvolutionShape& shape) {
    int total = 0;
    for (const int part : source.input_parts) total += part;
    if (source.kernel == 3 && total == shape.inputs) return kernel;  // as the file has it
    const auto outputs = static_cast<std::size_t>(shape.outputs);
    const auto inputs = static_cast<std::size_t>(shape.inputs);
    std::vector<Value> placed(outputs * inputs * 9, Value{0});
    for (std::size_t o = 0; o < outputs; ++o) {
        int read = 0;
        int place = 0;
        for (const int part : source.input_parts) {
            Value* to = &placed[(o * inputs + static_cast<std::size_t>(place)) * 9];
            if (source.kernel == 3) {
                const auto from =
                    o * static_cast<std::size_t>(total) + static_cast<std::size_t>(read);
                std::copy_n(&kernel[from * 9], part * 9, to);
            } else {
                for (int t = 0; t < part * 9; ++t) {
                    to[t] = tap(kernel, source, o, total, read + t / 9, t % 9 / 3, t % 3);
                }
            }
            read += part;
            place += round_up(part, kChannelAlignment);
        }
    }
    return placed;
}

ConvolutionWeights load_convolution(const WeightFile& file, const ConvolutionSource& source,
                                    const ConvolutionShape& shape, bool accept_fp16) {
    ConvolutionWeights weights;
    weights.inputs = shape.inputs;
    weights.outputs = shape.outputs;
    const auto outputs = static_cast<std::size_t>(shape.outputs);
    if (accept_fp16 && file.has_fp16(source.layer)) {
        weights.fp16 = arranged(file.fp16(source.layer), source, shape);
    } else {
        weights.kernel = arranged(file.kernel(source.layer), source, shape);
    }
    weights.bias = file.bias(source.layer);
    weights.bias.resize(outputs, 0.0F);
    if (source.prelu) {
        weights.slopes = file.slopes(*source.prelu);
        weights.slopes.resize(outputs, weights.slopes.front());  // one slope serves all channels
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
