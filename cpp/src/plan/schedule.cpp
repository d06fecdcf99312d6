#include "plan/schedule.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include "base/integers.hpp"
#include "plan/convolution_pairs.hpp"

namespace realesrgan {

namespace {

bool overlap(const ChannelSlice& a, const ChannelSlice& b) {
    return a.tensor == b.tensor && a.channel < b.channel + b.channels &&
           b.channel < a.channel + a.channels;
}

}  // namespace

Schedule::Schedule(const Program& program, std::vector<AliasGroup> alias_groups, Row height,
                   Row band, int tail_band, bool border_rows, Row rows_kept,
                   std::vector<bool> pairs, bool fused_store)
    : program_(program),
      alias_groups_(std::move(alias_groups)),
      uses_(tensor_uses(program)),
      tail_(tail_ops(program)),
      height_(height),
      band_(band),
      tail_band_(tail_band > 0 ? std::min<Row>(tail_band, band) : band),
      border_rows_(border_rows),
      rows_kept_(rows_kept),
      pairs_(std::move(pairs)),
      fused_store_(fused_store) {}

Row Schedule::tensor_height(int tensor) const {
    return height_ * program_.tensors[idx(tensor)].scale;
}

std::vector<Row> Schedule::rows_ready(Row rows_fed) const {
    std::vector<Row> rows_ready{rows_fed * program_.tensors[0].scale};
    const auto end_of = [&](const ChannelSlice& slice) {
        Row end = std::numeric_limits<Row>::max();
        for (const TensorUse::Written& written : uses_[idx(slice.tensor)].written) {
            if (!overlap(slice, written.slice)) continue;
            end = std::min(end, rows_ready[idx(written.writer)]);
        }
        return end;
    };
    for (int i = 0; i < ssize(program_.ops); ++i) {
        const Op& op = program_.ops[idx(i)];
        const InputRead read = input_read(program_, pairs_, i);
        Row end = read.rows.rows_possible(end_of(read.slice));
        for (const Skip& skip : op.skips)
            end = std::min(end, row_dependency(skip).rows_possible(end_of(skip.from)));
        rows_ready.push_back(end);
    }
    return rows_ready;
}

Row Schedule::clamp(int tensor, Row row) const {
    return std::clamp<Row>(row, 0, tensor_height(tensor));
}

std::vector<Row> Schedule::clamped(std::vector<Row> rows_ready) const {
    rows_ready[0] = clamp(0, rows_ready[0]);
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
        rows_ready[i + 1] = clamp(program_.ops[i].output.tensor, rows_ready[i + 1]);
    }
    return rows_ready;
}

Row Schedule::steps() const {
    return ceil_div(rows_to_finish(), band_);
}

Row Schedule::rows_to_finish() const {
    const Row goal = tensor_height(program_.output.tensor);
    Row low = 0;
    Row high = height_ + band_;
    while (clamped(rows_ready(high)).back() < goal) high *= 2;
    while (low + 1 < high) {
        const Row middle = low + (high - low) / 2;
        (clamped(rows_ready(middle)).back() < goal ? low : high) = middle;
    }
    return high;
}

// The lowest row that readers of a slice still need, when ops have come to `done` (clamped).
Row Schedule::first_read_row(const ChannelSlice& slice, const std::vector<Row>& done) const {
    const TensorUse& use = uses_[idx(slice.tensor)];
    Row row = std::numeric_limits<Row>::max();
    for (const int reader : use.readers) {
        const InputRead read = input_read(program_, pairs_, reader);
        if (overlap(read.slice, slice))
            row = std::min(row, read.rows.first_row(done[idx(reader + 1)]));
    }
    for (const int reader : use.skip_readers) {
        for (const Skip& skip : program_.ops[idx(reader)].skips) {
            if (overlap(skip.from, slice))
                row = std::min(row, row_dependency(skip).first_row(done[idx(reader + 1)]));
        }
    }
    return row;
}

// The lowest row that is still to be written or that any reader still needs. A resize to a smaller
// size leaves rows out, so the first may be the lower one.
Row Schedule::first_live_row(int tensor, const std::vector<Row>& done) const {
    Row row = first_read_row({tensor, 0, program_.tensors[idx(tensor)].channels}, done);
    for (const TensorUse::Written& written : uses_[idx(tensor)].written) {
        row = std::min(row, done[idx(written.writer)]);
    }
    if (tensor == program_.output.tensor) row = std::min(row, done.back() - rows_kept_);
    return std::max<Row>(row, border_rows_ ? -1 : 0);
}

RowRange Schedule::live_rows(const TensorUse::Written& written,
                             const std::vector<Row>& rows_ready) const {
    const std::vector<Row> done = clamped(rows_ready);
    const Row end = done[idx(written.writer)];
    const Row row = std::clamp<Row>(first_read_row(written.slice, done), 0, end);
    return RowRange{row, end - row};
}

// Builds the commands of one step; tracks how many rows each op has finished.
class Schedule::Builder {
  public:
    Builder(const Schedule& schedule, Row index)
        : schedule_(schedule),
          program_(schedule.program_),
          rows_fed_(index * schedule.band_),
          before_(schedule.rows_ready(rows_fed_)),
          after_(schedule.rows_ready(rows_fed_ + schedule.band_)),
          done_(schedule.clamped(before_)) {}

