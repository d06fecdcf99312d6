#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "image/array_rows.hpp"
#include "image/image_view.hpp"
#include "plan/plan.hpp"
#include "program/reference.hpp"
#include "stream/backend.hpp"
#include "stream/executor.hpp"

// Random programs within what program.hpp allows: slices of shared tensors, skips from any older
// tensor, second outputs, every scale, filter and activation; and a backend's result for one.
namespace random_program {

using namespace realesrgan;

// Of the same values with every standard library, which may choose how distributions work.
inline int random_whole(std::mt19937& random, int low, int high) {
    return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
}

// In 0..1, 1 left out.
inline float random_unit(std::mt19937& random) {
    return static_cast<float>(random() >> 8U) / static_cast<float>(1U << 24U);
}

class ProgramBuilder {
  public:
    explicit ProgramBuilder(unsigned seed) : random_(seed) {}

    FusedNetwork build() {
        program_.unshuffle = pick(1, 2);
        program_.alignment = program_.unshuffle * (one_in(3) ? 2 : 1);
        program_.picture_channels = pick(1, 4);
        const int r = program_.unshuffle;
        program_.tensors.push_back({program_.picture_channels * r * r, program_.alignment / r});
        program_.input = {0, 0, program_.tensors[0].channels};
        parts_.push_back(program_.input);
        for (int c = one_in(3) ? program_.picture_channels : 0; c > 0; --c) {
            program_.input_transform.push_back({1.0F + number(), number()});
        }
        for (int i = pick(1, 9); i > 0; --i) add_op();
        add_last();
        prune();
        return with_weights();
    }

  private:
    static constexpr int kMostScale = 4;

    int pick(int low, int high) { return random_whole(random_, low, high); }
    bool one_in(int count) { return pick(1, count) == 1; }
    float number() { return 2.0F * random_unit(random_) - 1.0F; }
    const ChannelSlice& any_part() {
        return parts_[index(pick(0, static_cast<int>(parts_.size()) - 1))];
    }
    int scale(const ChannelSlice& slice) const { return program_.tensor(slice).scale; }
    static std::size_t index(int value) { return static_cast<std::size_t>(value); }

    // A new slice, of a new ring or behind the slices of one of the same scale.
    ChannelSlice place(int channels, int scale, bool alone = false) {
        int ring = static_cast<int>(program_.tensors.size());
        for (int other = 1; other < static_cast<int>(program_.tensors.size()) && !alone; ++other) {
            if (program_.tensors[index(other)].scale == scale && one_in(3)) ring = other;
        }
        if (ring == static_cast<int>(program_.tensors.size()))
            program_.tensors.push_back({0, scale});
        const int channel = round_up(program_.tensors[index(ring)].channels, kChannelAlignment);
        program_.tensors[index(ring)].channels = channel + channels;
        return {ring, channel, channels};
    }

    // One tensor, or several that lie next to each other.
    ChannelSlice any_range() {
        ChannelSlice range = any_part();
        for (const ChannelSlice& part : parts_) {
            const int next = round_up(range.channel + range.channels, kChannelAlignment);
            if (part.tensor != range.tensor || part.channel != next || one_in(3)) continue;
            range.channels = part.channel + part.channels - range.channel;
        }
        return range;
    }

    void add_op() {
        Op op;
        op.input = any_part();
        int channels = op.input.channels;
        int out_scale = scale(op.input);
        const int factor = pick(2, 3);
        const int kind = pick(0, 9);
        if (kind == 0 && channels % (factor * factor) == 0 && out_scale * factor <= kMostScale) {
            op.kind = OpKind::pixel_shuffle;
            op.factor = factor;
            op.phase = pick(0, factor - 1);
            channels /= factor * factor;
            out_scale *= factor;
        } else if (kind >= 8 && out_scale % factor == 0 && channels <= 12) {
            op.kind = OpKind::pixel_unshuffle;
            op.factor = factor;
            op.phase = pick(0, factor - 1);
            channels *= factor * factor;
            out_scale /= factor;
        } else if (kind == 1) {
            op.kind = OpKind::resize;
            op.resize.filter = one_in(2) ? ResizeFilter::bilinear : ResizeFilter::bicubic;
            op.resize.denominator = out_scale;
            out_scale = op.resize.numerator = pick(1, kMostScale);
        } else if (kind == 2) {
            op.kind = OpKind::layer_norm;
            op.kernel = 1;
            op.epsilon = 0.01F;
        } else if (kind == 3) {
            op.kind = OpKind::depthwise;
            op.kernel = 2 * pick(0, 3) + 1;
            add_activation(op);
        } else {
            op.kernel = one_in(3) ? 2 * pick(0, 4) + 1 : 3;
            op.input = any_range();
            out_scale = scale(op.input);
            op.upsample = one_in(3) ? pick(1, kMostScale / out_scale) : 1;
            out_scale *= op.upsample;
            const int counts[] = {pick(1, 40), any_part().channels, 36};
            channels = counts[pick(0, 2)];
            add_activation(op);
        }
        add_skips(op, channels, out_scale);
        op.output = place(channels, out_scale);
        if (one_in(4)) op.duplicate_output = place(channels, out_scale);
        program_.ops.push_back(op);
        parts_.push_back(op.output);
        if (op.duplicate_output) parts_.push_back(*op.duplicate_output);
    }

