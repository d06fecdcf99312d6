#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/graph.hpp"

namespace realesrgan {

// The kinds of layers that this library runs, and the parameters that a line of a .param file may
// give each. What is refused here reaches neither the row stream nor ncnn.

enum class ParamType { integer, real, integers, reals, text };

struct ParamRule {
    int id;
    ParamType type;
    double low;  // of the number, or of each in a list
    double high;
};

struct LayerKind {
    int fewest_inputs = 1;
    int most_inputs = 1;
    int most_outputs = 1;  // at least one
    std::vector<ParamRule> params;
    // What one parameter says of another, or of the number of inputs, as layer_fault(); or null.
    std::string (*fault)(const Layer& layer) = nullptr;
};

inline constexpr int kRest = -233;  // "the rest" or "as it is" in ncnn's sizes, "none" in others

// Null for a kind that is not run: nothing is known of such a layer.
const LayerKind* layer_kind(const std::string& type);

// Columns or rows of a convolution, deconvolution, fold or unfold, as the parameters give them.
struct KernelAxis {
    std::int64_t kernel = 1;
    std::int64_t dilation = 1;
    std::int64_t stride = 1;
    std::int64_t pad_before = 0;  // below zero: as many samples as strides (TensorFlow's SAME)
    std::int64_t pad_after = 0;

    std::int64_t reach() const { return (kernel - 1) * dilation; }
    bool operator==(const KernelAxis& other) const {
        return kernel == other.kernel && dilation == other.dilation && stride == other.stride &&
               pad_before == other.pad_before && pad_after == other.pad_after;
    }
};

KernelAxis kernel_columns(const Layer& layer);
KernelAxis kernel_rows(const Layer& layer);

// What is wrong with a layer's numbers of inputs and outputs and its parameters, as the end of a
// sentence that begins with its name; empty where nothing is, or the kind is not run.
std::string layer_fault(const Layer& layer);

// "layer 'NAME' (KIND)", for messages.
std::string layer_title(const Layer& layer);

// Throws ModelError for the first layer of a kind that is not run.
void check_kinds(const Graph& graph);

}  // namespace realesrgan
