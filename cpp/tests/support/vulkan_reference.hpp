#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/integers.hpp"
#include "plan/plan.hpp"
#include "program/program.hpp"
#include "support/vulkan_fixture.hpp"

// What single operations must give, in double precision.
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

using Value = std::function<double(int x, int y, int c)>;  // without the epilogue's additions

inline double activated(double v, const Op& op, const ConvolutionWeights& layer, int c) {
    if (op.activation == Activation::none || v > 0) return v;
    return v * (layer.slopes.empty() ? op.slope : layer.slopes[idx(c)]);
}

inline Value convolution(const Case& test, const HostTensor& source,
                         const ConvolutionWeights& layer) {
    return [&](int x, int y, int c) {
        double sum = layer.bias[idx(c)];
        for (int tap = 0; tap < 9; tap++) {
            const int px = x + tap % 3 - 1, py = y + tap / 3 - 1;
            if (px < 0 || py < 0 || px >= test.width || py >= test.height) continue;
            for (int i = 0; i < layer.inputs; i++) {
                const int w = (c * layer.inputs + i) * 9 + tap;
                sum += double{layer.kernel[idx(w)]} *
                       double{source.at(px / test.op.upsample, py / test.op.upsample,
                                        test.op.input.channel + i)};
            }
        }
        return activated(sum, test.op, layer, c);
    };
}

inline Value pixel_shuffle(const Case& test, const HostTensor& source) {
    return [&](int x, int y, int c) {
        const int f = test.op.factor;
        const int from = test.op.input.channel + (c * f + y % f) * f + x % f;
        return double{source.at(x / f, y / f, from)};
    };
}

inline double cubic(double d) {
    const double a = -0.75;
    d = std::abs(d);
    if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

inline double linear(double d) {
    return std::max(0.0, 1 - std::abs(d));
}

inline Value resize(const Case& test, const HostTensor& source) {
    return [&](int x, int y, int c) {
        const Resize& r = test.op.resize;
        const auto kernel = r.filter == ResizeFilter::bicubic ? cubic : linear;
        const double sx = (x + 0.5) * r.denominator / r.numerator - 0.5;
        const double sy = (y + 0.5) * r.denominator / r.numerator - 0.5;
        double sum = 0;
        for (int j = static_cast<int>(std::floor(sy)) - 1; j <= std::floor(sy) + 2; j++) {
            for (int i = static_cast<int>(std::floor(sx)) - 1; i <= std::floor(sx) + 2; i++) {
                const int px = std::clamp(i, 0, source.width - 1);
                const int py = std::clamp(j, 0, source.height - 1);
                sum += kernel(sx - i) * kernel(sy - j) *
                       double{source.at(px, py, test.op.input.channel + c)};
            }
        }
        return sum;
    };
}

inline ConvolutionWeights random_layer(const Case& test, vk::Storage storage) {
    std::mt19937 random(7);
    std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
    ConvolutionWeights layer;
    layer.inputs = test.op.input.channels;
    layer.outputs = test.op.output.channels;
    const float spread = 1.0F / std::sqrt(static_cast<float>(9 * layer.inputs));
    layer.kernel.resize(static_cast<std::size_t>(9 * layer.inputs * layer.outputs));
    for (float& w : layer.kernel) w = stored(2 * spread * uniform(random), storage);
    layer.bias.resize(static_cast<std::size_t>(layer.outputs));
    for (float& b : layer.bias) b = uniform(random);
    if (test.op.activation == Activation::prelu) {
        layer.slopes.resize(layer.bias.size());
        for (float& s : layer.slopes) s = uniform(random);
    }
    return layer;
}

// First and last source row that output rows read.
inline RowRange source_rows(const Case& test, RowRange rows, int source_height) {
    int first = static_cast<int>(rows.first), last = static_cast<int>(rows.end()) - 1;
    if (test.op.kind == OpKind::convolution) {
        first = std::max(first - 1, 0) / test.op.upsample;
        last = std::min(last + 1, test.height - 1) / test.op.upsample;
    } else if (test.op.kind == OpKind::pixel_shuffle) {
        first /= test.op.factor;
        last /= test.op.factor;
    } else {
        const double ratio = double(test.op.resize.denominator) / test.op.resize.numerator;
        first = std::max(0, static_cast<int>(std::floor((first + 0.5) * ratio - 0.5)) - 1);
        last = std::min(source_height - 1,
                        static_cast<int>(std::floor((last + 0.5) * ratio - 0.5)) + 2);
    }
    return {first, last - first + 1};
}

}  // namespace fixture
