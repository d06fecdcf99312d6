#include "plan/ring_aliasing.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <tuple>
#include <utility>

#include "base/integers.hpp"

namespace realesrgan {

int TensorUse::last_read() const {
    int last = -1;
    for (const int op : readers) last = std::max(last, op);
    for (const int op : skip_readers) last = std::max(last, op);
    return last;
}

std::vector<TensorUse> tensor_uses(const Program& program) {
    std::vector<TensorUse> uses(program.tensors.size());
    const auto use = [&](const ChannelSlice& slice) -> TensorUse& {
        return uses[idx(slice.tensor)];
    };
    use(program.input).written.push_back({program.input, 0});
    for (int index = 0; index < ssize(program.ops); ++index) {
        const Op& op = program.ops[idx(index)];
        use(op.input).readers.push_back(index);
        for (const Skip& skip : op.skips) use(skip.from).skip_readers.push_back(index);
        use(op.output).written.push_back({op.output, index + 1});
        if (op.duplicate_output)
            use(*op.duplicate_output).written.push_back({*op.duplicate_output, index + 1});
    }
    return uses;
}

std::vector<bool> tail_ops(const Program& program) {
    if (program.tensors[0].scale > 1) return std::vector<bool>(program.ops.size(), false);
    std::vector<bool> tail_tensor(program.tensors.size(), false);
    std::vector<bool> tail;
    const auto in_tail = [&](const ChannelSlice& slice) { return tail_tensor[idx(slice.tensor)]; };
    for (const Op& op : program.ops) {
        bool is_tail = program.tensor(op.output).scale > 1 || in_tail(op.input);
        for (const Skip& skip : op.skips) is_tail = is_tail || in_tail(skip.from);
        tail.push_back(is_tail);
        if (is_tail) tail_tensor[idx(op.output.tensor)] = true;
        if (is_tail && op.duplicate_output) tail_tensor[idx(op.duplicate_output->tensor)] = true;
    }
    return tail;
}

namespace {

// A residual block has three dense blocks; larger turns would only cost memory.
constexpr int kMostTensorsPerTurn = 4;

// Tensors of one shape and use: equal slices and scale, and whether only additions read them.
struct TensorKind {
    int scale = 1;
    std::vector<std::pair<int, int>> slices;  // channel and channels
    bool skip_only = false;
    bool operator<(const TensorKind& other) const {
        return std::tie(scale, slices, skip_only) <
               std::tie(other.scale, other.slices, other.skip_only);
    }
};

TensorKind kind_of(const TensorUse& use, int scale) {
    TensorKind kind;
    kind.scale = scale;
    for (const TensorUse::Written& written : use.written) {
        kind.slices.emplace_back(written.slice.channel, written.slice.channels);
    }
    std::sort(kind.slices.begin(), kind.slices.end());
    kind.skip_only = use.readers.empty();
    return kind;
}

bool can_share(const Program& program, const TensorUse& use, int tensor,
               const std::vector<bool>& tail, bool skips) {
    if (tensor == 0 || tensor == program.output.tensor) return false;
    if (use.readers.empty() && !skips) return false;
    return std::none_of(use.written.begin(), use.written.end(),
                        [&](const TensorUse::Written& written) {
                            return written.writer == 0 || tail[idx(written.writer - 1)];
                        });
}

// Leaves out the tensors that outlive too many of those after them, such as the whole network's
// skip.
std::vector<int> short_lived(const std::vector<int>& tensors, const std::vector<TensorUse>& uses) {
    constexpr std::size_t kReach = kMostTensorsPerTurn + 1;
    std::vector<int> kept;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const bool outlives =
            i + kReach < tensors.size() &&
            uses[idx(tensors[i])].last_read() >= uses[idx(tensors[i + kReach])].first_write();
        if (!outlives) kept.push_back(tensors[i]);
    }
    return kept;
}

AliasGroup in_turns(const std::vector<int>& tensors, int size) {
    AliasGroup group;
    for (const int tensor : tensors) {
        if (group.turns.empty() || ssize(group.turns.back()) == size) group.turns.emplace_back();
        group.turns.back().push_back(tensor);
    }
    return group;
}

bool can_alternate(const AliasGroup& group, const std::vector<TensorUse>& uses) {
    for (std::size_t i = 2; i < group.turns.size(); ++i) {
        int last = -1;
        for (const int tensor : group.turns[i - 2]) {
            last = std::max(last, uses[idx(tensor)].last_read());
        }
        if (last >= uses[idx(group.turns[i][0])].first_write()) return false;
    }
    return true;
}

}  // namespace

std::vector<AliasGroup> find_alias_groups(const Program& program, int tensors_per_turn,
                                          bool skips) {
    const std::vector<TensorUse> uses = tensor_uses(program);
    const std::vector<bool> tail = tail_ops(program);
    std::map<TensorKind, std::vector<int>> alike;
    for (int tensor = 0; tensor < ssize(uses); ++tensor) {
        const TensorUse& use = uses[idx(tensor)];
        if (can_share(program, use, tensor, tail, skips))
            alike[kind_of(use, program.tensors[idx(tensor)].scale)].push_back(tensor);
    }
    std::vector<AliasGroup> alias_groups;
    for (auto& [kind, tensors] : alike) {
        std::sort(tensors.begin(), tensors.end(), [&](int a, int b) {
            return uses[idx(a)].first_write() < uses[idx(b)].first_write();
        });
        const std::vector<int> members = short_lived(tensors, uses);
        for (int size = tensors_per_turn; size <= kMostTensorsPerTurn; ++size) {
            if (ssize(members) <= 2 * size) break;
            AliasGroup group = in_turns(members, size);
            if (!can_alternate(group, uses)) continue;
            alias_groups.push_back(std::move(group));
            break;
        }
    }
    return alias_groups;
}

}  // namespace realesrgan
