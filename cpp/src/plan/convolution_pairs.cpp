#include "plan/convolution_pairs.hpp"

#include "base/integers.hpp"

namespace realesrgan {

namespace {

bool can_pair(const Op& op, int most_outputs) {
    const bool slope = op.activation == Activation::none ||
                       op.activation == Activation::leaky_relu ||
                       op.activation == Activation::prelu;
    return op.kind == OpKind::convolution && op.kernel == 3 && op.upsample == 1 && slope &&
           op.skips.empty() && !op.gate && !op.duplicate_output &&
           op.output.channels <= most_outputs && op.input.channels % kChannelAlignment == 0 &&
           op.output.channels % kChannelAlignment == 0 && op.output.tensor == op.input.tensor;
}

bool is_pair(const Op& first, const Op& second) {
    return second.input.tensor == first.input.tensor &&
           second.input.channel == first.input.channel &&
           second.input.channels == first.input.channels + first.output.channels &&
           first.output.channel == first.input.channel + first.input.channels &&
           second.output.channels == first.output.channels;
}

}  // namespace

std::vector<bool> find_pairs(const Program& program, int most_outputs) {
    std::vector<bool> pairs(program.ops.size(), false);
    for (int i = 0; i + 1 < ssize(program.ops); ++i) {
        const Op& first = program.ops[idx(i)];
        const Op& second = program.ops[idx(i + 1)];
        pairs[idx(i)] = !is_second(pairs, i) && can_pair(first, most_outputs) &&
                        can_pair(second, most_outputs) && is_pair(first, second);
    }
    return pairs;
}

InputRead input_read(const Program& program, const std::vector<bool>& pairs, int op) {
    const int first = is_second(pairs, op) ? op - 1 : op;
    InputRead read{program.ops[idx(first)].input, row_dependency(program.ops[idx(first)])};
    if (is_first(pairs, first)) {
        const RowDependency second = row_dependency(program.ops[idx(first + 1)]);
        read.rows.first += second.first;
        read.rows.last += second.last;
    }
    return read;
}

}  // namespace realesrgan
