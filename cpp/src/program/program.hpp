#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/integers.hpp"
#include "model/graph.hpp"
#include "model/row_dependency.hpp"
#include "realesrgan/image.hpp"

namespace realesrgan {

// Channel offsets inside a tensor are multiples of this, so that every backend can move whole
// vectors.
inline constexpr int kChannelAlignment = 16;

// A feature map, or several concatenated along the channels (a dense block), `scale` times as wide
// and high as the input tensor. Channels that belong to no slice are padding and hold zero.
struct Tensor {
    int channels = 0;
    int scale = 1;
};

// A range of a tensor's channels. `channel` is a multiple of kChannelAlignment; `channels` need not
// be: a backend may read and write up to the next multiple, where weights are zero and results are
// zero.
struct ChannelSlice {
    int tensor = -1;
    int channel = 0;
    int channels = 0;
};

enum class OpKind {
    convolution,    // 3x3, zero padding of 1, on the input enlarged by nearest `upsample`
    pixel_shuffle,  // channel c*f*f + dy*f + dx of pixel (x, y) becomes channel c of (x*f + dx, y*f
                    // + dy)
    resize,         // rows and columns resampled by `resize`
};

// ReLU is leaky_relu with slope 0; SiLU (Swish) is value * sigmoid(value).
enum class Activation { none, leaky_relu, prelu, silu };

// One addition of the epilogue: value = value * value_scale + skip * skip_scale, read from the same
// channel counted from the slice's start, at row y / upsample and column x / upsample.
struct Skip {
    ChannelSlice from;
    float value_scale = 1.0F;
    float skip_scale = 1.0F;
    int upsample = 1;
};

enum class ResizeFilter { bilinear, bicubic };

// Resampling by `numerator / denominator` (0.75 is 3/4) with half-pixel centres.
struct Resize {
    ResizeFilter filter = ResizeFilter::bicubic;
    int numerator = 1;
    int denominator = 1;
};

inline constexpr std::size_t kMaxSkips = 2;

// One fused operation: output = gate(skips(activation(kind(input) + bias))).
struct Op {
    OpKind kind = OpKind::convolution;
    ChannelSlice input;
    int upsample = 1;  // convolution: nearest enlargement of the input as it is read
    ChannelSlice output;
    std::optional<ChannelSlice> duplicate_output;  // the same result, written to a second tensor
    int convolution = -1;                          // index into Program::convolutions
    Activation activation = Activation::none;
    float slope = 0.0F;       // of leaky_relu
    std::vector<Skip> skips;  // applied in this order, at most kMaxSkips
    // Of a convolution: what comes after the skips is multiplied by sigmoid(v) + gate, v being what
    // comes before them.
    std::optional<float> gate;
    int factor = 1;  // of pixel_shuffle
    Resize resize;
    // The names of the graph's layers that it computes, the one that gives it its kind first.
    std::vector<std::string> layers;
};

// Rows of the endless picture that plans are made for: so many that no step near its middle reads
// beyond an end. The largest product of a dependency is twice a row of the largest tensor times a
// scale.
inline constexpr Row kEndlessRows = Row{1} << 40;
static_assert(kEndlessRows <= std::numeric_limits<Row>::max() / (4 * kMostScale * kMostScale));

// The rows that an operation's input slice is read at.
inline RowDependency row_dependency(const Op& op) {
    switch (op.kind) {
        case OpKind::convolution:  // a row of the enlarged input to either side
            return {op.upsample, 1, -2, 2};
        case OpKind::pixel_shuffle:
            return {op.factor};
        case OpKind::resize: {
            const bool bicubic = op.resize.filter == ResizeFilter::bicubic;
            return RowDependency::resampling(op.resize.numerator, op.resize.denominator,
                                             bicubic ? 1 : 0, bicubic ? 2 : 1);
        }
    }
    return {};
}

inline RowDependency row_dependency(const Skip& skip) {
    return {skip.upsample};
}

struct ConvolutionShape {
    int inputs = 0;   // channels of the op's input slice, alignment gaps inside it included
    int outputs = 0;  // channels of the op's output slice
};

// A convolution's numbers: kernel[output][input][3][3], zero at the input's alignment gaps.
struct ConvolutionWeights {
    int inputs = 0;
    int outputs = 0;
    std::vector<float> kernel;
    std::vector<std::uint16_t> fp16;  // instead of `kernel`, the same numbers in binary16
    std::vector<float> bias;          // `outputs` values
    std::vector<float> slopes;        // `outputs` values for Activation::prelu, otherwise empty
};

// Channels of a picture that has an input transform, at most.
inline constexpr int kMostTransformed = 4;

// What a picture's sample becomes as it is loaded: sample * scale + shift.
struct InputTransform {
    float scale = 1.0F;
    float shift = 0.0F;
};

// A row-local network as fused operations in execution order. The input tensor is tensors[0]; with
// unshuffle r its channel c*r*r + dy*r + dx of pixel (x, y) is the picture's channel c of
// (x*r + dx, y*r + dy), and the picture's size is a multiple of r. Nothing writes a slice twice.
struct Program {
    std::vector<Tensor> tensors;
    std::vector<Op> ops;
    std::vector<ConvolutionShape> convolutions;
    ChannelSlice input;  // of tensor 0: all its channels
    int unshuffle = 1;
    int picture_channels = 0;
    // One for each of the picture's channels; empty: samples are taken as they are. It is no part
    // of the first convolution, whose zero padding lies around the transformed picture.
    std::vector<InputTransform> input_transform;
    ChannelSlice output;  // the result

    const Tensor& tensor(const ChannelSlice& slice) const { return tensors[idx(slice.tensor)]; }
    // The result's size over the picture's.
    int scale() const { return tensor(output).scale / unshuffle; }
};

// The op of each of Program::convolutions.
inline std::vector<const Op*> convolution_ops(const Program& program) {
    std::vector<const Op*> ops(program.convolutions.size(), nullptr);
    for (const Op& op : program.ops) {
        if (op.convolution >= 0) ops[idx(op.convolution)] = &op;
    }
    return ops;
}

}  // namespace realesrgan
