#include "program/lowering.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "program/layer_shapes.hpp"

namespace realesrgan {

namespace {

constexpr std::size_t kMostParts = 4096;

class GraphLowering {
  public:
    explicit GraphLowering(const Graph& graph) : graph_(graph) {
        for (const Layer& layer : graph.layers) {
            for (const int blob : layer.inputs) ++uses_[blob];
        }
    }

    LoweredGraph lower() {
        lowered_.nodes.emplace_back();
        values_[graph_.input] = Value{{0}, 1, 1.0F};
        for (std::size_t i = 0; i < graph_.layers.size(); ++i) add(i);
        const Value& output = values_.at(graph_.output);
        if (output.parts.size() != 1 || output.upsample != 1 || output.scale != 1.0F ||
            output.parts[0] == 0) {
            throw NotStreamable("the output is not a convolution, pixel shuffle or resize");
        }
        lowered_.output = output.parts[0];
        return std::move(lowered_);
    }

  private:
    void add(std::size_t index) {
        const Layer& layer = graph_.layers[index];
        if (layer.type == "Input") return;
        if (layer.inputs.empty() || layer.outputs.empty())
            refuse(layer, "has no input or no output");
        const bool copies = layer.type == "Split" || layer.type == "Noop" ||
                            (layer.type == "Dropout" && layer.number(0, 1.0F) == 1.0F);
        if (copies) {
            alias(layer, value(layer.inputs[0]));
        } else if (layer.type == "Convolution") {
            add_convolution(index);
        } else if (layer.type == "ReLU" || layer.type == "PReLU") {
            add_activation(index);
        } else if (layer.type == "Concat") {
            add_concat(layer);
        } else if (layer.type == "Eltwise" || layer.type == "BinaryOp") {
            add_arithmetic(layer);
        } else if (layer.type == "Interp") {
            add_interp(layer);
        } else if (layer.type == "PixelShuffle") {
            add_shuffle(layer);
        } else if (layer.type == "Reorg") {
            add_unshuffle(layer);
        } else {
            refuse(layer, "is not an operation the row stream knows");
        }
    }

    Value& value(int blob) { return values_.at(blob); }

    // Every output stands for the same tensor, so that each counts all readers of all of them.
    void alias(const Layer& layer, const Value& stands_for) {
        int uses = 0;
        for (const int out : layer.outputs) uses += uses_[out];
        uses = std::max(uses, uses_[layer.inputs[0]]);
        for (const int out : layer.outputs) {
            values_[out] = stands_for;
            uses_[out] = uses;
        }
    }

    // The one node behind a blob, read as it is.
    std::size_t plain(const Layer& layer, const Value& value) {
        if (value.parts.size() != 1 || value.upsample != 1 || value.scale != 1.0F) {
            refuse(layer, "reads a concatenated, enlarged or scaled tensor");
        }
        return value.parts[0];
    }

    int channels(const Layer& layer, const Value& value) {
        int sum = 0;
        for (const std::size_t part : value.parts) {
            if (lowered_.nodes[part].channels == 0)
                refuse(layer, "reads an input of unknown channels");
            sum += lowered_.nodes[part].channels;
        }
        return sum;
    }

    int scale(const Value& value) { return lowered_.nodes[value.parts[0]].scale * value.upsample; }

    void define(const Layer& layer, Node node) {
        if (node.scale > kMostScale) refuse(layer, "enlarges the picture too much");
        values_[layer.outputs[0]] = Value{{lowered_.nodes.size()}, 1, 1.0F};
        lowered_.nodes.push_back(std::move(node));
    }

    void add_convolution(std::size_t index) {
        const Layer& layer = graph_.layers[index];
        const ConvolutionLayer shape = read_convolution(layer);
        Node node;
        node.input = value(layer.inputs[0]);
        node.layer = index;
        node.channels = shape.outputs;
        node.kernel = shape.kernel;
        read_input(layer, node, shape);
        node.activation = shape.activation;
        node.slope = shape.slope;
        node.scale = scale(node.input);
        define(layer, std::move(node));
    }

