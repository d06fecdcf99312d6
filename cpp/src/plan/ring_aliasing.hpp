#pragma once

#include <vector>

#include "program/program.hpp"

namespace realesrgan {

// Who writes and who reads a tensor, in the order of execution. Writer 0 is the input, writer i + 1
// the op i; a duplicate output counts as written by its op.
struct TensorUse {
    struct Written {
        ChannelSlice slice;
        int writer = 0;
    };
    std::vector<Written> written;
    std::vector<int> readers;                                       // ops whose input it is
    std::vector<int> skip_readers;                                  // ops that add from it
    int first_write() const { return written.front().writer - 1; }  // an op, or -1 for the input
    int last_read() const;
};

std::vector<TensorUse> tensor_uses(const Program& program);

// Ops that run at the end of a step, in smaller row bands: those above the input tensor's scale,
// and those that depend on them.
std::vector<bool> tail_ops(const Program& program);

// Buffers of equal shape with disjoint lifetimes (the dense blocks of RRDBNet, the layers of
// SRVGGNetCompact, the skips beside them), aliased onto a few shared buffers by double buffering:
// turns[i] uses its shared buffers while turns[i + 1] is being filled, and its last read comes
// before the first write of turns[i + 2].
struct AliasGroup {
    std::vector<std::vector<int>> turns;  // tensors
};

// Turns have `tensors_per_turn` tensors, or more where lifetimes overlap further. `skips`: also of
// tensors that only additions read.
std::vector<AliasGroup> find_alias_groups(const Program& program, int tensors_per_turn, bool skips);

}  // namespace realesrgan
