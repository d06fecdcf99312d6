#pragma once

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "program/program.hpp"
#include "support/vulkan_fixture.hpp"

// Cases for single operations: odd sizes, channel offsets, every part of the epilogue.
namespace fixture {

using namespace realesrgan;

// One operation on rings of given channels: ring 0 the source, 1 the destination, 2 a copy, 3 and 4
// skips.
struct Case {
    std::string name;
    Op op;
    int width = 1, height = 1;  // of the output
    int band = 4;               // rows a dispatch makes
    std::vector<int> channels;  // of each ring
};

inline Op convolution_op(ChannelSlice input, ChannelSlice output,
                         Activation activation = Activation::leaky_relu) {
    Op op;
    op.kind = OpKind::convolution;
    op.input = input;
    op.output = output;
    op.convolution = 0;
    op.activation = activation;
    op.slope = 0.2F;
    return op;
}

inline std::vector<Case> convolution_cases() {
    std::vector<Case> cases;
    cases.push_back({"one pixel", convolution_op({0, 0, 16}, {1, 0, 16}), 1, 1, 1, {16, 16}});
    cases.push_back({"picture to features",
                     convolution_op({0, 0, 3}, {1, 0, 64}, Activation::none),
                     19,
                     6,
                     3,
                     {16, 64}});
    cases.push_back(
        {"dense block, in place", convolution_op({0, 0, 96}, {0, 96, 32}), 35, 11, 4, {192}});
    cases.push_back({"growth of 20",
                     convolution_op({0, 16, 36}, {1, 32, 20}, Activation::prelu),
                     5,
                     9,
                     2,
                     {64, 64}});
    Case skips{
        "two skips and a copy", convolution_op({0, 0, 64}, {1, 0, 64}, Activation::none), 18, 7, 4,
        {64, 64, 96, 80, 64}};
    skips.op.skips = {{{3, 16, 64}, 0.2F, 1.0F, 1}, {{4, 0, 64}, 0.2F, 0.5F, 1}};
    skips.op.duplicate_output = ChannelSlice{2, 32, 64};
    cases.push_back(skips);
    Case nearest{"nearest x2, then narrow",
                 convolution_op({0, 0, 32}, {1, 0, 3}, Activation::none),
                 22,
                 14,
                 6,
                 {32, 16}};
    nearest.op.upsample = 2;
    cases.push_back(nearest);
    Case wide{"nearest x2", convolution_op({0, 0, 64}, {1, 0, 48}), 34, 10, 8, {64, 48, 16, 64}};
    wide.op.upsample = 2;
    wide.op.skips = {{{3, 0, 48}, 1.0F, 1.0F, 2}};
    cases.push_back(wide);
    Case gate{"gate of a skip, and a copy",
              convolution_op({0, 0, 48}, {1, 0, 48}, Activation::none),
              21,
              9,
              4,
              {48, 48, 64, 48}};
    gate.op.skips = {{{3, 0, 48}, 1.0F, 1.0F, 1}};
    gate.op.gate = -0.5F;
    gate.op.duplicate_output = ChannelSlice{2, 16, 48};
    cases.push_back(gate);
    Case silu{"SiLU, two skips and a gate",
              convolution_op({0, 0, 20}, {1, 0, 20}, Activation::silu),
              18,
              7,
              4,
              {32, 32, 96, 32, 32}};
    silu.op.skips = {{{3, 0, 20}, 0.2F, 1.0F, 1}, {{4, 0, 20}, 0.2F, 0.5F, 1}};
    silu.op.gate = 0.25F;
    cases.push_back(silu);
    cases.push_back(
        {"SiLU", convolution_op({0, 0, 32}, {1, 0, 32}, Activation::silu), 33, 5, 4, {32, 32}});
    Case sigmoid{"1x1, a sigmoid times a tensor",
                 convolution_op({0, 0, 36}, {1, 0, 32}, Activation::sigmoid),
                 21,
                 9,
                 4,
                 {48, 32, 16, 48}};
    sigmoid.op.kernel = 1;
    sigmoid.op.skips = {{{3, 16, 32}, 1.0F, 1.0F, 1, 0.0F, true}};
    cases.push_back(sigmoid);
    Case mish{"Mish, times a tensor, plus another and a number, and a copy",
              convolution_op({0, 0, 32}, {1, 0, 64}, Activation::mish),
              35,
              6,
              3,
              {32, 64, 64, 64, 80}};
    mish.op.skips = {{{3, 0, 64}, 1.0F, 1.0F, 1, 0.0F, true}, {{4, 16, 64}, 0.5F, 0.25F, 1, -0.5F}};
    mish.op.duplicate_output = ChannelSlice{2, 0, 64};
    cases.push_back(mish);
    Case large{
        "GELU, 17x17",       convolution_op({0, 0, 16}, {1, 0, 16}, Activation::gelu), 23, 21, 4,
        {16, 16, 16, 16, 16}};
    large.op.kernel = 17;
    large.op.skips = {{{3, 0, 16}, 0.5F, 1.0F, 1, 0.25F}, {{4, 0, 16}, 0.5F, 1.0F, 1, 0.5F}};
    cases.push_back(large);
    cases.push_back({"one row", convolution_op({0, 0, 32}, {1, 16, 32}), 150, 1, 1, {32, 64}});
    cases.push_back({"one column, rows one at a time",
                     convolution_op({0, 0, 16}, {1, 0, 32}),
                     1,
                     13,
                     1,
                     {16, 32}});
    return cases;
}

inline ConvolutionShape shape_of(const Op& op) {
    const bool depthwise = op.kind != OpKind::convolution;
    return {depthwise ? 1 : op.input.channels, op.output.channels, op.kernel, depthwise};
}

inline std::vector<Case> pointwise_cases() {
    std::vector<Case> cases;
    Case depthwise{"depthwise 7x7, times a tensor",
                   convolution_op({0, 16, 20}, {1, 16, 20}, Activation::none),
                   19,
                   11,
                   4,
                   {48, 48, 16, 32}};
    depthwise.op.kind = OpKind::depthwise;
    depthwise.op.kernel = 7;
    depthwise.op.skips = {{{3, 0, 20}, 1.0F, 1.0F, 1, 0.0F, true}};
    cases.push_back(depthwise);
    Case norm{"layer norm", convolution_op({0, 16, 22}, {1, 0, 22}, Activation::none), 9, 5, 2,
              {48, 32}};
    norm.op.kind = OpKind::layer_norm;
    norm.op.kernel = 1;
    norm.op.epsilon = 1e-6F;
    cases.push_back(norm);
    for (const int factor : {2, 3, 4}) {
        Op op;
        op.kind = OpKind::pixel_shuffle;
        op.input = {0, 0, 3 * factor * factor};
        op.output = {1, 0, 3};
        op.factor = factor;
        op.skips = {{{3, 0, 3}, 1.0F, 1.0F, factor}};
        cases.push_back({"pixel shuffle x" + std::to_string(factor),
                         op,
                         7 * factor,
                         5 * factor,
                         factor + 1,
                         {round_up(3 * factor * factor, 16), 16, 16, 16}});
    }
    for (const int factor : {2, 3}) {
        for (const bool back : {false, true}) {
            const ChannelSlice few{back ? 0 : 1, 0, 3};
            const ChannelSlice many{back ? 1 : 0, 16, 3 * factor * factor};
            Op op;
            op.kind = back ? OpKind::pixel_unshuffle : OpKind::pixel_shuffle;
            op.input = back ? few : many;
            op.output = back ? many : few;
            op.factor = factor;
            op.phase = factor - 1;
            const int unit = back ? 1 : factor;
            const int wide = round_up(16 + many.channels, 16);
            cases.push_back({std::string("pixel ") + (back ? "unshuffle" : "shuffle") +
                                 " with a phase, x" + std::to_string(factor),
                             op,
                             7 * unit,
                             5 * unit,
                             2,
                             {back ? 16 : wide, back ? wide : 16}});
        }
    }
    for (const ResizeFilter filter : {ResizeFilter::bicubic, ResizeFilter::bilinear}) {
        for (const Resize ratio :
             {Resize{filter, 1, 2}, Resize{filter, 3, 4}, Resize{filter, 2, 1}}) {
            Op op;
            op.kind = OpKind::resize;
            op.input = {0, 16, 3};
            op.output = {1, 0, 3};
            op.resize = ratio;
            const int unit = ratio.numerator;
            cases.push_back(
                {"resize " + std::to_string(unit) + "/" + std::to_string(ratio.denominator),
                 op,
                 11 * unit,
                 7 * unit,
                 4,
                 {32, 16}});
        }
    }
    return cases;
}

inline ConvolutionWeights random_layer(const Case& test, vk::Storage storage) {
    std::mt19937 random(7);
    std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
    ConvolutionWeights layer;
    const ConvolutionShape shape = shape_of(test.op);
    layer.inputs = shape.inputs;
    layer.outputs = shape.outputs;
    layer.side = shape.kernel;
    const int taps = shape.kernel * shape.kernel;
    const float spread = 1.0F / std::sqrt(static_cast<float>(taps * layer.inputs));
    layer.kernel.resize(static_cast<std::size_t>(taps * layer.inputs * layer.outputs));
    for (float& w : layer.kernel) w = stored(2 * spread * uniform(random), storage);
    layer.bias.resize(static_cast<std::size_t>(layer.outputs));
    for (float& b : layer.bias) b = uniform(random);
    if (test.op.activation == Activation::prelu) {
        layer.slopes.resize(layer.bias.size());
        for (float& s : layer.slopes) s = uniform(random);
    }
    return layer;
}

}  // namespace fixture
