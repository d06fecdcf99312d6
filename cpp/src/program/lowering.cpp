#include "program/lowering.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/escape.hpp"
#include "base/integers.hpp"
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

constexpr int kMostOrigin = 1 << 20;  // rows that a blob lacks on each side
// How many times as many weights a convolution may have as the strided one that it stands for.
constexpr std::int64_t kMostWeights = 16;

// Where a layer with a stride lies in the tensors of the row stream, along each axis.
struct Placement {
    int kernel = 0;  // of the convolution with stride 1 that stands for it
    int phase = 0;   // of the shuffle or unshuffle
    int shift = 0;   // KernelFold::shift
};

// The smallest odd kernel whose taps lie from row `first` to row `last` around its middle.
int odd_kernel(std::int64_t first, std::int64_t last) {
    return static_cast<int>(2 * std::max<std::int64_t>({-first, last, 0}) + 1);
}

[[noreturn]] void refuse(const Layer& layer, const std::string& why) {
    throw NotStreamable(layer_title(layer) + " " + why);
}

// ncnn's types of activations of a convolution.
void read_activation(const Layer& layer, Node& node) {
    constexpr int kReLU = 1;
    constexpr int kLeakyReLU = 2;
    constexpr int kSigmoid = 4;
    constexpr int kMish = 5;
    const std::vector<float> parameters = layer.array(10);
    switch (layer.integer(9, 0)) {
        case 0:
            return;
        case kReLU:
        case kLeakyReLU:
            node.activation = Activation::leaky_relu;
            node.slope = layer.integer(9, 0) == kLeakyReLU ? parameters.at(0) : 0.0F;
            return;
        case kSigmoid:
            node.activation = Activation::sigmoid;
            return;
        case kMish:
            node.activation = Activation::mish;
            return;
        default:
            refuse(layer, "has an activation the row stream does not know");
    }
}

// Of a layer that is nothing else.
std::optional<Activation> activation_of(const Layer& layer) {
    if (layer.type == "ReLU") return Activation::leaky_relu;
    if (layer.type == "PReLU") return Activation::prelu;
    if (layer.type == "Swish") return Activation::silu;
    if (layer.type == "Mish") return Activation::mish;
    if (layer.type == "GELU") return Activation::gelu;
    return std::nullopt;
}

bool is_product(const Layer& layer) {
    if (layer.inputs.size() != 2) return false;
    return layer.type == "Eltwise" ? layer.integer(0, 0) == kProduct
                                   : layer.type == "BinaryOp" && layer.integer(0, 0) == kMultiply &&
                                         layer.integer(1, 0) == 0;
}

bool has_weights(OpKind kind) {
    return kind == OpKind::convolution || kind == OpKind::depthwise;
}

class GraphLowering {
  public:
    explicit GraphLowering(const Graph& graph) : graph_(graph), sizes_(trace(graph)) {
        for (const Layer& layer : graph.layers) {
            for (const int blob : layer.inputs) readers_[blob].push_back(&layer);
            for (const int blob : layer.outputs) makers_[blob] = &layer;
            // A sigmoid becomes a part of the operation that makes its argument; of a second input
            // of a crop only the size is read.
            if (layer.type == "Sigmoid") continue;
            const std::size_t read = layer.type == "Crop" ? 1 : layer.inputs.size();
            for (std::size_t i = 0; i < std::min(read, layer.inputs.size()); ++i)
                ++uses_[layer.inputs[i]];
        }
    }

    LoweredGraph lower() {
        // Layers that are refused are named first.
        const bool aligned = sizes_.alignment <= kMostFactor && sizes_.rest == 0;
        lowered_.alignment = aligned ? static_cast<int>(sizes_.alignment) : 1;
        lowered_.border = sizes_.border.value_or(0);
        lowered_.nodes.emplace_back();
        lowered_.nodes[0].scale = lowered_.alignment;
        lowered_.nodes[0].channels = sizes_.input_channels;
        values_[graph_.input] = Value{{0}};
        for (std::size_t i = 0; i < graph_.layers.size(); ++i) {
            const int origin = common_origin(graph_.layers[i], sizes_.rules[i]);
            add(i);
            place_outputs(graph_.layers[i], sizes_.rules[i], origin);
        }
        if (!sizes_.border)
            throw NotStreamable(
                "what its result lacks on each side does not follow from its layers");
        if (!aligned) {
            throw NotStreamable("it takes no picture whose sides are multiples of a number up to " +
                                std::to_string(kMostFactor));
        }
        const Value& output = value(graph_.output);
        if (output.parts.size() != 1 || !output.plain() || output.parts[0] == 0) {
            throw NotStreamable("the output is not a convolution, pixel shuffle or resize");
        }
        lowered_.output = output.parts[0];
        if (origins_[graph_.output] != lowered_.border * size_of(graph_.output).zoom.numerator)
            throw NotStreamable("its result does not lie in the middle of what it reads");
        return std::move(lowered_);
    }

