#include "program/lowering.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "model/layer_kinds.hpp"
#include "model/shape_inference.hpp"

namespace realesrgan {

namespace {

constexpr std::size_t kMostParts = 4096;
constexpr int kMostFactor = 16;  // of a shuffle, an enlargement, and a resized tensor's scale

[[noreturn]] void refuse(const Layer& layer, const std::string& why) {
    throw NotStreamable(layer_title(layer) + " " + why);
}

void read_activation(const Layer& layer, Node& node) {
    const int type = layer.integer(9, 0);
    if (type == 0) return;
    if (type != 1 && type != 2) refuse(layer, "has an activation the row stream does not know");
    const std::vector<float> parameters = layer.array(10);
    node.activation = Activation::leaky_relu;
    node.slope = type == 2 && !parameters.empty() ? parameters[0] : 0.0F;
}

class GraphLowering {
  public:
    explicit GraphLowering(const Graph& graph) : graph_(graph), sizes_(trace(graph)) {
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
        lowered_.nodes[0].channels =
            sizes_.input_channels * lowered_.unshuffle * lowered_.unshuffle;
        return std::move(lowered_);
    }

  private:
    void add(std::size_t index) {
        const Layer& layer = graph_.layers[index];
        const LayerRule& rule = sizes_.rules[index];
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
            add_interp(layer, rule);
        } else if (layer.type == "PixelShuffle") {
            add_shuffle(layer, rule);
        } else if (layer.type == "Reorg") {
            add_unshuffle(layer, rule);
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
        auto names = folded_.extract(layer.inputs[0]);
        if (!names.empty()) folded_[layer.outputs[0]] = std::move(names.mapped());
    }

    // A layer without a node of its own, which the next reader of its result computes.
    void fold(const Layer& layer) { folded_[layer.outputs[0]].push_back(layer.name); }

    // Adds the names of a layer and of what was folded into its inputs.
    void name_layers(const Layer& layer, Node& node) {
        node.layers.push_back(layer.name);
        for (const int blob : layer.inputs) {
            auto names = folded_.extract(blob);
            if (names.empty()) continue;
            node.layers.insert(node.layers.end(), names.mapped().begin(), names.mapped().end());
        }
    }

    // The one node behind the layer's input, read as it is.
    const Node& plain_input(const Layer& layer) {
        const Value& source = value(layer.inputs[0]);
        if (source.parts.size() != 1 || source.upsample != 1 || source.scale != 1.0F) {
            refuse(layer, "reads a concatenated, enlarged or scaled tensor");
        }
        return lowered_.nodes[source.parts[0]];
    }

    // Whether the layer reads the picture, nothing else does, and it is not unshuffled yet.
    bool takes_input_alone(const Layer& layer) {
        const Value& source = value(layer.inputs[0]);
        return source.parts.size() == 1 && source.parts[0] == 0 && source.upsample == 1 &&
               uses_[layer.inputs[0]] == 1 && lowered_.unshuffle == 1;
    }

    const BlobSize& size_of(int blob) const { return sizes_.blobs[idx(blob)]; }

    // Of the layer's output over the input tensor.
    int scale_of(const Layer& layer) const {
        const Ratio& zoom = size_of(layer.outputs[0]).zoom;
        const std::int64_t scaled = zoom.numerator * lowered_.unshuffle;
        if (!zoom.known() || scaled % zoom.denominator != 0) {
            refuse(layer, "makes a result that is not a whole number of times the input's size");
        }
        if (scaled / zoom.denominator > kMostScale) refuse(layer, "enlarges the picture too much");
        return static_cast<int>(scaled / zoom.denominator);
    }

    void define(const Layer& layer, Node node) {
        node.channels = size_of(layer.outputs[0]).channels;
        if (node.channels == 0) refuse(layer, "makes a result of unknown channels");
        node.scale = scale_of(layer);
        name_layers(layer, node);
        values_[layer.outputs[0]] = Value{{lowered_.nodes.size()}, 1, 1.0F};
        lowered_.nodes.push_back(std::move(node));
    }

    void add_convolution(std::size_t index) {
        const Layer& layer = graph_.layers[index];
        const KernelAxis axis = kernel_rows(layer);
        if (!(axis == kernel_columns(layer)) || axis.dilation != 1 ||
            axis.pad_before != axis.pad_after || layer.number(18, 0.0F) != 0.0F) {
            refuse(layer, "is dilated or padded unevenly");
        }
        Node node;
        node.input = value(layer.inputs[0]);
        if (node.input.scale != 1.0F) refuse(layer, "reads a scaled tensor");
        node.layer = index;
        node.kernel = static_cast<int>(axis.kernel);
        const bool same = axis.stride == 1 && (axis.kernel == 3 || axis.kernel == 1) &&
                          axis.pad_before == axis.kernel / 2;
        if (!same) fold_unshuffle(layer, axis);
        read_activation(layer, node);
        define(layer, std::move(node));
    }

