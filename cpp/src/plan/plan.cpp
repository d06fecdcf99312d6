#include "plan/plan.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>

#include "base/integers.hpp"
#include "image/image_view.hpp"
#include "plan/schedule.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {

namespace {

std::uint64_t product(int a, int b) {
    return static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b);
}

int stored_channels(int channels, const StorageModel& storage) {
    const bool narrow = channels < kChannelAlignment;
    return round_up(channels, narrow ? storage.narrow_multiple : kChannelAlignment);
}

}  // namespace

ExecutionPlan::ExecutionPlan(const Program& program, const BandConfig& config,
                             const StorageModel& storage)
    : program_(&program), config_(config), storage_(storage) {
    check_sides();
    rings_.resize(program.tensors.size());
    alias_groups_ = find_alias_groups(program, storage.tensors_per_turn, storage.share_skips);
    const int height = config.height / program.unshuffle;
    const auto schedule = [&](Row rows) {
        return Schedule(program, alias_groups_, rows, rows_fed_, config.tail_band,
                        storage.border_rows);
    };
    rows_fed_ = config.band;
    // A picture that one band holds is one step: the rows that operations lag behind are fed with
    // it.
    if (config.band >= height) rows_fed_ = schedule(height).rows_to_finish();
    const Schedule endless = schedule(kEndlessRows);
    // A step far enough from both ends that no command is clamped.
    const Row middle = kEndlessRows / 2 / rows_fed_;
    measure_rings(endless, middle);
    place_rings();
    measure_halo_rows(endless, middle);
    count_traffic(schedule(kEndlessRows).step(middle));
    schedule_ = std::make_shared<Schedule>(schedule(height));
    steps_ = static_cast<int>(schedule_->steps());
    count_bytes();
}

bool ExecutionPlan::same_as(const ExecutionPlan& other) const {
    const auto same_ring = [](const RingStorage& a, const RingStorage& b) {
        return a.rows == b.rows && a.shared_buffer == b.shared_buffer;
    };
    return program_ == other.program_ && config_ == other.config_ &&
           storage_.bytes_per_value == other.storage_.bytes_per_value &&
           storage_.max_binding_bytes == other.storage_.max_binding_bytes &&
           std::equal(rings_.begin(), rings_.end(), other.rings_.begin(), other.rings_.end(),
                      same_ring);
}

int ExecutionPlan::tensor_width(int tensor) const {
    return config_.width / program_->unshuffle * program_->tensors[idx(tensor)].scale;
}

int ExecutionPlan::tensor_height(int tensor) const {
    return static_cast<int>(schedule_->tensor_height(tensor));
}

void ExecutionPlan::check_sides() const {
    const Row longer = std::max(config_.width, config_.height) / program_->unshuffle;
    Row scale = 1;
    for (const Tensor& tensor : program_->tensors) scale = std::max<Row>(scale, tensor.scale);
    if (longer * scale <= kMostTensorSide) return;
    throw ImageError("the picture of " + std::to_string(config_.width) + "x" +
                     std::to_string(config_.height) + " pixels has " +
                     std::to_string(longer * scale) +
                     " rows or columns inside the network, where 2^30 are possible; use a "
                     "smaller picture");
}

Step ExecutionPlan::step(int index) const {
    return schedule_->step(index);
}

// Measures the largest distance of rows of a tensor that are in use at one time.
void ExecutionPlan::measure_rings(const Schedule& endless, Row step) {
    const Row height = config_.height / program_->unshuffle;
    std::vector<Row> acquired(rings_.size(), std::numeric_limits<Row>::max());
    std::vector<Row> most(rings_.size(), 0);
    const auto reach = [&](const ChannelSlice& slice, Row end, Row first_live_row) {
        const auto i = static_cast<std::size_t>(slice.tensor);
        const Row first = std::min(first_live_row, acquired[i]);
        most[i] = std::max(most[i], end - first + (storage_.border_rows ? 1 : 0));
    };
    std::vector<Row> run_rows(program_->ops.size(), 0);
    const Step middle = endless.step(step);
    for (const Command& command : middle.commands) {
        for (const AcquiredBuffer& tensor : command.acquired) {
            acquired[idx(tensor.tensor)] = tensor.first_live_row;
        }
        if (command.kind == CommandKind::input)
            reach(program_->input, command.rows.end(), command.first_live_row);
        if (command.kind != CommandKind::run) continue;
        const auto i = static_cast<std::size_t>(command.index);
        const Op& op = program_->ops[i];
        reach(op.output, command.rows.end(), command.first_live_row);
        if (op.duplicate_output)
            reach(*op.duplicate_output, command.rows.end(), command.duplicate_first_live_row);
        run_rows[i] = std::max(run_rows[i], command.rows.count);
    }
    const auto at_most = [](Row rows, Row limit) {
        return static_cast<int>(std::min({rows, limit, kMostTensorSide}));
    };
    input_rows_ = at_most(middle.input.count, config_.height);
    output_rows_ = at_most(middle.output.count, Row{config_.height} * program_->scale());
    const std::vector<TensorUse>& uses = endless.uses();
    for (std::size_t i = 0; i < rings_.size(); ++i) {
        const int borders = storage_.border_rows ? 2 : 0;
        rings_[i].rows = at_most(most[i], height * program_->tensors[i].scale + borders);
        rings_[i].skip_only = uses[i].readers.empty();
    }
    for (std::size_t i = 0; i < run_rows.size(); ++i) {
        run_rows_.push_back(
            at_most(run_rows[i], height * program_->tensor(program_->ops[i].output).scale));
    }
}