  private:
    void add(std::size_t index) {
        const Layer& layer = graph_.layers[index];
        const LayerRule& rule = sizes_.rules[index];
        if (layer.type == "Input") return;
        if (layer.type == "Crop") {
            if (!rule.known) refuse(layer, "does not cut as much off each side");
            if (rule.rows.first / 2 > kMostOrigin) refuse(layer, "cuts too much off");
            const auto cut = static_cast<int>(rule.rows.first / 2);
            origins_[layer.outputs[0]] = origins_[layer.inputs[0]] + cut;
            Layer first = layer;  // a second input tells the size alone
            first.inputs.resize(1);
            return alias(first, value(layer.inputs[0]));
        }
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
        } else if (layer.type == "Deconvolution") {
            add_deconvolution(index);
        } else if (layer.type == "ConvolutionDepthWise") {
            add_depthwise(index);
        } else if (sizes_.pixel_norms.count(index) != 0) {
            add_pixel_norm(index);
        } else if (activation_of(layer)) {
            add_activation(index);
        } else if (layer.type == "Sigmoid") {
            add_sigmoid(layer);
        } else if (layer.type == "Concat") {
            add_concat(layer);
        } else if (layer.type == "Slice") {
            add_slice(layer);
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
        if (source.parts.size() != 1 || !source.plain()) {
            refuse(layer, "reads a concatenated, enlarged or scaled tensor");
        }
        return lowered_.nodes[source.parts[0]];
    }

    // Whether the layer reads the picture, nothing else does, and it is not cropped or unshuffled
    // yet.
    bool takes_input_alone(int blob) {
        const auto found = values_.find(blob);
        if (found == values_.end()) return false;
        const Value& source = found->second;
        return source.parts.size() == 1 && source.parts[0] == 0 && source.plain() &&
               uses_[blob] == 1 && is_whole(blob) && lowered_.unshuffle == 1;
    }

    const BlobSize& size_of(int blob) const { return sizes_.blobs[idx(blob)]; }

    // Of the layer's output over the alignment.
    int scale_of(const Layer& layer) const {
        const Ratio& zoom = size_of(layer.outputs[0]).zoom;
        if (!zoom.known()) {
            refuse(layer, "makes a result that is not a whole number of times the input's size");
        }
        const std::int64_t scaled = zoom.numerator * lowered_.alignment / zoom.denominator;
        if (scaled > kMostScale) refuse(layer, "enlarges the picture too much");
        return static_cast<int>(scaled);
    }

    // Tensors are as large as if no layer lost a border: a blob that lacks some lies inside its
    // tensor, whose other rows and columns hold nothing of the network's. The blob begins at row
    // and column `origin` of it.

    // Rows and columns that a blob lacks, on both sides together.
    int lost(int blob) const { return -static_cast<int>(std::lround(size_of(blob).offset)); }

    bool is_whole(int blob) { return lost(blob) == 0 && origins_[blob] == 0; }

    // Where a layer's result is put as far as there is a choice: in the middle, so that tensors
    // that meet lie alike.
    int middle(const Layer& layer) const {
        const int both = lost(layer.outputs[0]);
        if (both < 0) refuse(layer, "makes more rows than it reads");
        return both / 2;
    }

    // Of all inputs that are pictures of one size.
    int common_origin(const Layer& layer, const LayerRule& rule) {
        std::optional<int> first;
        for (const int blob : layer.inputs) {
            if (!size_of(blob).zoom.known()) continue;
            if (!first) {
                first = blob;
            } else if (!rule.as_second && size_of(blob).zoom == size_of(*first).zoom &&
                       origins_[blob] != origins_[*first]) {
                refuse(layer, "joins tensors that do not lie at the same rows of the picture");
            }
        }
        return first ? origins_[*first] : 0;
    }

