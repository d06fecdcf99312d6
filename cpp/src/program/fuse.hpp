#pragma once

#include <functional>
#include <optional>
#include <string>

#include "model/graph.hpp"
#include "program/program.hpp"

namespace realesrgan {

struct FusedNetwork {
    Program program;
    // The numbers of Program::convolutions[index], read when asked for and not kept; with
    // `accept_fp16` as binary16 where the file has them so. Any number of threads may ask. Holds
    // the weight file open: reset it once the backend has them. Throws ModelError for a file that
    // cannot be read any more.
    std::function<ConvolutionWeights(int index, bool accept_fp16)> weights;
};

struct FuseResult {
    std::optional<FusedNetwork> network;
    std::string reason;  // why there is none, in words for the user
};

// Graph -> Program: Split disappears, Concat becomes channel offsets of one tensor, bias,
// activation, residual scale, skips and gate join the convolution's epilogue, nearest enlargement
// its read, sums and products of the picture with constants its loading. A graph with anything else
// in it is not row-local (or not known to be) and gives the reason instead; its weights are then
// not looked at. Throws ModelError when the graph fits and the weight file does not.
FuseResult fuse(const Graph& graph, const std::string& bin_path);

// Whether the graph is one that fuse() makes a program of.
bool is_row_local(const Graph& graph);

}  // namespace realesrgan
