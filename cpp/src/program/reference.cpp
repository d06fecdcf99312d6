#include "program/reference.hpp"

#include <algorithm>
#include <cmath>

#include "base/integers.hpp"

namespace realesrgan {

namespace {

// The functions below write the channels of one output pixel.

double sigmoid(double value) {
    return 1.0 / (1.0 + std::exp(-value));
}

double activated(Activation activation, double value, double slope) {
    switch (activation) {
        case Activation::none:
            break;
        case Activation::leaky_relu:
        case Activation::prelu:
            return value > 0 ? value : value * slope;
        case Activation::silu:
            return value * sigmoid(value);
        case Activation::mish:
            return value * std::tanh(std::max(value, 0.0) + std::log1p(std::exp(-std::abs(value))));
        case Activation::gelu:
            return 0.5 * value * std::erfc(-value / std::sqrt(2.0));
        case Activation::sigmoid:
            return sigmoid(value);
    }
    return value;
}

// A depthwise one, too: of channel c it reads channel c of the input.
void convolve(const Op& op, const ConvolutionWeights& weights, const FeatureMap& input, int x,
              int y, double* output) {
    const std::vector<double> zeros(idx(op.input.channels), 0.0);
    std::vector<const double*> taps;
    for (int tap = 0; tap < op.kernel * op.kernel; ++tap) {
        const int from_x = x + tap % op.kernel - op.kernel / 2;
        const int from_y = y + tap / op.kernel - op.kernel / 2;
        const bool inside = from_x >= 0 && from_x < input.width * op.upsample && from_y >= 0 &&
                            from_y < input.height * op.upsample;
        const double* pixel = input.pixel(from_x / op.upsample, from_y / op.upsample);
        taps.push_back(inside ? pixel + op.input.channel : zeros.data());
    }
    const bool depthwise = op.kind == OpKind::depthwise;
    const float* kernel = weights.kernel.data();
    for (std::size_t c = 0; c < weights.bias.size(); ++c) {
        double sum = weights.bias[c];
        for (std::size_t i = 0; i < idx(weights.inputs); ++i) {
            for (const double* tap : taps) sum += tap[depthwise ? c : i] * *kernel++;
        }
        const float slope = op.activation == Activation::prelu ? weights.slopes[c] : op.slope;
        output[c] = activated(op.activation, sum, slope);
    }
}

void normalize(const Op& op, const ConvolutionWeights& weights, const FeatureMap& input, int x,
               int y, double* output) {
    const double* pixel = input.pixel(x, y) + op.input.channel;
    const double count = op.input.channels;
    double mean = 0.0;
    for (int c = 0; c < op.input.channels; ++c) mean += pixel[c] / count;
    double variance = 0.0;
    for (int c = 0; c < op.input.channels; ++c)
        variance += (pixel[c] - mean) * (pixel[c] - mean) / count;
    const double scale = 1.0 / std::sqrt(variance + op.epsilon);
    for (int c = 0; c < op.input.channels; ++c) {
        output[c] = (pixel[c] - mean) * scale * weights.kernel[idx(c)] + weights.bias[idx(c)];
    }
}

void shuffle(const Op& op, const FeatureMap& input, int x, int y, double* output) {
    const int f = op.factor;
    x -= op.phase;
    y -= op.phase;
    for (int c = 0; c < op.output.channels; ++c) {
        const int from = op.input.channel + (c * f + y % f) * f + x % f;
        output[c] = x < 0 || y < 0 ? 0.0 : input.pixel(x / f, y / f)[from];
    }
}

void unshuffle(const Op& op, const FeatureMap& input, int x, int y, double* output) {
    const int f = op.factor;
    for (int c = 0; c < op.output.channels; ++c) {
        const int from_x = x * f + op.phase + c % f;
        const int from_y = y * f + op.phase + c / f % f;
        const bool inside = from_x < input.width && from_y < input.height;
        output[c] = inside ? input.pixel(from_x, from_y)[op.input.channel + c / (f * f)] : 0.0;
    }
}

// The weight of a sample at this distance: a triangle, or the cubic of R. Keys (1981), a = -0.75.
double resize_weight(ResizeFilter filter, double distance) {
    constexpr double a = -0.75;
    const double d = std::abs(distance);
    if (filter == ResizeFilter::bilinear) return std::max(0.0, 1 - d);
    if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

void resample(const Op& op, const FeatureMap& input, int x, int y, double* output) {
    const double step = static_cast<double>(op.resize.denominator) / op.resize.numerator;
    const double centre_x = (x + 0.5) * step - 0.5;
    const double centre_y = (y + 0.5) * step - 0.5;
    std::fill_n(output, op.output.channels, 0.0);
    for (int tap = 0; tap < 16; ++tap) {
        const int at_x = static_cast<int>(std::floor(centre_x)) + tap % 4 - 1;
        const int at_y = static_cast<int>(std::floor(centre_y)) + tap / 4 - 1;
        const double weight = resize_weight(op.resize.filter, centre_x - at_x) *
                              resize_weight(op.resize.filter, centre_y - at_y);
        const double* pixel = input.pixel(std::clamp(at_x, 0, input.width - 1),
                                          std::clamp(at_y, 0, input.height - 1));
        for (int c = 0; c < op.output.channels; ++c) {
            output[c] += weight * pixel[op.input.channel + c];
        }
    }
}

}  // namespace

void compute_reference(const Op& op, const ConvolutionWeights& weights,
                       std::vector<FeatureMap>& maps) {
    const auto map = [&](const ChannelSlice& slice) -> FeatureMap& {
        return maps[idx(slice.tensor)];
    };
    for (int y = 0; y < map(op.output).height; ++y) {
        for (int x = 0; x < map(op.output).width; ++x) {
            double* output = map(op.output).pixel(x, y) + op.output.channel;
            switch (op.kind) {
                case OpKind::convolution:
                case OpKind::depthwise:
                    convolve(op, weights, map(op.input), x, y, output);
                    break;
                case OpKind::layer_norm:
                    normalize(op, weights, map(op.input), x, y, output);
                    break;
                case OpKind::pixel_shuffle:
                    shuffle(op, map(op.input), x, y, output);
                    break;
                case OpKind::pixel_unshuffle:
                    unshuffle(op, map(op.input), x, y, output);
                    break;
                case OpKind::resize:
                    resample(op, map(op.input), x, y, output);
                    break;
            }
            const std::vector<double> before(output, output + op.output.channels);
            for (const Skip& skip : op.skips) {
                const double* from = map(skip.from).pixel(x / skip.upsample, y / skip.upsample);
                for (int c = 0; c < op.output.channels; ++c) {
                    const double other = from[skip.from.channel + c];
                    output[c] = skip.product ? output[c] * other
                                             : output[c] * skip.value_scale +
                                                   other * skip.skip_scale + skip.shift;
                }
            }
            for (int c = 0; op.gate && c < op.output.channels; ++c) {
                output[c] *= sigmoid(before[idx(c)]) + *op.gate;
            }
            if (!op.duplicate_output) continue;
            std::copy_n(output, op.output.channels,
                        map(*op.duplicate_output).pixel(x, y) + op.duplicate_output->channel);
        }
    }
}

FeatureMap compute_reference(const FusedNetwork& network, const FeatureMap& picture) {
    const Program& program = network.program;
    const int r = program.unshuffle;
    std::vector<FeatureMap> maps;
    for (const Tensor& tensor : program.tensors) {
        maps.emplace_back(picture.width / program.alignment * tensor.scale,
                          picture.height / program.alignment * tensor.scale, tensor.channels);
    }
    for (int y = 0; y < picture.height; ++y) {
        for (int x = 0; x < picture.width; ++x) {
            for (int c = 0; c < picture.channels; ++c) {
                double value = picture.pixel(x, y)[c];
                if (!program.input_transform.empty()) {
                    const InputTransform& transform = program.input_transform[idx(c)];
                    value = value * transform.scale + transform.shift;
                }
                maps[0].pixel(x / r, y / r)[(c * r + y % r) * r + x % r] = value;
            }
        }
    }
    for (const Op& op : program.ops) {
        const bool weighted = op.convolution >= 0;
        compute_reference(
            op, weighted ? network.weights(op.convolution, false) : ConvolutionWeights(), maps);
    }
    const ChannelSlice& output = program.output;
    const FeatureMap& last = maps[idx(output.tensor)];
    FeatureMap result(last.width, last.height, output.channels);
    for (int y = 0; y < last.height; ++y) {
        for (int x = 0; x < last.width; ++x) {
            std::copy_n(last.pixel(x, y) + output.channel, output.channels, result.pixel(x, y));
        }
    }
    return result;
}

}  // namespace realesrgan