    // Of a layer that has not told where its result lies.
    void place_outputs(const Layer& layer, const LayerRule& rule, int origin) {
        const bool moves = layer.type == "Interp" || layer.type == "PixelShuffle";
        const int up = moves ? static_cast<int>(rule.rows.up) : 1;
        for (const int blob : layer.outputs) origins_.emplace(blob, origin * up);
        if (!layer.outputs.empty() && origins_[layer.outputs[0]] > kMostOrigin)
            refuse(layer, "lacks too many rows and columns");
    }

    void define(const Layer& layer, Node node) {
        node.channels = size_of(layer.outputs[0]).channels;
        if (node.channels == 0) refuse(layer, "makes a result of unknown channels");
        node.scale = scale_of(layer);
        name_layers(layer, node);
        values_[layer.outputs[0]] = Value{{lowered_.nodes.size()}};
        lowered_.nodes.push_back(std::move(node));
    }

    void add_convolution(std::size_t index) {
        const Layer& layer = graph_.layers[index];
        const KernelAxis axis = kernel_rows(layer);
        if (!(axis == kernel_columns(layer)) || axis.dilation != 1 || axis.pad_before < 0 ||
            axis.pad_before != axis.pad_after || layer.number(18, 0.0F) != 0.0F) {
            refuse(layer, "is dilated or padded unevenly");
        }
        if (!value(layer.inputs[0]).as_computed()) refuse(layer, "reads a scaled tensor");
        Node node;
        node.layer = index;
        read_activation(layer, node);
        const bool folds = axis.stride > 1 && axis.stride <= kMostFactor &&
                           axis.kernel == 3 * axis.stride && axis.pad_before == axis.stride &&
                           takes_input_alone(layer.inputs[0]);
        if (folds) {
            const auto stride = static_cast<int>(axis.stride);
            unshuffle_input(stride);
            node.fold = {static_cast<int>(axis.kernel), stride, -stride, false};
            node.input = value(layer.inputs[0]);
        } else {
            const Placement place = place_convolution(layer, axis);
            const auto stride = static_cast<int>(axis.stride);
            node.input =
                stride > 1 ? unshuffled(layer, stride, place.phase) : value(layer.inputs[0]);
            node.kernel = place.kernel;
            if (!keeps_kernel(axis, place))
                node.fold = {static_cast<int>(axis.kernel), stride, place.shift, false};
        }
        define(layer, std::move(node));
    }

    void unshuffle_input(int factor) {
        lowered_.unshuffle = factor;
        lowered_.nodes[0].scale /= factor;
        lowered_.nodes[0].channels *= factor * factor;
    }

    static bool keeps_kernel(const KernelAxis& axis, const Placement& place) {
        return axis.stride == 1 && place.kernel == axis.kernel &&
               place.shift == -(place.kernel / 2);
    }

    // Also tells where the result lies.
    Placement place_convolution(const Layer& layer, const KernelAxis& axis) {
        const int blob = layer.inputs[0];
        if (axis.stride > kMostFactor || axis.kernel > std::int64_t{kMostKernel} * axis.stride)
            refuse(layer, kernel_limit());
        if (axis.pad_before > 0 && !is_whole(blob))
            refuse(layer, "pads with zeros what has lost a border");
        const int result = middle(layer);
        Placement best;
        // A row before the phase is in no unshuffled row.
        for (int phase = 0; phase < std::min<int>(origins_[blob] + 1, axis.stride); ++phase) {
            const std::int64_t shift =
                origins_[blob] - axis.pad_before - axis.stride * result - phase;
            const int kernel = odd_kernel(floor_div(shift, axis.stride),
                                          floor_div(axis.kernel - 1 + shift, axis.stride));
            if (best.kernel == 0 || kernel < best.kernel)
                best = {kernel, phase, static_cast<int>(shift)};
        }
        check_kernel(layer, axis, best);
        origins_[layer.outputs[0]] = result;
        return best;
    }

