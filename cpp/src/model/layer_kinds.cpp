#include "model/layer_kinds.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <variant>

#include "base/escape.hpp"
#include "model/size_expression.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {

namespace kinds {

namespace {

constexpr int kMany = 1 << 16;
constexpr double kChannels = 1 << 16;
constexpr double kSide = 1 << 16;
constexpr double kKernel = 1 << 10;
constexpr double kFactor = 64;         // of an enlargement, a shuffle or a stride
constexpr double kBorder = 1024;       // that a layer adds on one side
constexpr double kCount = 2147483647;  // of weights
constexpr double kAny = 3.5e38;        // finite in 32 bits

using Params = std::vector<ParamRule>;

ParamRule whole(int id, double low, double high) {
    return {id, ParamType::integer, low, high};
}
ParamRule flag(int id) {
    return whole(id, 0, 1);
}
ParamRule real(int id) {
    return {id, ParamType::real, -kAny, kAny};
}
// Of an enlargement.
ParamRule zoom(int id) {
    return {id, ParamType::real, 1.0 / 1024, kFactor};
}
ParamRule wholes(int id, double low, double high) {
    return {id, ParamType::integers, low, high};
}
ParamRule reals(int id) {
    return {id, ParamType::reals, -kAny, kAny};
}
ParamRule text(int id) {
    return {id, ParamType::text, 0, 0};
}

// Whole numbers of one range.
Params wholes_of(std::initializer_list<int> ids, double low, double high) {
    Params params;
    for (const int id : ids) params.push_back(whole(id, low, high));
    return params;
}

Params joined(std::initializer_list<Params> parts) {
    Params all;
    for (const Params& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
}

// Kernel, dilation and stride of columns (1, 2, 3) and rows (11, 12, 13).
Params window() {
    return joined({wholes_of({1, 11, 2, 12}, 1, kKernel), wholes_of({3, 13}, 1, kFactor)});
}

// Left, right, top and bottom.
Params pads(double low) {
    return wholes_of({4, 15, 14, 16}, low, kSide);
}

Params activation() {
    return {whole(9, 0, 6), reals(10)};
}

constexpr double kSameLower = -234;  // pads as TensorFlow's SAME: -233 (upper), -234 (lower)

Params convolution(double groups) {
    return joined({window(),
                   pads(kSameLower),
                   activation(),
                   {whole(0, 1, kChannels), flag(5), whole(6, 1, kCount), whole(7, 1, groups),
                    whole(8, 0, 0), real(18), whole(19, 0, 0)}});
}

Params deconvolution(double groups) {
    return joined({window(),
                   pads(0),
                   activation(),
                   wholes_of({18, 19}, 0, kFactor),
                   wholes_of({20, 21, 28}, 0, 0),
                   {whole(0, 1, kChannels), flag(5), whole(6, 1, kCount), whole(7, 1, groups)}});
}

Params sizes(double low) {
    return wholes_of({0, 1, 2, 11}, low, kCount);
}

std::string numbers(double low, double high, const char* what) {
    std::ostringstream words;
    words.precision(10);
    if (high >= kAny) {
        words << what;
    } else if (low == high) {
        words << low;
    } else {
        words << what << " from " << low << " to " << high;
    }
    return words.str();
}

std::string expected(const ParamRule& rule) {
    switch (rule.type) {
        case ParamType::integer:
            return numbers(rule.low, rule.high, "a whole number");
        case ParamType::real:
            return numbers(rule.low, rule.high, "a number");
        case ParamType::integers:
            return numbers(rule.low, rule.high, "a list of whole numbers");
        case ParamType::reals:
            return numbers(rule.low, rule.high, "a list of numbers");
        case ParamType::text:
            break;
    }
    return "a text";
}

bool fits(const ParamRule& rule, const ParamValue& value) {
    const auto within = [&](auto number) {
        const auto exact = static_cast<double>(number);
        return exact >= rule.low && exact <= rule.high;
    };
    const auto all_within = [&](const auto& list) {
        return std::all_of(list.begin(), list.end(), within);
    };
    if (const auto* number = std::get_if<int>(&value)) {
        return (rule.type == ParamType::integer || rule.type == ParamType::real) && within(*number);
    }
    if (const auto* number = std::get_if<float>(&value)) {
        return rule.type == ParamType::real && within(*number);
    }
    if (const auto* list = std::get_if<std::vector<int>>(&value)) {
        return (rule.type == ParamType::integers || rule.type == ParamType::reals) &&
               all_within(*list);
    }
    if (const auto* list = std::get_if<std::vector<float>>(&value)) {
        return rule.type == ParamType::reals && all_within(*list);
    }
    return rule.type == ParamType::text;
}

std::string counted(std::size_t count, const char* one) {
    return std::to_string(count) + ' ' + one + (count == 1 ? "" : "s");
}

std::string arity_fault(const Layer& layer, int fewest, int most, int most_outputs) {
    const auto inputs = static_cast<int>(layer.inputs.size());
    const auto outputs = static_cast<int>(layer.outputs.size());
    if (inputs < fewest || inputs > most) {
        const std::string range = fewest == most ? std::to_string(fewest)
                                  : most == kMany
                                      ? std::to_string(fewest) + " or more"
                                      : std::to_string(fewest) + " to " + std::to_string(most);
        return "has " + counted(layer.inputs.size(), "input") + ", expected " + range;
    }
    if (outputs < 1 || outputs > most_outputs) {
        return "has " + counted(layer.outputs.size(), "output") + ", expected " +
               (most_outputs == 1 ? "1" : "1 or more");
    }
    return {};
}

std::string param_fault(const Layer& layer, const LayerKind& kind) {
    for (const ParamRule& rule : kind.params) {
        const auto found = layer.params.find(rule.id);
        if (found == layer.params.end() || fits(rule, found->second)) continue;
        const bool quantized = (rule.id == 8 || rule.id == 18) && rule.high == 0;
        if (quantized) {
            return "is quantized to 8 bits, which is not supported; use the network with 16-bit or "
                   "32-bit weights";
        }
        return "has a value of parameter " + std::to_string(rule.id) + " that is not " +
               expected(rule);
    }
    return {};
}

std::string activation_fault(const Layer& layer) {
    const int type = layer.integer(9, 0);
    const std::size_t needed = type == 2 ? 1 : type == 3 || type == 6 ? 2 : 0;
    return layer.array(10).size() < needed ? "has an activation without its numbers" : "";
}

// What a convolution's numbers say of each other.
std::string convolution_fault(const Layer& layer) {
    const std::int64_t outputs = layer.integer(0, 0);
    const std::int64_t columns = layer.integer(1, 0);
    const std::int64_t taps = columns * layer.integer(11, static_cast<int>(columns));
    const std::int64_t count = layer.integer(6, 0);
    const std::int64_t groups = layer.integer(7, 1);
    if (outputs == 0 || taps == 0 || count == 0 || count % (outputs * taps) != 0) {
        return "has " + std::to_string(count) + " weights: no number of input channels fits " +
               std::to_string(outputs) + " output channels and " + std::to_string(taps) +
               " taps each";
    }
    if (outputs % groups != 0) return "has output channels that do not divide into its groups";
    const int left = layer.integer(4, 0);
    const int top = layer.integer(14, left);
    const int all[] = {left, layer.integer(15, left), top, layer.integer(16, top)};
    const bool sizes =
        std::all_of(std::begin(all), std::end(all), [](int pad) { return pad >= 0; });
    const bool same = std::all_of(std::begin(all), std::end(all),
                                  [&](int pad) { return pad == left && pad <= kRest; });
    if (!sizes && !same) return "has a negative padding";
    const std::int64_t dilation = layer.integer(2, 1);
    const std::int64_t across = dilation * (columns - 1) + 1;
    const std::int64_t down = layer.integer(12, layer.integer(2, 1)) * (taps / columns - 1) + 1;
    if (std::max(all[0], all[1]) > across || std::max(all[2], all[3]) > down) {
        return "has a padding larger than its kernel";
    }
    return activation_fault(layer);
}

std::string inner_product_fault(const Layer& layer) {
    const int outputs = layer.integer(0, 0);
    const int count = layer.integer(2, 0);
    if (outputs == 0 || count == 0 || count % outputs != 0) {
        return "has a number of weights that its outputs do not divide";
    }
    return activation_fault(layer);
}

std::string eltwise_fault(const Layer& layer) {
    const std::size_t factors = layer.array(1).size();
    return factors == 0 || factors == layer.inputs.size()
               ? ""
               : "has " + counted(factors, "factor") + " for " +
                     counted(layer.inputs.size(), "input");
}

std::string slice_fault(const Layer& layer) {
    const std::vector<int> slices = layer.integers(0);
    const std::vector<int> indices = layer.integers(2);
    const std::size_t parts = indices.empty() ? slices.size() : indices.size() + 1;
    if (parts != layer.outputs.size()) {
        return "has " + counted(layer.outputs.size(), "output") + ", but its list gives " +
               std::to_string(parts);
    }
    const bool whole_sizes = std::all_of(slices.begin(), slices.end(),
                                         [](int size) { return size > 0 || size == kRest; });
    return whole_sizes ? "" : "has a slice of no or of negative size";
}

std::string exact_inputs(const Layer& layer, int count) {
    return arity_fault(layer, count, count, 1);
}

std::string attention_fault(const Layer& layer) {
    const int mask = layer.integer(5, 0);
    const int embed = layer.integer(0, 0);
    const int heads = layer.integer(1, 1);
    if (embed == 0 || embed % heads != 0) return "has a size that its heads do not divide";
    if (layer.integer(2, 0) == 0 || layer.integer(2, 0) % embed != 0) {
        return "has a number of weights that its size does not divide";
    }
    return arity_fault(layer, 1 + mask, 3 + mask, 1);
}

std::string gemm_fault(const Layer& layer) {
    const bool a = layer.integer(4, 0) != 0;
    const bool b = layer.integer(5, 0) != 0;
    const bool c = layer.integer(6, 0) != 0;
    const auto constant = [&](bool is_constant, int one, int other) {
        return !is_constant || (layer.integer(one, 0) > 0 && layer.integer(other, 0) > 0);
    };
    const int type = layer.integer(10, 0);
    const bool rows = c && type >= 1 && type <= 3;
    const bool columns = c && type >= 3;
    if (!constant(a, 7, 9) || !constant(b, 8, 9) || !constant(rows, 7, 7) ||
        !constant(columns, 8, 8)) {
        return "has a constant matrix without its sizes";
    }
    const int given = (a ? 0 : 1) + (b ? 0 : 1);
    // Without a constant nor a given matrix nothing would be read; ncnn needs one input.
    return arity_fault(layer, std::max(given, 1), given + (c ? 0 : 1), 1);
}

// Sizes as texts: their words, and the inputs that they count on. ncnn takes a layer whose texts
// name its first input alone for one that has no other.
std::string expression_fault(const Layer& layer, std::initializer_list<int> ids) {
    int inputs = 1;
    for (const int id : ids) {
        const std::string words = layer.text(id);
        if (words.empty()) continue;
        const std::optional<int> count = expression_inputs(words);
        if (!count) return "has a size " + shown_name(words) + " that cannot be computed";
        inputs = std::max(inputs, *count);
    }
    return exact_inputs(layer, inputs);
}

std::string crop_fault(const Layer& layer) {
    const std::vector<int> starts = layer.integers(9);
    const std::vector<int> axes = layer.integers(11);
    if (starts.size() > 4 || layer.integers(10).size() != starts.size() ||
        (!axes.empty() && axes.size() != starts.size())) {
        return "has lists of starts, ends and axes that do not agree";
    }
    const bool texts = !layer.text(19).empty() || !layer.text(20).empty();
    if (texts && (layer.text(19).empty() || layer.text(20).empty() || !starts.empty())) {
        return "has starts without ends";
    }
    bool fixed = texts || !starts.empty();
    for (const int id : {3, 4, 5, 14, 6, 7, 8, 15}) fixed = fixed || layer.integer(id, 0) != 0;
    if (texts) return expression_fault(layer, {19, 20, 21});
    return exact_inputs(layer, fixed ? 1 : 2);
}

std::string interp_fault(const Layer& layer) {
    if (layer.params.count(0) == 0) return "does not say how it resizes (parameter 0)";
    if (!layer.text(9).empty()) {
        return layer.integer(5, 0) != 0 ? "has two ways to say its size"
                                        : expression_fault(layer, {9});
    }
    return exact_inputs(layer, layer.integer(5, 0) != 0 ? 2 : 1);
}

std::string reshape_fault(const Layer& layer) {
    if (!layer.text(6).empty()) return expression_fault(layer, {6});
    int unknown = 0;
    for (const int id : {0, 1, 2, 11}) {
        const int size = layer.integer(id, kRest);
        if (size < -1 && size != kRest) return "has a negative size";
        unknown += size == -1 ? 1 : 0;
    }
    if (layer.integer(0, kRest) == kRest) return "has no width";
    if (unknown > 1) return "has more than one size of -1";
    return exact_inputs(layer, 1);
}

std::string pooling_fault(const Layer& layer) {
    if (layer.integer(4, 0) != 0) return {};
    if (layer.integer(7, 0) != 0) {
        const int columns = layer.integer(8, 0);
        const int rows = layer.integer(18, columns);
        const bool sizes = (columns > 0 || columns == kRest) && (rows > 0 || rows == kRest);
        return sizes ? "" : "has an output of no or of negative size";
    }
    const int columns = layer.integer(1, 0);
    const int rows = layer.integer(11, columns);
    if (columns < 1 || rows < 1) return "has a kernel of no size";
    const int left = layer.integer(3, 0);
    const int top = layer.integer(13, left);
    const bool inside = std::max(left, layer.integer(14, left)) <= columns &&
                        std::max(top, layer.integer(15, top)) <= rows;
    return inside ? "" : "has a padding larger than its kernel";
}

std::string tile_fault(const Layer& layer) {
    return layer.integers(2).size() > 4 ? "has more than four repeats" : "";
}

std::string scale_fault(const Layer& layer) {
    const int size = layer.integer(0, 0);
    if (size < 1 && size != kRest) return "has no factors";
    return exact_inputs(layer, size == kRest ? 2 : 1);
}

template <int Id>
std::string axes_fault(const Layer& layer) {
    return layer.integers(Id).size() > 4 ? "has more than four axes" : "";
}

template <int Id>
std::string count_fault(const Layer& layer) {
    return layer.integer(Id, 0) < 1 ? "has no count of weights" : "";
}

std::string old_fault(bool old) {
    return old ? "was written by an old converter; convert the network again" : "";
}

std::string reduction_fault(const Layer& layer) {
    const std::string fault = old_fault(layer.integer(5, 0) == 0 && !layer.integers(3).empty());
    return fault.empty() ? axes_fault<3>(layer) : fault;
}

std::string window_fault(const Layer& layer) {
    return layer.integer(1, 0) < 1 ? "has a kernel of no size" : "";
}

std::string fold_fault(const Layer& layer) {
    const std::string fault = window_fault(layer);
    return fault.empty() && layer.integer(20, 0) < 1 ? "has an output of no size" : fault;
}

// In place, or of the same shape, and without parameters.
constexpr std::string_view kPlain[] = {"AbsVal", "DeepCopy", "Erf",      "Flatten", "Mish",
                                       "Noop",   "Sigmoid",  "Softplus", "Swish",   "TanH"};

std::map<std::string_view, LayerKind> make_kinds() {
    std::map<std::string_view, LayerKind> kinds;
    for (const std::string_view name : kPlain) kinds[name] = {};
    using Fault = std::string (*)(const Layer&);
    const auto add_wide = [&](std::string_view name, int fewest, int most, Params params,
                              Fault fault = nullptr) {
        kinds[name] = LayerKind{fewest, most, 1, std::move(params), fault};
    };
    const auto add = [&](std::string_view name, Params params, Fault fault = nullptr) {
        add_wide(name, 1, 1, std::move(params), fault);
    };
    kinds["Split"] = LayerKind{1, 1, kMany, {}};
    kinds["Slice"] =
        LayerKind{1,
                  1,
                  kMany,
                  {wholes(0, kRest, kChannels), whole(1, -4, 3), wholes(2, -kSide, kSide)},
                  slice_fault};
    add_wide("Input", 0, 0, sizes(kRest));
    add_wide("MemoryData", 0, 0, joined({sizes(0), {flag(21)}}));

    add("Convolution", convolution(1), convolution_fault);
    add("ConvolutionDepthWise", convolution(kChannels), convolution_fault);
    add("Deconvolution", deconvolution(1), convolution_fault);
    add("DeconvolutionDepthWise", deconvolution(kChannels), convolution_fault);
    add("InnerProduct",
        joined(
            {activation(), {whole(0, 1, kChannels), flag(1), whole(2, 1, kCount), whole(8, 0, 0)}}),
        inner_product_fault);

    add("BatchNorm", {whole(0, 1, kChannels), real(1)}, count_fault<0>);
    add("Bias", {whole(0, 1, kChannels)}, count_fault<0>);
    add("Cast", {whole(0, 0, 4), whole(1, 0, 4)}, [](const Layer& layer) {
        return std::string(layer.integer(0, 0) == layer.integer(1, 0)
                               ? ""
                               : "changes the type of the numbers, which is not supported");
    });
    add("Clip", {real(0), real(1)});
    add("Dropout", {real(0)});
    add("ELU", {real(0)});
    add("Exp", {real(0), real(1), real(2)});
    add("GELU", {flag(0)});
    add("HardSigmoid", {real(0), real(1)});
    add("HardSwish", {real(0), real(1)});
    add("Log", {real(0), real(1), real(2)});
    add("Power", {real(0), real(1), real(2)});
    add("PReLU", {whole(0, 1, kChannels)}, count_fault<0>);
    add("ReLU", {real(0)});
    add_wide("Scale", 1, 2, {whole(0, kRest, kChannels), flag(1)}, scale_fault);
    add("UnaryOp", {whole(0, 0, 63)});

    add("GroupNorm", {whole(0, 1, kChannels), whole(1, 1, kChannels), real(2), flag(3)},
        count_fault<1>);
    add("InstanceNorm", {whole(0, 0, kChannels), real(1), flag(2)}, [](const Layer& layer) {
        return layer.integer(2, 1) == 0 ? std::string() : count_fault<0>(layer);
    });
    add("LayerNorm", {whole(0, 1, kCount), real(1), flag(2)}, count_fault<0>);
    add("MVN", {flag(0), flag(1), real(2)});
    add("Normalize", {flag(0), flag(1), real(2), whole(3, 1, kChannels), flag(4), whole(9, 0, 2)},
        count_fault<3>);
    add("RMSNorm", {whole(0, 1, kCount), real(1), flag(2)}, count_fault<0>);
    add("Softmax", {whole(0, -4, 3), flag(1)}, [](const Layer& layer) {
        return old_fault(layer.integer(1, 0) == 0 && layer.integer(0, 0) != 0);
    });

    add_wide("BinaryOp", 1, 2, {whole(0, 0, 63), flag(1), real(2)}, [](const Layer& layer) {
        return exact_inputs(layer, layer.integer(1, 0) != 0 ? 1 : 2);
    });
    add_wide("Concat", 1, kMany, {whole(0, -4, 3)});
    add_wide("Eltwise", 2, kMany, {whole(0, 0, 2), reals(1)}, eltwise_fault);
    add_wide("GridSample", 2, 2, {whole(0, 1, 3), whole(1, 1, 3), flag(2), flag(3)});
    add_wide("MatMul", 2, 2, {flag(0)});
    add_wide("Gemm", 1, 3,
             joined({wholes_of({2, 3, 4, 5, 6, 11, 12, 13, 14}, 0, 1),
                     wholes_of({7, 8, 9, 20, 21, 22}, 0, kCount),
                     {real(0), real(1), whole(10, -1, 4), whole(18, 0, 0)}}),
             gemm_fault);
    add_wide("MultiHeadAttention", 1, 4,
             joined({wholes_of({0, 1, 3, 4}, 1, kChannels),
                     {whole(2, 1, kCount), flag(5), real(6), whole(7, 0, 0), whole(18, 0, 0)}}),
             attention_fault);
    add_wide("SDPA", 3, 4, {flag(5), real(6), whole(7, 0, 0), whole(18, 0, 0)},
             [](const Layer& layer) { return exact_inputs(layer, 3 + layer.integer(5, 0)); });

    add_wide("Crop", 1, kMany,
             joined({wholes_of({0, 1, 2, 13, 3, 4, 5, 14, 6, 7, 8, 15}, kRest, kSide),
                     {wholes(9, -kCount, kCount), wholes(10, -kCount, kCount), wholes(11, -4, 3),
                      text(19), text(20), text(21)}}),
             crop_fault);
    add("ExpandDims", {flag(0), flag(1), flag(2), flag(11), wholes(3, -4, 3)}, axes_fault<3>);
    add("Flip", {wholes(0, -4, 3)}, axes_fault<0>);
    add("Fold", joined({window(), pads(0), wholes_of({20, 21}, 1, kSide)}), fold_fault);
    add("GLU", {whole(0, -4, 3)});
    add_wide("Interp", 1, kMany,
             {whole(0, 1, 3), zoom(1), zoom(2), whole(3, 0, kSide), whole(4, 0, kSide), flag(5),
              flag(6), text(9)},
             interp_fault);
    add("Padding", joined({wholes_of({0, 1, 2, 3}, 0, kBorder),
                           wholes_of({6, 7, 8}, 0, kChannels),
                           {whole(4, 0, 2), real(5)}}));
    add("Permute", {whole(0, 0, 23)});
    add("PixelShuffle", {whole(0, 1, kFactor), flag(1)});
    add("Pooling",
        joined({wholes_of({1, 11, 3, 14, 13, 15}, 0, kKernel),
                wholes_of({2, 12}, 1, kKernel),
                wholes_of({8, 18}, kRest, kSide),
                {flag(0), flag(4), whole(5, 0, 3), flag(6), flag(7)}}),
        pooling_fault);
    add("Reduction", {whole(0, 0, 10), flag(1), real(2), wholes(3, -4, 3), flag(4), flag(5)},
        reduction_fault);
    add("Reorg", {whole(0, 1, kFactor), flag(1)});
    add_wide("Reshape", 1, kMany,
             joined({sizes(kRest), {text(6), whole(12, 233, 233), whole(13, 233, 233)}}),
             reshape_fault);
    add("ShuffleChannel", {whole(0, 1, kChannels), flag(1)});
    add("Squeeze", {flag(0), flag(1), flag(2), flag(11), wholes(3, -4, 3)}, axes_fault<3>);
    add("Tile", {whole(0, 0, 3), whole(1, 1, kKernel), wholes(2, 1, kKernel)}, tile_fault);
    add("Unfold", joined({window(), pads(kSameLower), {real(18)}}), window_fault);
    return kinds;
}

}  // namespace

}  // namespace kinds

const LayerKind* layer_kind(const std::string& type) {
    static const std::map<std::string_view, LayerKind> all = kinds::make_kinds();
    const auto found = all.find(type);
    return found == all.end() ? nullptr : &found->second;
}

std::string layer_fault(const Layer& layer) {
    const LayerKind* kind = layer_kind(layer.type);
    if (kind == nullptr) return {};
    std::string fault =
        kinds::arity_fault(layer, kind->fewest_inputs, kind->most_inputs, kind->most_outputs);
    if (fault.empty()) fault = kinds::param_fault(layer, *kind);
    if (fault.empty() && kind->fault != nullptr) fault = kind->fault(layer);
    return fault;
}

std::string layer_title(const Layer& layer) {
    const bool known = layer_kind(layer.type) != nullptr;
    return "layer " + shown_name(layer.name) + " (" +
           (known ? layer.type : shown_name(layer.type)) + ")";
}

KernelAxis kernel_columns(const Layer& layer) {
    const int left = layer.integer(4, 0);
    return {layer.integer(1, 1), layer.integer(2, 1), layer.integer(3, 1), left,
            layer.integer(15, left)};
}

KernelAxis kernel_rows(const Layer& layer) {
    const int top = layer.integer(14, layer.integer(4, 0));
    return {layer.integer(11, layer.integer(1, 1)), layer.integer(12, layer.integer(2, 1)),
            layer.integer(13, layer.integer(3, 1)), top, layer.integer(16, top)};
}

void check_kinds(const Graph& graph) {
    for (const Layer& layer : graph.layers) {
        if (layer_kind(layer.type) == nullptr) {
            throw ModelError("layer " + shown_name(layer.name) + " is of the type " +
                             shown_name(layer.type) + ", which this library does not run");
        }
    }
}

}  // namespace realesrgan