    Step build() {
        feed();
        for (int op = 0; op < ssize(program_.ops); ++op) {
            halo_before(op);
            if (!schedule_.tail_[idx(op)]) run(op, after_[idx(op + 1)]);
        }
        halo_last();
        for (Row rows_fed = rows_fed_; rows_fed < rows_fed_ + schedule_.band_;) {
            rows_fed = std::min(rows_fed + schedule_.tail_band_, rows_fed_ + schedule_.band_);
            const std::vector<Row> rows_ready = schedule_.rows_ready(rows_fed);
            for (int op = 0; op < ssize(program_.ops); ++op) {
                if (schedule_.tail_[idx(op)]) run(op, rows_ready[idx(op + 1)]);
            }
            send(rows_ready.back());
        }
        return std::move(step_);
    }

  private:
    void feed() {
        const RowRange rows{done_[0], schedule_.clamp(0, after_[0]) - done_[0]};
        if (rows.count == 0) return;
        Command command;
        command.kind = CommandKind::input;
        command.rows = rows;
        command.first_live_row = schedule_.first_live_row(0, done_);
        step_.commands.push_back(std::move(command));
        step_.input = RowRange{rows.first * program_.unshuffle, rows.count * program_.unshuffle};
        done_[0] = rows.end();
    }

    void run(int index, Row end) {
        if (is_second(schedule_.pairs_, index)) return;
        const Op& op = program_.ops[idx(index)];
        Row& done = done_[idx(index + 1)];
        const RowRange rows{done, schedule_.clamp(op.output.tensor, end) - done};
        if (rows.count <= 0) return;
        Command command;
        command.index = index;
        command.rows = rows;
        command.first_live_row = schedule_.first_live_row(op.output.tensor, done_);
        if (op.duplicate_output) {
            command.duplicate_first_live_row =
                schedule_.first_live_row(op.duplicate_output->tensor, done_);
        }
        command.pair = is_first(schedule_.pairs_, index);
        command.store = schedule_.fused_store_ && index + 1 == ssize(program_.ops);
        if (command.pair) done_[idx(index + 2)] = rows.end();
        step_.commands.push_back(std::move(command));
        done = rows.end();
    }

    void send(Row end) {
        const Row row = schedule_.clamp(program_.output.tensor, end);
        if (row <= sent()) return;
        Command command;
        command.kind = CommandKind::output;
        command.rows = RowRange{sent(), row - sent()};
        step_.output.first = step_.output.count == 0 ? command.rows.first : step_.output.first;
        step_.output.count += command.rows.count;
        if (!schedule_.fused_store_) step_.commands.push_back(std::move(command));
    }

    Row sent() const {
        return step_.output.count > 0 ? step_.output.end()
                                      : schedule_.clamp(program_.output.tensor, before_.back());
    }

    // Before the op that first writes into turn g of an alias group: saves the halo rows of turn
    // g - 2, whose buffers turn g acquires, and loads its own.
    void halo_before(int op) {
        for (const AliasGroup& group : schedule_.alias_groups_) {
            for (std::size_t g = 0; g < group.turns.size(); ++g) {
                if (schedule_.uses_[idx(group.turns[g][0])].first_write() != op) continue;
                Command command;
                if (g >= 2) save(group.turns[g - 2], command);
                load(group.turns[g], command);
                push_halo_command(std::move(command));
            }
        }
    }

    void halo_last() {
        Command command;
        for (const AliasGroup& group : schedule_.alias_groups_) {
            const std::size_t count = group.turns.size();
            for (std::size_t g = count - std::min<std::size_t>(2, count); g < count; ++g) {
                save(group.turns[g], command);
            }
        }
        push_halo_command(std::move(command));
    }

    void push_halo_command(Command command) {
        if (command.saves.empty() && command.loads.empty() && command.acquired.empty()) return;
        command.kind = CommandKind::halo;
        step_.commands.push_back(std::move(command));
    }

    void save(const std::vector<int>& tensors, Command& command) {
        for (const int tensor : tensors) add_rows(tensor, after_, command.saves);
    }

    void load(const std::vector<int>& tensors, Command& command) {
        for (const int tensor : tensors) {
            add_rows(tensor, before_, command.loads);
            command.acquired.push_back(
                AcquiredBuffer{tensor, schedule_.first_live_row(tensor, done_)});
        }
    }

    void add_rows(int tensor, const std::vector<Row>& rows_ready, std::vector<HaloCopy>& list) {
        const TensorUse& use = schedule_.uses_[idx(tensor)];
        for (int slice = 0; slice < ssize(use.written); ++slice) {
            const RowRange rows = schedule_.live_rows(use.written[idx(slice)], rows_ready);
            if (rows.count > 0) list.push_back(HaloCopy{tensor, slice, rows});
        }
    }

    const Schedule& schedule_;
    const Program& program_;
    Row rows_fed_;
    std::vector<Row> before_;  // rows ready before and after the step, unclamped
    std::vector<Row> after_;
    std::vector<Row> done_;  // clamped, as the commands so far leave them
    Step step_;
};

Step Schedule::step(Row index) const {
    return Builder(*this, index).build();
}

}  // namespace realesrgan