    static std::string kernel_limit() {
        return "has a kernel of more than " + std::to_string(kMostKernel) +
               " rows for each row that it makes or a stride of more than " +
               std::to_string(kMostFactor) + ", or leaves most rows out";
    }

    static void check_kernel(const Layer& layer, const KernelAxis& axis, const Placement& place) {
        const std::int64_t side = axis.stride * place.kernel;
        if (place.kernel > kMostKernel || side * side > kMostWeights * axis.kernel * axis.kernel)
            refuse(layer, kernel_limit());
    }

    // The input of a layer with a stride, unshuffled by it.
    Value unshuffled(const Layer& layer, int factor, int phase) {
        const Node& source = plain_input(layer);
        if (source.scale % factor != 0) refuse(layer, "divides rows that do not come in pairs");
        Node node;
        node.kind = OpKind::pixel_unshuffle;
        node.input = value(layer.inputs[0]);
        node.channels = source.channels * factor * factor;
        node.scale = source.scale / factor;
        node.factor = factor;
        node.phase = phase;
        node.layers = {layer.name};
        lowered_.nodes.push_back(std::move(node));
        return Value{{lowered_.nodes.size() - 1}};
    }

    // A convolution that makes stride * stride times the channels, and their shuffle.
    void add_deconvolution(std::size_t index) {
        const Layer& layer = graph_.layers[index];
        const KernelAxis axis = kernel_rows(layer);
        bool more = false;  // rows beyond those, or a size of its own
        for (const int id : {18, 19, 20, 21, 28}) more = more || layer.integer(id, 0) != 0;
        if (!(axis == kernel_columns(layer)) || axis.dilation != 1 || axis.pad_before < 0 ||
            axis.pad_before != axis.pad_after || more) {
            refuse(layer, "is dilated or padded unevenly, or has an output padding");
        }
        if (!value(layer.inputs[0]).as_computed()) refuse(layer, "reads a scaled tensor");
        const Placement place = place_deconvolution(layer, axis);
        const auto stride = static_cast<int>(axis.stride);
        Node node;
        node.layer = index;
        node.input = value(layer.inputs[0]);
        node.kernel = place.kernel;
        node.fold = {static_cast<int>(axis.kernel), stride, place.shift, true};
        read_activation(layer, node);
        if (stride == 1) return define(layer, std::move(node));
        const int channels = size_of(layer.outputs[0]).channels;
        node.channels = channels * stride * stride;
        node.scale = scale_of(layer) / stride;
        name_layers(layer, node);
        lowered_.nodes.push_back(std::move(node));
        Node shuffle;
        shuffle.kind = OpKind::pixel_shuffle;
        shuffle.input = Value{{lowered_.nodes.size() - 1}};
        shuffle.factor = stride;
        shuffle.phase = place.phase;
        define(layer, std::move(shuffle));
        transposed_.insert(lowered_.nodes.size() - 1);
    }

    // Also tells where the result lies.
    Placement place_deconvolution(const Layer& layer, const KernelAxis& axis) {
        const int blob = layer.inputs[0];
        if (axis.stride > kMostFactor || axis.kernel > std::int64_t{kMostKernel} * axis.stride)
            refuse(layer, kernel_limit());
        if (axis.pad_before < axis.kernel - axis.stride && !is_whole(blob))
            refuse(layer, "reads beyond the end of what has lost a border");
        const int result = middle(layer);
        Placement best;
        // A row before the phase is in no row of the convolution.
        for (int phase = 0; phase < std::min<int>(result + 1, axis.stride); ++phase) {
            const std::int64_t shift =
                phase + axis.pad_before + axis.stride * origins_[blob] - result;
            const int kernel = odd_kernel(-floor_div(axis.kernel - 1 - shift, axis.stride),
                                          floor_div(axis.stride - 1 + shift, axis.stride));
            if (best.kernel == 0 || kernel < best.kernel)
                best = {kernel, phase, static_cast<int>(shift)};
        }
        check_kernel(layer, axis, best);
        origins_[layer.outputs[0]] = result;
        return best;
    }