bool ExecutionPlan::full_precision(int tensor) const {
    return storage_.full_precision_bytes_per_value > 0 &&
           (tensor == 0 || rings_[idx(tensor)].skip_only);
}

int ExecutionPlan::value_bytes(bool full_precision) const {
    return full_precision ? storage_.full_precision_bytes_per_value : storage_.bytes_per_value;
}

std::uint64_t ExecutionPlan::row_bytes(int tensor) const {
    const int channels = stored_channels(program_->tensors[idx(tensor)].channels, storage_);
    return product(channels, tensor_width(tensor) + storage_.padding_columns) *
           static_cast<std::uint64_t>(value_bytes(full_precision(tensor)));
}

// The command that stores the result binds its buffer whole.
bool ExecutionPlan::in_parts(int tensor) const {
    return rings_[idx(tensor)].skip_only && tensor != program_->output.tensor;
}

std::uint64_t ExecutionPlan::largest_binding() const {
    constexpr std::uint64_t kLeastRows = 8;
    std::uint64_t largest = memory_.largest_staging;
    for (std::size_t i = 0; i < rings_.size(); ++i) {
        const int tensor = static_cast<int>(i);
        const auto rows = static_cast<std::uint64_t>(rings_[i].rows);
        largest = std::max(
            largest, row_bytes(tensor) * (in_parts(tensor) ? std::min(rows, kLeastRows) : rows));
    }
    return largest;
}

std::uint64_t ExecutionPlan::binding_bytes(int tensor) const {
    const auto rows = static_cast<std::uint64_t>(rings_[idx(tensor)].rows);
    const bool fits = rows * row_bytes(tensor) <= storage_.max_binding_bytes;
    return fits || !in_parts(tensor) ? 0 : storage_.max_binding_bytes;
}

// Alias groups that are large enough to be worth the copies get shared buffers.
void ExecutionPlan::place_rings() {
    std::vector<AliasGroup> shared;
    for (AliasGroup& group : alias_groups_) {
        std::uint64_t own = 0;
        for (const std::vector<int>& turn : group.turns) {
            for (const int tensor : turn) {
                own += static_cast<std::uint64_t>(rings_[idx(tensor)].rows) * row_bytes(tensor);
            }
        }
        if (own <= storage_.share_above || config_.band < storage_.share_from_band) continue;
        share(group);
        shared.push_back(std::move(group));
    }
    alias_groups_ = std::move(shared);
}

// A shared buffer has as many rows as the largest of its tensors needs.
void ExecutionPlan::share(AliasGroup& group) {
    const std::size_t size = group.turns[0].size();
    const std::size_t base = shared_buffers_.size();
    const int first = group.turns[0][0];
    const Tensor& like = program_->tensors[idx(first)];
    shared_buffers_.resize(base + 2 * size,
                           SharedBuffer{like.channels, like.scale, 0, full_precision(first)});
    const auto each = [&](auto&& visit) {
        for (std::size_t g = 0; g < group.turns.size(); ++g) {
            for (std::size_t i = 0; i < group.turns[g].size(); ++i) {
                visit(rings_[idx(group.turns[g][i])], base + g % 2 * size + i);
            }
        }
    };
    each([&](RingStorage& storage, std::size_t place) {
        storage.shared_buffer = static_cast<int>(place);
        shared_buffers_[place].rows = std::max(shared_buffers_[place].rows, storage.rows);
    });
    each([&](RingStorage& storage, std::size_t place) {
        storage.rows = shared_buffers_[place].rows;
    });
}

void ExecutionPlan::measure_halo_rows(const Schedule& endless, Row step) {
    const std::vector<Row> rows_ready = endless.rows_ready(step * rows_fed_);
    for (std::size_t i = 0; i < rings_.size(); ++i) {
        if (rings_[i].shared_buffer < 0) continue;
        for (const TensorUse::Written& written : endless.uses()[i].written) {
            const Row rows = endless.live_rows(static_cast<int>(i), written, rows_ready).count;
            const Row height =
                Row{config_.height / program_->unshuffle} * program_->tensors[i].scale;
            rings_[i].halo.push_back(HaloSlice{written.slice.channel, written.slice.channels,
                                               static_cast<int>(std::min(rows, height))});
        }
    }
}

