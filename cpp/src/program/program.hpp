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

// A feature map, or several concatenated along the channels (a dense block), with `scale` rows and
// columns for so many of the picture as Program::alignment says. Channels that belong to no slice
// are padding and hold zero.
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
    convolution,    // kernel x kernel, zero padding to the same size, on the input enlarged by
                    // nearest `upsample`
    depthwise,      // the same of each channel alone, not enlarged
    layer_norm,     // a pixel's channels less their mean, over their deviation, then times a weight
                    // and plus a bias of each channel
    pixel_shuffle,  // channel c*f*f + dy*f + dx of pixel (x, y) becomes channel c of (x*f + dx, y*f
                    // + dy), of a result that begins `phase` rows and columns further on
    pixel_unshuffle,  // channel c of (x*f + dx, y*f + dy) becomes channel c*f*f + dy*f + dx of
                      // pixel (x, y), of an input that begins at row and column `phase`
    resize,           // rows and columns resampled by `resize`
};

// ReLU is leaky_relu with slope 0; SiLU (Swish) is value * sigmoid(value), Mish value *
// tanh(ln(1 + e^value)), GELU value times the normal distribution's share below it.
enum class Activation { none, leaky_relu, prelu, silu, mish, gelu, sigmoid };

// One step of the epilogue: value = value * value_scale + skip * skip_scale + shift, or the product
// value * skip; `skip` is read from the same channel counted from the slice's start, at row
// y / upsample and column x / upsample. Only the first step may be a product.
struct Skip {
    ChannelSlice from;
    float value_scale = 1.0F;
    float skip_scale = 1.0F;
    int upsample = 1;
    float shift = 0.0F;
    bool product = false;  // the scales are 1 then, and the shift 0
};

enum class ResizeFilter { bilinear, bicubic };

// Resampling by `numerator / denominator` (0.75 is 3/4) with half-pixel centres.
struct Resize {
    ResizeFilter filter = ResizeFilter::bicubic;
    int numerator = 1;
    int denominator = 1;
};

inline constexpr std::size_t kMaxSkips = 2;
inline constexpr int kMostKernel = 31;  // side of a convolution's kernel

// One fused operation: output = gate(skips(activation(kind(input) + bias))).
struct Op {
    OpKind kind = OpKind::convolution;
    ChannelSlice input;
    int upsample = 1;  // convolution: nearest enlargement of the input as it is read
    int kernel = 3;    // side of a convolution's or depthwise kernel, odd
    ChannelSlice output;
    std::optional<ChannelSlice> duplicate_output;  // the same result, written to a second tensor
    int convolution = -1;  // index into Program::convolutions, of what has weights
    Activation activation = Activation::none;
    float slope = 0.0F;       // of leaky_relu
    std::vector<Skip> skips;  // applied in this order, at most kMaxSkips
    // Of a convolution: what comes after the skips is multiplied by sigmoid(v) + gate, v being what
    // comes before them.
    std::optional<float> gate;
    float epsilon = 0.0F;  // of layer_norm, added to the variance
    int factor = 1;        // of pixel_shuffle and pixel_unshuffle
    // Of both, less than the factor: positions before the first and after the last pixel are zero.
    int phase = 0;
    Resize resize;
    // The names of the graph's layers that it computes, the one that gives it its kind first.
    std::vector<std::string> layers;
};

// Rows of scale 1 of the endless picture that plans are made for: so many that no step near its
// middle reads beyond an end. The largest product of a dependency is twice a row of the largest
// tensor times a scale.
inline constexpr Row kEndlessRows = Row{1} << 40;
static_assert(kEndlessRows <= std::numeric_limits<Row>::max() / (4 * kMostScale * kMostScale));

// The rows that an operation's input slice is read at.
inline RowDependency row_dependency(const Op& op) {
    switch (op.kind) {
        case OpKind::convolution:  // rows of the enlarged input to either side
        case OpKind::depthwise:
            return {op.upsample, 1, 1 - op.kernel, op.kernel - 1};
        case OpKind::layer_norm:
            break;
        case OpKind::pixel_shuffle:
            return {op.factor, 1, -2 * op.phase, -2 * op.phase};
        case OpKind::pixel_unshuffle:
            return {1, op.factor, 2 * op.phase, 2 * (op.phase + op.factor - 1)};
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

// Of an op with weights. A layer norm's are a depthwise convolution's with a kernel of 1.
struct ConvolutionShape {
    int inputs = 0;   // channels that each output is made of: those of the op's input slice,
                      // alignment gaps inside it included; 1 if depthwise
    int outputs = 0;  // channels of the op's output slice
    int kernel = 3;   // side
    bool depthwise = false;

    double weights() const { return static_cast<double>(inputs) * outputs * kernel * kernel; }
};

// A convolution's numbers: kernel[output][input][side][side], zero at the input's alignment gaps.
struct ConvolutionWeights {
    int inputs = 0;
    int outputs = 0;
    int side = 3;
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
// (x*r + dx, y*r + dy). The picture's sides are multiples of the alignment. Nothing writes a slice
// twice.
struct Program {
    std::vector<Tensor> tensors;
    std::vector<Op> ops;
    std::vector<ConvolutionShape> convolutions;
    ChannelSlice input;  // of tensor 0: all its channels
    int unshuffle = 1;
    int alignment = 1;  // rows of the picture for each row of a tensor of scale 1
    // Of pixels on each side, by which the picture is extended before and the result, times the
    // scale, cut off after: what is computed there is not the network's.
    int border = 0;
    int picture_channels = 0;
    // One for each of the picture's channels; empty: samples are taken as they are. It is no part
    // of the first convolution, whose zero padding lies around the transformed picture.
    std::vector<InputTransform> input_transform;
    ChannelSlice output;  // the result

    const Tensor& tensor(const ChannelSlice& slice) const { return tensors[idx(slice.tensor)]; }
    // The result's size over the picture's.
    int scale() const { return tensor(output).scale / alignment; }
    // A tensor's over the picture's.
    double zoom(const ChannelSlice& slice) const {
        return static_cast<double>(tensor(slice).scale) / alignment;
    }
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
