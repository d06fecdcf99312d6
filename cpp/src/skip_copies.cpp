#include "skip_copies.hpp"

#include <algorithm>

namespace realesrgan {

namespace {

bool same(const Slice& a, const Slice& b) {
    return a.ring == b.ring && a.channel == b.channel && a.channels == b.channels;
}

bool is_input(const Program& program, int ring) {
    return std::any_of(program.ops.begin(), program.ops.end(),
                       [&](const Op& op) { return op.input.ring == ring; });
}

// The op's second output, made where it has none.
Slice copy_of(Program& program, Op& writer) {
    if (!writer.copy) {
        const int scale = program.ring(writer.output).scale;
        writer.copy = Slice{static_cast<int>(program.rings.size()), 0, writer.output.channels};
        program.rings.push_back(Ring{writer.output.channels, scale});
    }
    return *writer.copy;
}

}  // namespace

void keep_skips_apart(Program& program) {
    for (Op& reader : program.ops) {
        for (Skip& skip : reader.skips) {
            if (!is_input(program, skip.from.ring)) continue;
            const auto writer =
                std::find_if(program.ops.begin(), program.ops.end(),
                             [&](const Op& op) { return same(op.output, skip.from); });
            // The picture itself has no writer; the input ring is exact anyway.
            if (writer != program.ops.end()) skip.from = copy_of(program, *writer);
        }
    }
}

}  // namespace realesrgan
