#pragma once

#include <vector>

#include "program/program.hpp"

namespace realesrgan {

// Two convolutions in a row of which the second reads what the first reads and, behind it, what the
// first writes, as in a dense block. A backend may compute both in one dispatch: the second takes
// the first one's rows, and those just above and below, from the workgroup's own memory.
//
// By op: whether it is the first of such a pair. Both are 3x3 and not enlarged, have no epilogue
// but a slope of negative values, the same number of output channels, `most_outputs` at most, and
// write into the tensor that they read; channels are multiples of kChannelAlignment.
std::vector<bool> find_pairs(const Program& program, int most_outputs);

// What an op reads of its input tensor's buffer, and at which rows.
struct InputRead {
    ChannelSlice slice;
    RowDependency rows;
};

// `pairs`: empty, or by op. Both ops of a pair read the first one's input as far as the second one
// reaches through the first.
InputRead input_read(const Program& program, const std::vector<bool>& pairs, int op);

// Whether an op is the first or the second of a pair.
inline bool is_first(const std::vector<bool>& pairs, int op) {
    return !pairs.empty() && pairs[idx(op)];
}
inline bool is_second(const std::vector<bool>& pairs, int op) {
    return op > 0 && is_first(pairs, op - 1);
}

}  // namespace realesrgan