    // Checks what a convolution reads; the first one to read the input tells the input's channels.
    void read_input(const Layer& layer, const Node& node, const ConvolutionLayer& shape) {
        const int stride = shape.stride;
        int inputs = shape.inputs;
        if (node.input.scale != 1.0F) refuse(layer, "reads a scaled tensor");
        const bool same =
            stride == 1 && (node.kernel == 3 || node.kernel == 1) && shape.pad == node.kernel / 2;
        const bool of_input = node.input.parts.size() == 1 && node.input.parts[0] == 0;
        if (!same) {
            const bool folded = of_input && node.input.upsample == 1 && stride > 1 &&
                                stride <= kMostFactor && node.kernel == 3 * stride &&
                                shape.pad == stride && uses_[layer.inputs[0]] == 1 &&
                                lowered_.unshuffle == 1;
            if (!folded) {
                refuse(layer,
                       "is not a 3x3 convolution with stride 1 and padding 1, nor one that a "
                       "pixel-unshuffle was folded into");
            }
            lowered_.unshuffle = stride;
            inputs *= stride * stride;
        }
        if (of_input && lowered_.nodes[0].channels == 0) lowered_.nodes[0].channels = inputs;
        if (channels(layer, node.input) != inputs) {
            refuse(layer, "has weights for " + std::to_string(inputs) + " channels, but reads " +
                              std::to_string(channels(layer, node.input)));
        }
    }

    // The node behind a blob while nothing else has read it, so that its epilogue can still grow.
    Node* open(int blob) {
        const Value& source = value(blob);
        const bool alone = uses_[blob] == 1 && source.parts.size() == 1 && source.upsample == 1;
        return alone && source.parts[0] != 0 ? &lowered_.nodes[source.parts[0]] : nullptr;
    }

    void add_activation(std::size_t index) {
        const Layer& layer = graph_.layers[index];
        Node* node = open(layer.inputs[0]);
        if (node == nullptr || node->kind != OpKind::convolution || !node->skips.empty() ||
            node->activation != Activation::none || value(layer.inputs[0]).scale != 1.0F) {
            refuse(layer, "does not follow a convolution directly");
        }
        if (layer.type == "PReLU") {
            const int slopes = layer.integer(0, 0);
            if (slopes != 1 && slopes != node->channels)
                refuse(layer, "has a wrong count of slopes");
            node->activation = Activation::prelu;
            node->prelu = index;
        } else {
            node->activation = Activation::leaky_relu;
            node->slope = layer.number(0, 0.0F);
        }
        values_[layer.outputs[0]] = value(layer.inputs[0]);
    }

    void add_concat(const Layer& layer) {
        if (layer.integer(0, 0) != 0) refuse(layer, "does not join channels");
        Value joined;
        for (const int blob : layer.inputs) {
            const Value& part = value(blob);
            if (part.upsample != 1 || part.scale != 1.0F)
                refuse(layer, "joins enlarged or scaled tensors");
            if (scale(part) != scale(value(layer.inputs[0])))
                refuse(layer, "joins different sizes");
            joined.parts.insert(joined.parts.end(), part.parts.begin(), part.parts.end());
            if (joined.parts.size() > kMostParts) refuse(layer, "joins too many tensors");
        }
        values_[layer.outputs[0]] = joined;
    }

    void add_arithmetic(const Layer& layer) {
        const bool binary = layer.type == "BinaryOp";
        const int operation = layer.integer(0, 0);
        if (binary && operation == 2 && layer.integer(1, 0) != 0) {  // times a number
            Value scaled = value(layer.inputs[0]);
            scaled.scale *= layer.number(2, 0.0F);
            return alias(layer, scaled);
        }
        const bool sum = binary ? operation == 0 && layer.integer(1, 0) == 0 : operation == 1;
        if (!sum) refuse(layer, "is neither a sum nor a product with a number");
        std::vector<float> weights = binary ? std::vector<float>() : layer.array(1);
        weights.resize(layer.inputs.size(), 1.0F);
        if (layer.inputs.size() != 2) refuse(layer, "adds more than two tensors");
        add_sum(layer, weights);
    }

