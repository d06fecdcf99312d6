#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/graph.hpp"
#include "program/program.hpp"

namespace realesrgan {

// The graph is not one the row stream runs; what() says why, for the user.
class NotStreamable : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// What a blob is, in terms of the nodes that are really computed: `scale` times the nodes side by
// side in the channels (more than one after a Concat or a Slice), and `shift`, enlarged by nearest
// `upsample`.
struct Value {
    std::vector<std::size_t> parts;
    int upsample = 1;
    float scale = 1.0F;
    float shift = 0.0F;
    std::size_t steps = 0;  // of the epilogue of a single part that the blob comes after
    bool shared = false;    // something else reads one of several parts

    bool as_computed() const { return scale == 1.0F && shift == 0.0F; }
    bool plain() const { return as_computed() && upsample == 1; }
};

struct LoweredSkip {
    Value from;
    float value_scale = 1.0F;
    float skip_scale = 1.0F;
    float shift = 0.0F;
    bool product = false;
};

// How a layer's kernel becomes one with stride 1 on unshuffled rows, or one before a shuffle. Along
// each axis, with s the stride: tap t of a convolution reads unshuffled row floor((t + shift) / s)
// from the result's own, and of it the part (t + shift) mod s. Tap t of a transposed convolution
// belongs to part r of the result and reads row (r + shift - t) / s, if that is whole.
struct KernelFold {
    int side = 0;  // of the layer's kernel; 0: the op's kernel is the layer's
    int stride = 1;
    int shift = 0;
    bool transposed = false;
};

// A tensor that is really computed, with everything that was folded into its epilogue.
struct Node {
    OpKind kind = OpKind::convolution;  // not of node 0, the input
    int channels = 0;
    int scale = 1;
    Value input;
    std::size_t layer = 0;             // the layer its weights belong to
    int first_output = 0;              // of the layer's channels, the node's first
    std::optional<std::size_t> prelu;  // the layer its slopes belong to
    int kernel = 3;                    // side
    KernelFold fold;
    float epsilon = 0.0F;
    Activation activation = Activation::none;
    float slope = 0.0F;
    std::vector<LoweredSkip> skips;
    std::optional<float> gate;
    int factor = 1;
    int phase = 0;
    Resize resize;
    std::vector<std::string> layers;  // as Op::layers

    // Of the epilogue, as far as they are known.
    std::size_t steps() const {
        return (activation == Activation::none ? 0 : 1) + skips.size() + (gate ? 1 : 0);
    }
};

// A sum or product of the picture with a number, or with a constant of one number a channel.
struct InputStep {
    bool product = false;
    bool inverse = false;  // a difference or a quotient
    float number = 0.0F;
    std::optional<std::size_t> constant;  // instead of the number: the layer that has the numbers
};

// The lowered graph, before channels of tensors are assigned. nodes[0] is the input, after the
// unshuffle.
struct LoweredGraph {
    std::vector<Node> nodes;
    std::size_t output = 0;
    int unshuffle = 1;
    int alignment = 1;
    int border = 0;                      // Program::border
    std::vector<InputStep> input_steps;  // of the picture, before the unshuffle
};

// Throws NotStreamable.
LoweredGraph lower_graph(const Graph& graph);

}  // namespace realesrgan
