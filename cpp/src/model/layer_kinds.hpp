#pragma once

#include <string>
#include <vector>

#include "model/graph.hpp"

namespace realesrgan {

// The kinds of layers that this library runs, and what a line of a .param file may say of each.
// Both ways to run a network rest on it: what is refused here reaches neither the row stream nor
// ncnn.

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
};

inline constexpr int kRest = -233;  // "the rest" or "as it is" in ncnn's sizes, "none" in others

// Null for a kind that is not run: nothing is known of such a layer.
const LayerKind* layer_kind(const std::string& type);

// What is wrong with a layer's numbers of inputs and outputs and its parameters, as the end of a
// sentence that begins with its name; empty where nothing is, or the kind is not run.
std::string layer_fault(const Layer& layer);

// "layer 'NAME' (KIND)", for messages.
std::string layer_title(const Layer& layer);

// Throws ModelError for the first layer of a kind that is not run.
void check_kinds(const Graph& graph);

}  // namespace realesrgan