    void add_depthwise(std::size_t index) {
        const Layer& layer = graph_.layers[index];
        const KernelAxis axis = kernel_rows(layer);
        if (!(axis == kernel_columns(layer)) || axis.dilation != 1 || axis.stride != 1 ||
            axis.kernel % 2 == 0 || axis.kernel > kMostKernel || axis.pad_before < 0 ||
            axis.pad_before != axis.pad_after || layer.number(18, 0.0F) != 0.0F) {
            refuse(layer, "is dilated, or has a stride, an even kernel or an uneven padding");
        }
        if (axis.pad_before > 0 && !is_whole(layer.inputs[0]))
            refuse(layer, "pads with zeros what has lost a border");
        origins_[layer.outputs[0]] =
            origins_[layer.inputs[0]] + static_cast<int>(axis.kernel / 2 - axis.pad_before);
        if (origins_[layer.outputs[0]] < 0) refuse(layer, "makes more rows than it reads");
        const int channels = size_of(layer.inputs[0]).channels;
        if (channels != layer.integer(0, 0) || channels != layer.integer(7, 1))
            refuse(layer, "is a convolution in groups of several channels");
        plain_input(layer);
        Node node;
        node.kind = OpKind::depthwise;
        node.input = value(layer.inputs[0]);
        node.layer = index;
        node.kernel = static_cast<int>(axis.kernel);
        read_activation(layer, node);
        define(layer, std::move(node));
    }

    // One of the three layers of a norm of each pixel's channels: the channels become the columns,
    // are normalized, and become channels again.
    void add_pixel_norm(std::size_t index) {
        const Layer& layer = graph_.layers[index];
        if (layer.type != "LayerNorm") {
            alias(layer, value(layer.inputs[0]));
            return fold(layer);
        }
        plain_input(layer);
        if (layer.integer(0, 0) != size_of(layer.inputs[0]).channels)
            refuse(layer, "is a norm of something else than each pixel's channels");
        Node node;
        node.kind = OpKind::layer_norm;
        node.input = value(layer.inputs[0]);
        node.layer = index;
        node.kernel = 1;
        node.epsilon = layer.number(1, 1e-3F);
        define(layer, std::move(node));
    }

    // The node behind a blob while nothing else has read it, so that its epilogue can still grow.
    Node* open(int blob) {
        if (uses_[blob] != 1 || value(blob).parts.size() != 1) return nullptr;
        return open_parts(blob) ? &lowered_.nodes[value(blob).parts[0]] : nullptr;
    }

    // Whether that holds for all nodes behind a blob that has one reader, or none but a sigmoid.
    bool open_parts(int blob) {
        const Value& source = value(blob);
        return uses_[blob] <= 1 && source.upsample == 1 && !source.shared &&
               std::all_of(source.parts.begin(), source.parts.end(), [&](std::size_t part) {
                   return part != 0 && !lowered_.nodes[part].gate;  // a gate is the last step
               });
    }

    // The same of convolutions without an epilogue.
    bool bare_parts(int blob) {
        const Value& source = value(blob);
        return open_parts(blob) && source.as_computed() &&
               std::all_of(source.parts.begin(), source.parts.end(), [&](std::size_t part) {
                   return lowered_.nodes[part].steps() == 0 &&
                          has_weights(convolution_behind(part).kind) &&
                          convolution_behind(part).steps() == 0;
               });
    }

    // The convolution whose activation is that of the node's result: of a transposed convolution's
    // shuffle it is the one before.
    Node& convolution_behind(std::size_t node) {
        const bool shuffled = transposed_.count(node) != 0;
        return lowered_.nodes[shuffled ? lowered_.nodes[node].input.parts[0] : node];
    }

    void add_activation(std::size_t index) {
        const Layer& layer = graph_.layers[index];
        const Value source = value(layer.inputs[0]);
        if (uses_[layer.inputs[0]] != 1 || !bare_parts(layer.inputs[0]) ||
            (layer.type == "PReLU" && source.parts.size() != 1)) {
            refuse(layer, "does not follow a convolution directly");
        }
        if (layer.type == "GELU" && layer.integer(0, 0) != 0)
            refuse(layer, "is an approximation of GELU");
        for (const std::size_t part : source.parts) {
            Node& node = convolution_behind(part);
            node.activation = *activation_of(layer);
            if (layer.type == "PReLU") node.prelu = index;
            if (layer.type == "ReLU") node.slope = layer.number(0, 0.0F);
        }
        activated(layer, source);
    }