void ExecutionPlan::count_bytes() {
    memory_.weights = storage_.weight_bytes;
    for (std::size_t i = 0; i < rings_.size(); ++i) {
        const int tensor = static_cast<int>(i);
        if (rings_[i].shared_buffer < 0) {
            memory_.rings += static_cast<std::uint64_t>(rings_[i].rows) * row_bytes(tensor);
        }
        for (const HaloSlice& slice : rings_[i].halo) {
            const int most = stored_channels(program_->tensors[i].channels, storage_);
            const int channels = std::min(round_up(slice.channels, kChannelAlignment), most);
            memory_.halo_rows +=
                product(slice.rows, channels) *
                static_cast<std::uint64_t>(tensor_width(tensor) + storage_.padding_columns) *
                static_cast<std::uint64_t>(value_bytes(full_precision(tensor)));
        }
    }
    for (const SharedBuffer& buffer : shared_buffers_) {
        const int width = config_.width / program_->unshuffle * buffer.scale;
        memory_.shared_buffers += product(buffer.rows, stored_channels(buffer.channels, storage_)) *
                                  static_cast<std::uint64_t>(width + storage_.padding_columns) *
                                  static_cast<std::uint64_t>(value_bytes(buffer.full_precision));
    }
    count_scratch();
    count_staging();
}

void ExecutionPlan::count_scratch() {
    if (!storage_.scratch) return;
    for (std::size_t i = 0; i < program_->ops.size(); ++i) {
        const Op& op = program_->ops[i];
        memory_.scratch =
            std::max(memory_.scratch,
                     storage_.scratch(*program_, op, tensor_width(op.output.tensor), run_rows_[i]));
    }
}

void ExecutionPlan::count_staging() {
    const auto width = static_cast<std::uint64_t>(config_.width);
    const auto scale = static_cast<std::uint64_t>(program_->scale());
    const std::uint64_t in = static_cast<std::uint64_t>(input_rows_) * width *
                             static_cast<std::uint64_t>(program_->picture_channels) *
                             sample_size(config_.input_type);
    const std::uint64_t out = static_cast<std::uint64_t>(output_rows_) * width * scale *
                              static_cast<std::uint64_t>(program_->output.channels) *
                              sample_size(config_.output_type);
    memory_.largest_staging = std::max(in, out);
    memory_.staging = (in + out) * static_cast<std::uint64_t>(storage_.bands_in_flight);
}

// Counts each byte once for each command, without the padding channels that kernels skip.
double ExecutionPlan::bytes_of(const Command& command) const {
    constexpr int kVector = 4;
    const auto bytes = [&](const ChannelSlice& slice, Row rows) {
        return static_cast<double>(rows) * tensor_width(slice.tensor) *
               round_up(slice.channels, kVector) * value_bytes(full_precision(slice.tensor));
    };
    if (command.kind == CommandKind::input) return bytes(program_->input, command.rows.count);
    if (command.kind == CommandKind::output) return bytes(program_->output, command.rows.count);
    double moved = 0.0;
    for (const std::vector<HaloCopy>* list : {&command.saves, &command.loads}) {
        for (const HaloCopy& copy : *list) {
            const HaloSlice& slice = rings_[idx(copy.tensor)].halo[idx(copy.slice)];
            moved += 2 * bytes(ChannelSlice{copy.tensor, slice.channel, slice.channels},
                               copy.rows.count);
        }
    }
    if (command.kind == CommandKind::halo) return moved;
    const Op& op = program_->ops[idx(command.index)];
    const Row rows = command.rows.count;
    const Row height = Row{config_.height / program_->unshuffle} * program_->tensor(op.input).scale;
    const RowDependency reads = row_dependency(op);
    const Row rows_read = reads.rows_end(command.rows.end()) - reads.first_row(command.rows.first);
    moved += bytes(op.input, std::min(rows_read, height)) + bytes(op.output, rows);
    if (op.duplicate_output) moved += bytes(*op.duplicate_output, rows);
    for (const Skip& skip : op.skips) {
        moved += bytes(skip.from, (rows + skip.upsample - 1) / skip.upsample);
    }
    return moved;
}

void ExecutionPlan::count_traffic(const Step& step) {
    double moved = 0.0;
    for (const Command& command : step.commands) {
        moved += bytes_of(command);
        if (command.kind != CommandKind::halo) ++dispatches_;
    }
    bytes_moved_ = moved / (static_cast<double>(step.input.count) * config_.width);
}

}  // namespace realesrgan
