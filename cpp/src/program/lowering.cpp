#include "program/lowering.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/escape.hpp"
#include "model/layer_kinds.hpp"
#include "model/shape_inference.hpp"

namespace realesrgan {

namespace {

constexpr std::size_t kMostParts = 4096;
constexpr int kMostFactor = 16;  // of a shuffle, an enlargement, and a resized tensor's scale

// ncnn's operations of BinaryOp, and of Eltwise.
enum Binary { kAdd, kSubtract, kMultiply, kDivide };
enum Elementwise { kProduct, kSum };

// sigmoid(what a blob holds) + offset, waiting for the product with the same blob after its skips.
struct PendingGate {
    std::size_t node = 0;
    std::size_t steps = 0;  // of the node's epilogue that the sigmoid's argument comes after
    float offset = 0.0F;
};

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
            // A sigmoid becomes a part of the operation that makes its argument.
            if (layer.type == "Sigmoid") continue;
            for (const int blob : layer.inputs) ++uses_[blob];
        }
    }

    LoweredGraph lower() {
        lowered_.nodes.emplace_back();
        values_[graph_.input] = Value{{0}, 1, 1.0F, 0};
        for (std::size_t i = 0; i < graph_.layers.size(); ++i) add(i);
        const Value& output = value(graph_.output);
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
        if (layer.type == "MemoryData") {
            constants_[layer.outputs[0]] = index;
            return fold(layer);
        }
        if (layer.inputs.empty() || layer.outputs.empty())
            refuse(layer, "has no input or no output");
        const bool copies = layer.type == "Split" || layer.type == "Noop" ||
                            (layer.type == "Dropout" && layer.number(0, 1.0F) == 1.0F);
        if (copies) {
            copy(layer);
        } else if (layer.type == "Convolution") {
            add_convolution(index);
        } else if (layer.type == "ReLU" || layer.type == "PReLU" || layer.type == "Swish") {
            add_activation(index);
        } else if (layer.type == "Sigmoid") {
            add_sigmoid(layer);
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

    Value& value(int blob) {
        const auto found = values_.find(blob);
        if (found == values_.end()) {
            throw NotStreamable("blob " + shown_name(graph_.blobs[idx(blob)]) +
                                " is a constant or a sigmoid where the row stream needs a tensor");
        }
        return found->second;
    }

    void copy(const Layer& layer) {
        const int from = layer.inputs[0];
        if (values_.count(from) != 0) return alias(layer, value(from));
        for (const int out : layer.outputs) {
            if (constants_.count(from) != 0) constants_[out] = constants_[from];
            if (gates_.count(from) != 0) gates_[out] = gates_[from];
        }
        auto names = folded_.extract(from);
        if (!names.empty()) folded_[layer.outputs[0]] = std::move(names.mapped());
    }

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

    // The same, with what was folded into its inputs before it.
    void fold_all(const Layer& layer) {
        std::vector<std::string> all;
        for (const int blob : layer.inputs) {
            auto names = folded_.extract(blob);
            if (names.empty()) continue;
            all.insert(all.end(), names.mapped().begin(), names.mapped().end());
        }
        all.push_back(layer.name);
        folded_[layer.outputs[0]] = std::move(all);
    }

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
    bool takes_input_alone(int blob) {
        const auto found = values_.find(blob);
        if (found == values_.end()) return false;
        const Value& source = found->second;
        return source.parts.size() == 1 && source.parts[0] == 0 && source.upsample == 1 &&
               source.scale == 1.0F && uses_[blob] == 1 && lowered_.unshuffle == 1;
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
        values_[layer.outputs[0]] = Value{{lowered_.nodes.size()}, 1, 1.0F, 0};
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
        if (!takes_input_alone(layer.inputs[0]) || axis.stride < 2 || axis.stride > kMostFactor ||
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
        if (!alone || source.parts[0] == 0) return nullptr;
        Node& node = lowered_.nodes[source.parts[0]];
        return node.gate ? nullptr : &node;  // a gate is the last step
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
        } else if (layer.type == "Swish") {
            node->activation = Activation::silu;
        } else {
            node->activation = Activation::leaky_relu;
            node->slope = layer.number(0, 0.0F);
        }
        name_layers(layer, *node);
        values_[layer.outputs[0]] = value(layer.inputs[0]);
        values_[layer.outputs[0]].steps = node->steps();
    }

    void add_sigmoid(const Layer& layer) {
        const Value& source = value(layer.inputs[0]);
        const bool plain = source.parts.size() == 1 && source.upsample == 1 &&
                           source.scale == 1.0F && source.parts[0] != 0;
        if (!plain) refuse(layer, "does not follow a convolution directly");
        gates_[layer.outputs[0]] = {source.parts[0], source.steps, 0.0F};
        fold_all(layer);
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
        if (binary && (shift_gate(layer) || transform_input(layer))) return;
        const bool product =
            binary ? operation == kMultiply && layer.integer(1, 0) == 0 : operation == kProduct;
        if (product && layer.inputs.size() == 2) return add_gate(layer);
        if (binary && operation == kMultiply && layer.integer(1, 0) != 0) {  // times a number
            Value scaled = value(layer.inputs[0]);
            scaled.scale *= layer.number(2, 0.0F);
            alias(layer, scaled);
            return fold(layer);
        }
        const bool sum = binary ? operation == kAdd && layer.integer(1, 0) == 0 : operation == kSum;
        if (!sum) refuse(layer, "is neither a sum nor a product with a number");
        std::vector<float> weights = binary ? std::vector<float>() : layer.array(1);
        weights.resize(layer.inputs.size(), 1.0F);
        if (layer.inputs.size() != 2) refuse(layer, "adds more than two tensors");
        add_sum(layer, weights);
    }

    // A sigmoid plus or minus a number.
    bool shift_gate(const Layer& layer) {
        const auto gate = gates_.find(layer.inputs[0]);
        const int operation = layer.integer(0, 0);
        if (gate == gates_.end() || layer.integer(1, 0) == 0 ||
            (operation != kAdd && operation != kSubtract)) {
            return false;
        }
        PendingGate shifted = gate->second;
        const float number = layer.number(2, 0.0F);
        shifted.offset += operation == kAdd ? number : -number;
        gates_[layer.outputs[0]] = shifted;
        fold_all(layer);
        return true;
    }

    // The picture, which nothing else reads, plus, minus, times or over a number or a constant.
    bool transform_input(const Layer& layer) {
        const int operation = layer.integer(0, 0);
        if (operation < kAdd || operation > kDivide) return false;
        InputStep step;
        step.product = operation == kMultiply || operation == kDivide;
        step.inverse = operation == kSubtract || operation == kDivide;
        int picture = layer.inputs[0];
        if (layer.integer(1, 0) != 0) {
            step.number = layer.number(2, 0.0F);
        } else {
            int constant = layer.inputs[1];
            if (!step.inverse && constants_.count(constant) == 0) std::swap(picture, constant);
            if (constants_.count(constant) == 0) return false;
            step.constant = constants_[constant];
        }
        if (!takes_input_alone(picture)) return false;
        if (sizes_.input_channels > kMostTransformed) {
            refuse(layer, "transforms a picture of more than " + std::to_string(kMostTransformed) +
                              " channels");
        }
        if (step.constant) check_constant(graph_.layers[*step.constant]);
        lowered_.input_steps.push_back(step);
        values_[layer.outputs[0]] = value(picture);
        fold_all(layer);
        return true;
    }

    // One number for each channel, or one for all.
    void check_constant(const Layer& layer) const {
        const int channels = layer.integer(2, 0);
        if (layer.integer(0, 0) != 1 || layer.integer(1, 0) != 1 || layer.integer(11, 0) != 0 ||
            (channels != 1 && channels != sizes_.input_channels)) {
            refuse(layer, "does not hold a number for each channel of the picture");
        }
    }

    // The product of a convolution's result and the sigmoid of what it was before its skips.
    void add_gate(const Layer& layer) {
        for (const std::size_t first : {std::size_t{0}, std::size_t{1}}) {
            const auto gate = gates_.find(layer.inputs[first]);
            const int blob = layer.inputs[1 - first];
            if (gate == gates_.end() || values_.count(blob) == 0) continue;
            Node* node = open(blob);
            const bool fits = node != nullptr && node->kind == OpKind::convolution &&
                              value(blob).scale == 1.0F &&
                              value(blob).parts[0] == gate->second.node &&
                              node->steps() - node->skips.size() == gate->second.steps;
            if (!fits) continue;
            node->gate = gate->second.offset;
            name_layers(layer, *node);
            values_[layer.outputs[0]] = Value{{gate->second.node}, 1, 1.0F, node->steps()};
            return;
        }
        refuse(layer, "multiplies two tensors, neither of which is the sigmoid of the other");
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
            values_[layer.outputs[0]] = Value{{id}, 1, 1.0F, node->steps()};
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
        if (layer.integer(1, 0) != 0 || factor > kMostFactor ||
            !takes_input_alone(layer.inputs[0])) {
            refuse(layer, "is not a pixel-unshuffle of the input alone");
        }
        lowered_.unshuffle = factor;
        values_[layer.outputs[0]] = source;
        fold(layer);
    }

    const Graph& graph_;
    const Trace sizes_;
    LoweredGraph lowered_;
    std::map<int, Value> values_;           // by blob
    std::map<int, std::size_t> constants_;  // by blob, the layer that has the numbers
    std::map<int, PendingGate> gates_;      // by blob
    std::map<int, int> uses_;  // by blob; blobs that stand for one tensor share their count
    // By blob: names of layers that are folded into whatever reads it.
    std::map<int, std::vector<std::string>> folded_;
};

}  // namespace

LoweredGraph lower_graph(const Graph& graph) {
    return GraphLowering(graph).lower();
}

}  // namespace realesrgan