    void activated(const Layer& layer, const Value& source) {
        name_layers(layer, convolution_behind(source.parts[0]));
        values_[layer.outputs[0]] = source;
        values_[layer.outputs[0]].steps = lowered_.nodes[source.parts[0]].steps();
    }

    void add_sigmoid(const Layer& layer) {
        const Value source = value(layer.inputs[0]);
        if (uses_[layer.inputs[0]] == 0 && bare_parts(layer.inputs[0])) {
            for (const std::size_t part : source.parts)
                convolution_behind(part).activation = Activation::sigmoid;
            return activated(layer, source);
        }
        const bool plain = source.parts.size() == 1 && source.plain() && source.parts[0] != 0;
        if (!plain) refuse(layer, "does not follow a convolution directly");
        gates_[layer.outputs[0]] = {source.parts[0], source.steps, 0.0F};
        fold_all(layer);
    }

    void add_concat(const Layer& layer) {
        if (layer.integer(0, 0) != 0) refuse(layer, "does not join channels");
        Value joined;
        for (const int blob : layer.inputs) {
            const Value& part = value(blob);
            if (!part.plain()) refuse(layer, "joins enlarged or scaled tensors");
            joined.shared = joined.shared || part.shared || uses_[blob] != 1;
            joined.parts.insert(joined.parts.end(), part.parts.begin(), part.parts.end());
            if (joined.parts.size() > kMostParts) refuse(layer, "joins too many tensors");
        }
        values_[layer.outputs[0]] = joined;
    }

    // A convolution becomes one for each slice: epilogues differ, and every tensor begins at a
    // whole group of channels.
    void add_slice(const Layer& layer) {
        const int blob = layer.inputs[0];
        if (layer.integer(1, 0) != 0) refuse(layer, "does not divide channels");
        if (uses_[blob] != 1 || value(blob).parts.size() != 1 || !is_divisible(blob))
            refuse(layer, "divides what is not a convolution's result alone");
        std::vector<int> pieces;
        std::vector<std::size_t> counts;
        for (const int out : layer.outputs) {
            const std::vector<int> cut = factor_parts(out);
            pieces.insert(pieces.end(), cut.begin(), cut.end());
            counts.push_back(cut.size());
        }
        const std::size_t divided = value(blob).parts[0];
        name_layers(layer, lowered_.nodes[divided]);
        std::size_t at = 0;
        const std::vector<std::size_t> parts = divide(layer, divided, pieces);
        for (std::size_t i = 0; i < layer.outputs.size(); ++i) {
            Value slice;
            slice.parts.assign(parts.begin() + static_cast<std::ptrdiff_t>(at),
                               parts.begin() + static_cast<std::ptrdiff_t>(at + counts[i]));
            slice.steps = lowered_.nodes[divided].steps();
            values_[layer.outputs[i]] = slice;
            at += counts[i];
        }
    }

    bool is_divisible(int blob) {
        const Value& source = value(blob);
        if (!open_parts(blob) || !source.as_computed() || source.parts.size() != 1) return false;
        const Node& node = lowered_.nodes[source.parts[0]];
        return node.kind == OpKind::convolution && !node.prelu && node.skips.empty();
    }

    // The node becomes the first of several that make these numbers of its channels each.
    std::vector<std::size_t> divide(const Layer& layer, std::size_t node,
                                    const std::vector<int>& channels) {
        int sum = 0;
        for (const int count : channels) sum += count;
        const bool fits =
            sum == lowered_.nodes[node].channels &&
            std::all_of(channels.begin(), channels.end(), [](int count) { return count > 0; });
        if (!fits) refuse(layer, "divides channels that do not add up");
        std::vector<std::size_t> parts;
        int first = lowered_.nodes[node].first_output;
        for (const int count : channels) {
            parts.push_back(parts.empty() ? node : lowered_.nodes.size());
            if (parts.size() > 1) lowered_.nodes.push_back(Node(lowered_.nodes[node]));
            lowered_.nodes[parts.back()].first_output = first;
            lowered_.nodes[parts.back()].channels = count;
            first += count;
        }
        return parts;
    }