    // One operand is the tensor just computed, the other one older: it becomes a skip of the first.
    void add_sum(const Layer& layer, const std::vector<float>& weights) {
        for (const std::size_t first : {std::size_t{0}, std::size_t{1}}) {
            const std::size_t second = 1 - first;
            Node* node = open(layer.inputs[first]);
            const Value other = value(layer.inputs[second]);
            if (node == nullptr || other.parts.size() != 1) continue;
            const std::size_t id = value(layer.inputs[first]).parts[0];
            if (other.parts[0] >= id || node->skips.size() >= kMaxSkips) continue;
            if (node->channels != channels(layer, other) || node->scale != scale(other)) {
                refuse(layer, "adds tensors of different shapes");
            }
            LoweredSkip skip{other, weights[first] * value(layer.inputs[first]).scale,
                             weights[second] * other.scale};
            node->skips.push_back(skip);
            values_[layer.outputs[0]] = Value{{id}, 1, 1.0F};
            return;
        }
        refuse(layer, "adds two tensors neither of which can take the other into its epilogue");
    }

    void add_interp(const Layer& layer) {
        const Value source = value(layer.inputs[0]);
        const float rows = layer.number(1, 1.0F);
        if (layer.inputs.size() != 1 || layer.integer(3, 0) != 0 || layer.integer(4, 0) != 0 ||
            layer.integer(5, 0) != 0 || layer.integer(6, 0) != 0 || rows != layer.number(2, 1.0F)) {
            refuse(layer, "does not resize rows and columns by one fixed factor");
        }
        const int type = layer.integer(0, 0);
        if (type == 1) {
            if (whole(rows) == 0) refuse(layer, "is a nearest resize by a broken factor");
            Value enlarged = source;
            enlarged.upsample *= whole(rows);
            if (enlarged.upsample > kMostFactor) refuse(layer, "enlarges the picture too much");
            return alias(layer, enlarged);
        }
        if (type != 2 && type != 3) refuse(layer, "resizes in a way the row stream does not know");
        Node node;
        node.kind = OpKind::resize;
        node.input = source;
        const Node& from = lowered_.nodes[plain(layer, source)];
        node.channels = from.channels;
        node.resize.filter = type == 2 ? ResizeFilter::bilinear : ResizeFilter::bicubic;
        // The result must be a whole number of times the input's size, whatever that is.
        const int out_scale = whole(rows * static_cast<float>(from.scale));
        if (out_scale == 0) refuse(layer, "resizes by a factor that does not give whole sizes");
        node.scale = out_scale;
        node.resize.numerator = out_scale;
        node.resize.denominator = from.scale;
        define(layer, std::move(node));
    }

    void add_shuffle(const Layer& layer) {
        const int factor = layer.integer(0, 1);
        if (layer.integer(1, 0) != 0 || factor < 1 || factor > kMostFactor)
            refuse(layer, "shuffles in an unusual order");
        if (factor == 1) return alias(layer, value(layer.inputs[0]));
        Node node;
        node.kind = OpKind::pixel_shuffle;
        node.input = value(layer.inputs[0]);
        const Node& from = lowered_.nodes[plain(layer, node.input)];
        if (from.channels % (factor * factor) != 0) refuse(layer, "does not fit its channels");
        node.channels = from.channels / (factor * factor);
        node.scale = from.scale * factor;
        node.factor = factor;
        define(layer, std::move(node));
    }

    void add_unshuffle(const Layer& layer) {
        const int factor = layer.integer(0, 1);
        const Value source = value(layer.inputs[0]);
        if (factor == 1) return alias(layer, value(layer.inputs[0]));
        if (layer.integer(1, 0) != 0 || factor < 1 || factor > kMostFactor ||
            source.parts.size() != 1 || source.parts[0] != 0 || source.upsample != 1 ||
            uses_[layer.inputs[0]] != 1 || lowered_.unshuffle != 1) {
            refuse(layer, "is not a pixel-unshuffle of the input alone");
        }
        lowered_.unshuffle = factor;
        values_[layer.outputs[0]] = source;
    }

    const Graph& graph_;
    LoweredGraph lowered_;
    std::map<int, Value> values_;  // by blob
    std::map<int, int> uses_;      // by blob; blobs that stand for one tensor share their count
};

}  // namespace

LoweredGraph lower_graph(const Graph& graph) {
    return GraphLowering(graph).lower();
}

}  // namespace realesrgan