    void fold_unshuffle(const Layer& layer, const KernelAxis& axis) {
        if (!takes_input_alone(layer) || axis.stride < 2 || axis.stride > kMostFactor ||
            axis.kernel != 3 * axis.stride || axis.pad_before != axis.stride) {
            refuse(layer,
                   "is not a 3x3 convolution with stride 1 and padding 1, nor one that a "
                   "pixel-unshuffle was folded into");
        }
        lowered_.unshuffle = static_cast<int>(axis.stride);
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
            node->activation = Activation::prelu;
            node->prelu = index;
        } else {
            node->activation = Activation::leaky_relu;
            node->slope = layer.number(0, 0.0F);
        }
        name_layers(layer, *node);
        values_[layer.outputs[0]] = value(layer.inputs[0]);
    }

    void add_concat(const Layer& layer) {
        if (layer.integer(0, 0) != 0) refuse(layer, "does not join channels");
        Value joined;
        for (const int blob : layer.inputs) {
            const Value& part = value(blob);
            if (part.upsample != 1 || part.scale != 1.0F)
                refuse(layer, "joins enlarged or scaled tensors");
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
            alias(layer, scaled);
            return fold(layer);
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
        const BlobSize& size = size_of(layer.inputs[0]);
        const BlobSize& added = size_of(layer.inputs[1]);
        if (size.channels != added.channels || !(size.zoom == added.zoom)) {
            refuse(layer, "adds tensors of different shapes");
        }
        for (const std::size_t first : {std::size_t{0}, std::size_t{1}}) {
            const std::size_t second = 1 - first;
            Node* node = open(layer.inputs[first]);
            const Value other = value(layer.inputs[second]);
            if (node == nullptr || other.parts.size() != 1) continue;
            const std::size_t id = value(layer.inputs[first]).parts[0];
            if (other.parts[0] >= id || node->skips.size() >= kMaxSkips) continue;
            LoweredSkip skip{other, weights[first] * value(layer.inputs[first]).scale,
                             weights[second] * other.scale};
            node->skips.push_back(skip);
            name_layers(layer, *node);
            values_[layer.outputs[0]] = Value{{id}, 1, 1.0F};
            return;
        }
        refuse(layer, "adds two tensors neither of which can take the other into its epilogue");
    }

    void add_interp(const Layer& layer, const LayerRule& rule) {
        if (!rule.known) refuse(layer, "does not resize rows and columns by one fixed factor");
        const int type = layer.integer(0, 0);
        if (type == 1) {
            if (rule.rows.down != 1) refuse(layer, "is a nearest resize by a broken factor");
            Value enlarged = value(layer.inputs[0]);
            enlarged.upsample *= static_cast<int>(rule.rows.up);
            if (enlarged.upsample > kMostFactor) refuse(layer, "enlarges the picture too much");
            alias(layer, enlarged);
            return fold(layer);
        }
        Node node;
        node.kind = OpKind::resize;
        node.input = value(layer.inputs[0]);
        node.resize.filter = type == 2 ? ResizeFilter::bilinear : ResizeFilter::bicubic;
        node.resize.numerator = scale_of(layer);
        node.resize.denominator = plain_input(layer).scale;
        if (node.resize.numerator > kMostFactor) refuse(layer, "enlarges the picture too much");
        define(layer, std::move(node));
    }

    void add_shuffle(const Layer& layer, const LayerRule& rule) {
        const auto factor = static_cast<int>(rule.rows.up);
        if (layer.integer(1, 0) != 0 || factor > kMostFactor)
            refuse(layer, "shuffles in an unusual order");
        if (factor == 1) return alias(layer, value(layer.inputs[0]));
        plain_input(layer);
        Node node;
        node.kind = OpKind::pixel_shuffle;
        node.input = value(layer.inputs[0]);
        node.factor = factor;
        define(layer, std::move(node));
    }

    void add_unshuffle(const Layer& layer, const LayerRule& rule) {
        const auto factor = static_cast<int>(rule.rows.down);
        const Value source = value(layer.inputs[0]);
        if (factor == 1) return alias(layer, source);
        if (layer.integer(1, 0) != 0 || factor > kMostFactor || !takes_input_alone(layer)) {
            refuse(layer, "is not a pixel-unshuffle of the input alone");
        }
        lowered_.unshuffle = factor;
        values_[layer.outputs[0]] = source;
        fold(layer);
    }

    const Graph& graph_;
    const Trace sizes_;
    LoweredGraph lowered_;
    std::map<int, Value> values_;  // by blob
    std::map<int, int> uses_;      // by blob; blobs that stand for one tensor share their count
    // By blob: names of layers that are folded into whatever reads it.
    std::map<int, std::vector<std::string>> folded_;
};

}  // namespace

LoweredGraph lower_graph(const Graph& graph) {
    return GraphLowering(graph).lower();
}

}  // namespace realesrgan