    void add_activation(Op& op) {
        constexpr Activation kinds[] = {
            Activation::none, Activation::leaky_relu, Activation::prelu,  Activation::silu,
            Activation::mish, Activation::gelu,       Activation::sigmoid};
        op.activation = kinds[pick(0, 6)];
        if (one_in(4)) op.gate = number();
        op.slope = op.activation == Activation::leaky_relu ? number() : 0.0F;
    }

    void add_skips(Op& op, int channels, int out_scale) {
        for (int tries = pick(0, 12); tries > 0 && op.skips.size() < kMaxSkips; --tries) {
            const ChannelSlice from = any_part();
            if (from.channels != channels || out_scale % scale(from) != 0) continue;
            const int enlarged = out_scale / scale(from);
            const float shift = one_in(3) ? number() : 0.0F;
            if (op.skips.empty() && one_in(3)) {
                op.skips.push_back({from, 1.0F, 1.0F, enlarged, 0.0F, true});
            } else {
                op.skips.push_back({from, number(), number(), enlarged, shift});
            }
        }
    }

    // What comes out is a picture of a whole number of times the input's size.
    void add_last() {
        Op op;
        op.input = any_range();
        op.upsample = scale(op.input) % program_.alignment == 0 ? pick(1, 2) : program_.alignment;
        const int channels = pick(1, 4);
        add_activation(op);
        add_skips(op, channels, scale(op.input) * op.upsample);
        op.output = place(channels, scale(op.input) * op.upsample, true);
        program_.output = op.output;
        program_.ops.push_back(op);
    }

    bool is_read(const ChannelSlice& part) const {
        const auto reads = [&](const ChannelSlice& slice) {
            return slice.tensor == part.tensor && slice.channel <= part.channel &&
                   part.channel < slice.channel + slice.channels;
        };
        return std::any_of(program_.ops.begin(), program_.ops.end(), [&](const Op& op) {
            return reads(op.input) || std::any_of(op.skips.begin(), op.skips.end(),
                                                  [&](const Skip& s) { return reads(s.from); });
        });
    }

    // Leaves out what the result does not depend on, and the rings that are empty then.
    void prune() {
        for (std::size_t i = program_.ops.size() - 1; i-- > 0;) {
            Op& op = program_.ops[i];
            if (op.duplicate_output && !is_read(*op.duplicate_output)) op.duplicate_output.reset();
            if (is_read(op.output)) continue;
            if (op.duplicate_output) {
                op.output = *std::exchange(op.duplicate_output, std::nullopt);
            } else {
                program_.ops.erase(program_.ops.begin() + static_cast<std::ptrdiff_t>(i));
            }
        }
        std::vector<int> places(program_.tensors.size(), -1);
        std::vector<Tensor> rings{program_.tensors[0]};
        places[0] = 0;
        const auto keep = [&](ChannelSlice& slice) {
            int& place = places[index(slice.tensor)];
            if (place < 0) {
                place = static_cast<int>(rings.size());
                rings.push_back({0, scale(slice)});
            }
            slice.tensor = place;
            Tensor& ring = rings[index(place)];
            ring.channels = std::max(ring.channels, slice.channel + slice.channels);
        };
        for (Op& op : program_.ops) {
            keep(op.input);
            for (Skip& skip : op.skips) keep(skip.from);
            keep(op.output);
            if (op.duplicate_output) keep(*op.duplicate_output);
        }
        program_.output = program_.ops.back().output;
        program_.tensors = rings;
    }

    // Which channels of an operation's input hold a tensor.
    std::vector<bool> filled(const ChannelSlice& input) const {
        std::vector<bool> channels(index(input.channels), false);
        const auto fill = [&](const ChannelSlice& part) {
            for (int c = 0; c < part.channels && part.tensor == input.tensor; ++c) {
                const int at = part.channel + c - input.channel;
                if (at >= 0 && at < input.channels) channels[index(at)] = true;
            }
        };
        fill(program_.input);
        for (const Op& op : program_.ops) {
            fill(op.output);
            if (op.duplicate_output) fill(*op.duplicate_output);
        }
        return channels;
    }