    // The channels of a blob in parts: those of the concatenation that it, perhaps activated, is
    // multiplied with.
    std::vector<int> factor_parts(int blob) {
        const std::vector<int> whole{size_of(blob).channels};
        int at = blob;
        while (readers_[at].size() == 1 && activation_of(*readers_[at][0])) {
            at = readers_[at][0]->outputs[0];
        }
        if (readers_[at].size() != 1 || !is_product(*readers_[at][0])) return whole;
        const std::vector<int>& factors = readers_[at][0]->inputs;
        const auto maker = makers_.find(factors[0] == at ? factors[1] : factors[0]);
        if (maker == makers_.end() || maker->second->type != "Concat") return whole;
        std::vector<int> parts;
        int sum = 0;
        for (const int part : maker->second->inputs) {
            parts.push_back(size_of(part).channels);
            sum += parts.back();
        }
        return sum == whole[0] ? parts : whole;
    }

    void add_arithmetic(const Layer& layer) {
        const bool binary = layer.type == "BinaryOp";
        const int operation = layer.integer(0, 0);
        if (binary && (shift_gate(layer) || transform_input(layer))) return;
        if (is_product(layer)) return add_product(layer);
        if (binary && layer.integer(1, 0) != 0 && operation >= kAdd && operation <= kMultiply) {
            alias(layer, with_number(value(layer.inputs[0]), operation, layer.number(2, 0.0F)));
            return fold(layer);
        }
        const bool sum = binary ? operation == kAdd && layer.integer(1, 0) == 0 : operation == kSum;
        if (!sum) refuse(layer, "is neither a sum nor a product");
        std::vector<float> weights = binary ? std::vector<float>() : layer.array(1);
        weights.resize(layer.inputs.size(), 1.0F);
        if (layer.inputs.size() != 2) refuse(layer, "adds more than two tensors");
        add_sum(layer, weights);
    }

