#include "program/residual_precision.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace realesrgan {

namespace {

// Tensors whose rounding error reaches the output with a smaller factor stay in fp16: what
// convolutions read is rounded anyway.
constexpr float kFullGain = 0.5F;

bool same(const ChannelSlice& a, const ChannelSlice& b) {
    return a.tensor == b.tensor && a.channel == b.channel && a.channels == b.channels;
}

bool comes_from(const Skip& skip, const Op& writer) {
    return same(skip.from, writer.output) ||
           (writer.duplicate_output && same(skip.from, *writer.duplicate_output));
}

bool is_input(const Program& program, int tensor) {
    return std::any_of(program.ops.begin(), program.ops.end(),
                       [&](const Op& op) { return op.input.tensor == tensor; });
}

// The op's second output, made where it has none.
ChannelSlice copy_of(Program& program, Op& writer) {
    if (!writer.duplicate_output) {
        const int scale = program.tensor(writer.output).scale;
        writer.duplicate_output =
            ChannelSlice{static_cast<int>(program.tensors.size()), 0, writer.output.channels};
        program.tensors.push_back(Tensor{writer.output.channels, scale});
    }
    return *writer.duplicate_output;
}

// The factors with which an op's skips reach the output, given the factor of the op's output.
std::vector<float> skip_gains(const Op& op, float gain) {
    std::vector<float> gains(op.skips.size());
    if (op.gate) gain *= std::max(std::abs(*op.gate), std::abs(1.0F + *op.gate));
    for (std::size_t s = op.skips.size(); s-- > 0;) {
        // What a factor's error becomes depends on the values, and is not followed.
        gains[s] = op.skips[s].product ? 0.0F : gain * std::abs(op.skips[s].skip_scale);
        gain *= std::abs(op.skips[s].value_scale);  // what was added before is scaled by this
    }
    return gains;
}

// For every op and skip, the largest factor with which the skip reaches an output through additions
// alone: 1 along the trunk, less where it is scaled down.
std::vector<std::vector<float>> gains(const Program& program) {
    std::vector<std::vector<float>> gains(program.ops.size());
    for (std::size_t i = program.ops.size(); i-- > 0;) {
        float most = 0.0F;
        bool added = false;
        for (std::size_t r = i + 1; r < program.ops.size(); ++r) {
            for (std::size_t s = 0; s < gains[r].size(); ++s) {
                if (!comes_from(program.ops[r].skips[s], program.ops[i])) continue;
                most = std::max(most, gains[r][s]);
                added = true;
            }
        }
        gains[i] = skip_gains(program.ops[i], added ? most : 1.0F);
    }
    return gains;
}

}  // namespace

void keep_skips_apart(Program& program) {
    const std::vector<std::vector<float>> gain = gains(program);
    for (std::size_t r = 0; r < program.ops.size(); ++r) {
        for (std::size_t s = 0; s < gain[r].size(); ++s) {
            Skip& skip = program.ops[r].skips[s];
            if (gain[r][s] < kFullGain || !is_input(program, skip.from.tensor)) continue;
            const auto writer =
                std::find_if(program.ops.begin(), program.ops.end(),
                             [&](const Op& op) { return same(op.output, skip.from); });
            // The picture itself has no writer; the input tensor has full precision anyway.
            if (writer != program.ops.end()) skip.from = copy_of(program, *writer);
        }
    }
}

}  // namespace realesrgan