    FusedNetwork with_weights() {
        std::vector<ConvolutionWeights> all;
        for (Op& op : program_.ops) {
            if (op.kind == OpKind::pixel_shuffle || op.kind == OpKind::pixel_unshuffle ||
                op.kind == OpKind::resize) {
                continue;
            }
            const bool depthwise = op.kind != OpKind::convolution;
            op.convolution = static_cast<int>(all.size());
            program_.convolutions.push_back(
                {depthwise ? 1 : op.input.channels, op.output.channels, op.kernel, depthwise});
            ConvolutionWeights weights;
            weights.inputs = program_.convolutions.back().inputs;
            weights.outputs = op.output.channels;
            weights.side = op.kernel;
            const int taps = op.kernel * op.kernel;
            const float spread =
                1.5F / std::sqrt(static_cast<float>(taps) * static_cast<float>(weights.inputs));
            const std::vector<bool> used = filled(op.input);
            for (int i = 0; i < weights.outputs * weights.inputs * taps; ++i) {
                const float weight = spread * number();
                const bool read = depthwise || used[index(i / taps % weights.inputs)];
                weights.kernel.push_back(read ? weight : 0.0F);
            }
            for (int i = 0; i < weights.outputs; ++i) weights.bias.push_back(0.1F * number());
            for (int i = 0; i < weights.outputs && op.activation == Activation::prelu; ++i) {
                weights.slopes.push_back(number());
            }
            all.push_back(std::move(weights));
        }
        return {program_, [all](int convolution, bool) { return all[index(convolution)]; }};
    }

    std::mt19937 random_;
    Program program_;
    std::vector<ChannelSlice> parts_;  // tensors, in the order in which they are written
};

inline FusedNetwork random_program(unsigned seed) {
    return ProgramBuilder(seed).build();
}

// Samples in 0..1.
inline FeatureMap random_picture(const Program& program, unsigned seed, int most_side) {
    std::mt19937 random(seed);
    const auto side = [&] {
        const int inside = program.alignment * random_whole(random, 1, most_side);
        return inside + round_up(2 * program.border, program.alignment);
    };
    const int width = side();
    FeatureMap picture(width, side(), program.picture_channels);
    for (double& value : picture.values) value = random_unit(random);
    return picture;
}

struct StreamResult {
    std::vector<float> samples;  // [height][width][channels], not clamped
    StreamRecord record;
    std::uint64_t planned_bytes = 0;  // weights left out
};

// The result in bands of these rows, and the last operations' of those.
inline StreamResult run_stream(const Backend& backend, const Program& program,
                               const FeatureMap& picture, const StorageModel& storage, int band,
                               int tail_band = 0) {
    BandConfig request;
    request.width = picture.width;
    request.height = picture.height;
    request.band = band;
    request.tail_band = tail_band;
    request.format = {SampleType::f32, SampleType::f32, false};
    Program whole = program;  // the picture is what is read, its borders included
    whole.border = 0;
    const auto plan = std::make_shared<const ExecutionPlan>(whole, request, storage);
    const std::vector<float> samples(picture.values.begin(), picture.values.end());
    const int width = picture.width * program.scale();
    const int height = picture.height * program.scale();
    StreamResult result;
    result.planned_bytes = plan->memory().total() - plan->memory().weights;
    result.samples.resize(static_cast<std::size_t>(width * height * program.output.channels),
                          std::numeric_limits<float>::quiet_NaN());
    ArraySource source(packed_view(reinterpret_cast<const std::byte*>(samples.data()),
                                   SampleType::f32, picture.width, picture.height,
                                   picture.channels));
    ArraySink sink(packed_view(reinterpret_cast<std::byte*>(result.samples.data()), SampleType::f32,
                               width, height, program.output.channels));
    run_plan(backend, plan, source, 0, sink, nullptr, result.record);
    return result;
}

// The largest difference; infinite where a result is not a number.
inline double difference(const std::vector<float>& result, const FeatureMap& expected) {
    if (result.size() != expected.values.size()) return std::numeric_limits<double>::infinity();
    double most = 0.0;
    for (std::size_t i = 0; i < result.size(); ++i) {
        const double off = std::abs(double{result[i]} - expected.values[i]);
        most = std::isfinite(off) ? std::max(most, off) : std::numeric_limits<double>::infinity();
    }
    return most;
}

}  // namespace random_program