    // A tensor plus, minus or times a number.
    static Value with_number(Value tensor, int operation, float number) {
        if (operation == kMultiply) {
            tensor.scale *= number;
            tensor.shift *= number;
        } else {
            tensor.shift += operation == kAdd ? number : -number;
        }
        return tensor;
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

    void add_product(const Layer& layer) {
        if (add_gate(layer)) return;
        for (const std::size_t first : {std::size_t{0}, std::size_t{1}}) {
            const int blob = layer.inputs[first];
            const int factor = layer.inputs[1 - first];
            if (values_.count(blob) == 0 || values_.count(factor) == 0) continue;
            if (multiply(layer, blob, factor)) return;
        }
        refuse(layer,
               "multiplies two tensors, neither of which can take the other into its "
               "epilogue");
    }

    // The parts of a blob that convolutions have just made, times those of an older one.
    bool multiply(const Layer& layer, int blob, int factor) {
        const Value with = value(factor);
        const BlobSize& size = size_of(blob);
        if (!with.plain() || size.channels != size_of(factor).channels ||
            !(size.zoom == size_of(factor).zoom) || uses_[blob] != 1 || !open_parts(blob) ||
            !value(blob).plain()) {
            return false;
        }
        if (takes_together(blob, with)) {
            take_factor(layer, value(blob).parts, {with});
            return true;
        }
        if (with.parts.size() > 1 && value(blob).parts.size() == 1 && is_divisible(blob) &&
            with.parts.back() < value(blob).parts[0]) {
            std::vector<int> channels;
            for (const std::size_t part : with.parts)
                channels.push_back(lowered_.nodes[part].channels);
            values_[blob].parts = divide(layer, value(blob).parts[0], channels);
        }
        const std::vector<std::size_t>& parts = value(blob).parts;
        if (parts.size() != with.parts.size()) return false;
        for (std::size_t i = 0; i < parts.size(); ++i) {
            const Node& node = lowered_.nodes[parts[i]];
            const bool fits = has_weights(node.kind) && node.skips.empty() &&
                              with.parts[i] < parts[i] &&
                              lowered_.nodes[with.parts[i]].channels == node.channels;
            if (!fits) return false;
        }
        std::vector<Value> factors;
        for (const std::size_t part : with.parts) factors.push_back(Value{{part}});
        take_factor(layer, std::vector<std::size_t>(parts), factors);
        return true;
    }

    // Whether a convolution reads the very parts that it is multiplied with, and they lie in a
    // tensor without gaps: they are one factor.
    bool takes_together(int blob, const Value& with) {
        if (with.parts.size() < 2 || value(blob).parts.size() != 1) return false;
        const Node& node = lowered_.nodes[value(blob).parts[0]];
        return has_weights(node.kind) && node.skips.empty() && node.input.parts == with.parts &&
               std::all_of(with.parts.begin(), with.parts.end() - 1, [&](std::size_t part) {
                   return lowered_.nodes[part].channels % kChannelAlignment == 0;
               });
    }

    // One factor for each node.
    void take_factor(const Layer& layer, const std::vector<std::size_t>& parts,
                     const std::vector<Value>& factors) {
        for (std::size_t i = 0; i < parts.size(); ++i) {
            LoweredSkip skip;
            skip.from = factors[i];
            skip.product = true;
            lowered_.nodes[parts[i]].skips.push_back(skip);
        }
        Value product;
        product.parts = parts;
        product.steps = lowered_.nodes[parts[0]].steps();
        name_layers(layer, lowered_.nodes[parts[0]]);
        values_[layer.outputs[0]] = product;
    }

    // The product of a convolution's result and the sigmoid of what it was before its skips.
    bool add_gate(const Layer& layer) {
        for (const std::size_t first : {std::size_t{0}, std::size_t{1}}) {
            const auto gate = gates_.find(layer.inputs[first]);
            const int blob = layer.inputs[1 - first];
            if (gate == gates_.end() || values_.count(blob) == 0) continue;
            Node* node = open(blob);
            const bool fits = node != nullptr && node->kind == OpKind::convolution &&
                              value(blob).as_computed() &&
                              value(blob).parts[0] == gate->second.node &&
                              node->steps() - node->skips.size() == gate->second.steps;
            if (!fits) continue;
            node->gate = gate->second.offset;
            name_layers(layer, *node);
            Value gated;
            gated.parts = {gate->second.node};
            gated.steps = node->steps();
            values_[layer.outputs[0]] = gated;
            return true;
        }
        return false;
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
            const Value grown = value(layer.inputs[first]);
            const std::size_t id = grown.parts[0];
            if (other.parts[0] >= id || node->skips.size() >= kMaxSkips) continue;
            LoweredSkip skip;
            skip.from = other;
            skip.value_scale = weights[first] * grown.scale;
            skip.skip_scale = weights[second] * other.scale;
            skip.shift = weights[first] * grown.shift + weights[second] * other.shift;
            node->skips.push_back(skip);
            name_layers(layer, *node);
            Value sum;
            sum.parts = {id};
            sum.steps = node->steps();
            values_[layer.outputs[0]] = sum;
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
        if (!is_whole(layer.inputs[0])) refuse(layer, "resizes what has lost a border");
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
        if (layer.integer(1, 0) != 0 || factor > kMostFactor)
            refuse(layer, "unshuffles in an unusual order");
        if (takes_input_alone(layer.inputs[0])) {
            unshuffle_input(factor);
            values_[layer.outputs[0]] = source;
            return fold(layer);
        }
        const int origin = origins_[layer.inputs[0]];
        origins_[layer.outputs[0]] = origin / factor;
        values_[layer.outputs[0]] = unshuffled(layer, factor, origin % factor);
    }

    const Graph& graph_;
    const Trace sizes_;
    LoweredGraph lowered_;
    std::map<int, Value> values_;                       // by blob
    std::map<int, int> origins_;                        // by blob, of its tensor's rows the first
    std::set<std::size_t> transposed_;                  // shuffles of transposed convolutions
    std::map<int, std::size_t> constants_;              // by blob, the layer that has the numbers
    std::map<int, PendingGate> gates_;                  // by blob
    std::map<int, std::vector<const Layer*>> readers_;  // by blob
    std::map<int, const Layer*> makers_;                // by blob
    std::map<int, int> uses_;  // by blob; blobs that stand for one tensor share their count
    // By blob: names of layers that are folded into whatever reads it.
    std::map<int, std::vector<std::string>> folded_;
};

}  // namespace

LoweredGraph lower_graph(const Graph& graph) {
    return GraphLowering(graph).lower();
}

}  // namespace realesrgan
