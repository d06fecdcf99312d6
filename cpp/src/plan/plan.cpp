#include "plan/plan.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>

#include "base/integers.hpp"
#include "image/image_view.hpp"
#include "plan/convolution_pairs.hpp"
#include "plan/fused_store.hpp"
#include "plan/schedule.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {

namespace {

int stored_channels(int channels, const StorageModel& storage) {
    const bool narrow = channels < kChannelAlignment;
    return round_up(channels, narrow ? storage.narrow_multiple : kChannelAlignment);
}

int at_most(Row rows, Row limit) {
    return static_cast<int>(std::min({rows, limit, kMostTensorSide}));
}

Row rows_kept(const SessionFormat& format) {
    return format.output_planes ? rows_kept_for_chroma(*format.output_planes) : 0;
}

// A step far enough from both ends that no command is clamped.
Row middle_step(Row rows_fed) {
    return kEndlessRows / 2 / rows_fed;
}

}  // namespace

RowCounts::RowCounts(const Program& program, const BandConfig& config, const StorageModel& storage)
    : alias_groups(find_alias_groups(program, storage.tensors_per_turn, storage.share_skips)),
      fused_store(storage.fused_store && can_fuse_store(program, config.format)),
      rows_fed(config.band) {
    if (storage.pair_outputs > 0 && config.band >= storage.pair_from_band) {
        pairs = find_pairs(program, storage.pair_outputs);
    }
    const auto schedule = [&](Row height) {
        return Schedule(program, alias_groups, height, rows_fed, config.tail_band,
                        storage.border_rows, rows_kept(config.format), pairs, fused_store);
    };
    const Row height = config.height / program.alignment;
    // A picture that one band holds is one step: the rows that operations lag behind are fed with
    // it.
    if (config.band >= height) rows_fed = schedule(height).rows_to_finish();
    const Schedule endless = schedule(kEndlessRows);
    count_runs(program, config, storage, endless);
    count_halos(program, height, endless);
}

// Measures the largest distance of rows of a tensor that are in use at one time.
void RowCounts::count_runs(const Program& program, const BandConfig& config,
                           const StorageModel& storage, const Schedule& endless) {
    const Row height = config.height / program.alignment;
    std::vector<Row> acquired(program.tensors.size(), std::numeric_limits<Row>::max());
    std::vector<Row> most(program.tensors.size(), 0);
    const auto reach = [&](const ChannelSlice& slice, Row end, Row first_live_row) {
        const Row first = std::min(first_live_row, acquired[idx(slice.tensor)]);
        Row& rows = most[idx(slice.tensor)];
        rows = std::max(rows, end - first + (storage.border_rows ? 1 : 0));
    };
    std::vector<Row> run_rows(program.ops.size(), 0);
    const Step step = endless.step(middle_step(rows_fed));
    for (const Command& command : step.commands) {
        for (const AcquiredBuffer& tensor : command.acquired) {
            acquired[idx(tensor.tensor)] = tensor.first_live_row;
        }
        if (command.kind == CommandKind::input)
            reach(program.input, command.rows.end(), command.first_live_row);
        if (command.kind != CommandKind::run) continue;
        const Op& op = program.ops[idx(command.index)];
        reach(op.output, command.rows.end(), command.first_live_row);
        if (op.duplicate_output)
            reach(*op.duplicate_output, command.rows.end(), command.duplicate_first_live_row);
        for (int index = command.index; index <= command.index + int{command.pair}; ++index) {
            run_rows[idx(index)] = std::max(run_rows[idx(index)], command.rows.count);
        }
    }
    input = at_most(step.input.count, config.height);
    output = at_most(step.output.count, Row{config.height} * program.scale());
    const int borders = storage.border_rows ? 2 : 0;
    for (std::size_t i = 0; i < most.size(); ++i) {
        RingStorage ring;
        ring.rows = at_most(most[i], height * program.tensors[i].scale + borders);
        ring.skip_only = endless.uses()[i].readers.empty();
        rings.push_back(ring);
    }
    if (fused_store) rings[idx(program.output.tensor)].rows = 0;
    for (std::size_t i = 0; i < run_rows.size(); ++i) {
        runs.push_back(at_most(run_rows[i], height * program.tensor(program.ops[i].output).scale));
    }
}

void RowCounts::count_halos(const Program& program, Row height, const Schedule& endless) {
    halos.resize(program.tensors.size());
    const std::vector<Row> rows_ready = endless.rows_ready(middle_step(rows_fed) * rows_fed);
    for (const AliasGroup& group : alias_groups) {
        for (const std::vector<int>& turn : group.turns) {
            for (const int tensor : turn) {
                const Row most = height * program.tensors[idx(tensor)].scale;
                for (const TensorUse::Written& written : endless.uses()[idx(tensor)].written) {
                    const Row rows = endless.live_rows(written, rows_ready).count;
                    halos[idx(tensor)].push_back(
                        {written.slice.channel, written.slice.channels, at_most(rows, most)});
                }
            }
        }
    }
}

ExecutionPlan::ExecutionPlan(const Program& program, const BandConfig& config,
                             const StorageModel& storage)
    : ExecutionPlan(program, config, storage,
                    std::make_shared<const RowCounts>(program, config, storage)) {}

ExecutionPlan::ExecutionPlan(const Program& program, const BandConfig& config,
                             const StorageModel& storage, std::shared_ptr<const RowCounts> rows)
    : program_(&program),
      config_(config),
      storage_(storage),
      rows_(std::move(rows)),
      rings_(rows_->rings) {
    check_sides();
    place_rings();
    schedule_ = std::make_shared<const Schedule>(schedule(config.height / program.alignment));
    count_bytes();
}

Schedule ExecutionPlan::schedule(Row height) const {
    return {*program_,
            alias_groups_,
            height,
            rows_->rows_fed,
            config_.tail_band,
            storage_.border_rows,
            rows_kept(config_.format),
            rows_->pairs,
            rows_->fused_store};
}

bool ExecutionPlan::same_as(const ExecutionPlan& other) const {
    const auto same_ring = [](const RingStorage& a, const RingStorage& b) {
        return a.rows == b.rows && a.shared_buffer == b.shared_buffer;
    };
    return program_ == other.program_ && config_ == other.config_ &&
           storage_.bytes_per_value == other.storage_.bytes_per_value &&
           storage_.max_binding_bytes == other.storage_.max_binding_bytes &&
           pairs() == other.pairs() && copies_results() == other.copies_results() &&
           std::equal(rings_.begin(), rings_.end(), other.rings_.begin(), other.rings_.end(),
                      same_ring);
}

int ExecutionPlan::tensor_width(int tensor) const {
    return config_.width / program_->alignment * program_->tensors[idx(tensor)].scale;
}

int ExecutionPlan::tensor_height(int tensor) const {
    return config_.height / program_->alignment * program_->tensors[idx(tensor)].scale;
}

void ExecutionPlan::check_sides() const {
    const Row longer = std::max(config_.width, config_.height) / program_->alignment;
    Row scale = 1;
    for (const Tensor& tensor : program_->tensors) scale = std::max<Row>(scale, tensor.scale);
    if (longer * scale <= kMostTensorSide) return;
    throw ImageError("the picture of " + std::to_string(config_.width) + "x" +
                     std::to_string(config_.height) + " pixels has " +
                     std::to_string(longer * scale) +
                     " rows or columns inside the network, where 2^30 are possible; use a "
                     "smaller picture");
}

int ExecutionPlan::steps() const {
    return static_cast<int>(schedule_->steps());
}

Step ExecutionPlan::step(int index) const {
    return schedule_->step(index);
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
    return product(channels, tensor_width(tensor) + storage_.padding_columns,
                   value_bytes(full_precision(tensor)));
}

// The command that stores the result binds its buffer whole.
bool ExecutionPlan::in_parts(int tensor) const {
    return rings_[idx(tensor)].skip_only && tensor != program_->output.tensor;
}

std::uint64_t ExecutionPlan::largest_binding() const {
    constexpr int kLeastRows = 8;
    std::uint64_t largest = memory_.largest_staging;
    for (int tensor = 0; tensor < ssize(rings_); ++tensor) {
        const int rows = rings_[idx(tensor)].rows;
        largest = std::max(largest, product(row_bytes(tensor),
                                            in_parts(tensor) ? std::min(rows, kLeastRows) : rows));
    }
    return largest;
}

std::uint64_t ExecutionPlan::binding_bytes(int tensor) const {
    const std::uint64_t bytes = product(rings_[idx(tensor)].rows, row_bytes(tensor));
    const bool fits = bytes <= storage_.max_binding_bytes;
    return fits || !in_parts(tensor) ? 0 : storage_.max_binding_bytes;
}

// Alias groups that are large enough to be worth the copies get shared buffers.
void ExecutionPlan::place_rings() {
    if (config_.band < storage_.share_from_band) return;
    for (const AliasGroup& group : rows_->alias_groups) {
        std::uint64_t own = 0;
        for (const std::vector<int>& turn : group.turns) {
            for (const int tensor : turn)
                own += product(rings_[idx(tensor)].rows, row_bytes(tensor));
        }
        if (own <= storage_.share_above) continue;
        share(group);
        alias_groups_.push_back(group);
    }
}

// A shared buffer has as many rows as the largest of its tensors needs.
void ExecutionPlan::share(const AliasGroup& group) {
    const int first = group.turns[0][0];
    const int size = ssize(group.turns[0]);
    const int base = ssize(shared_buffers_);
    const Tensor& like = program_->tensors[idx(first)];
    shared_buffers_.resize(idx(base + 2 * size),
                           SharedBuffer{like.channels, like.scale, 0, full_precision(first)});
    const auto each = [&](auto&& visit) {
        for (int turn = 0; turn < ssize(group.turns); ++turn) {
            const std::vector<int>& tensors = group.turns[idx(turn)];
            for (int i = 0; i < ssize(tensors); ++i) {
                visit(tensors[idx(i)], base + turn % 2 * size + i);
            }
        }
    };
    each([&](int tensor, int place) {
        RingStorage& ring = rings_[idx(tensor)];
        int& rows = shared_buffers_[idx(place)].rows;
        rows = std::max(rows, ring.rows);
        ring.shared_buffer = place;
        ring.halo = rows_->halos[idx(tensor)];
    });
    each([&](int tensor, int place) {
        rings_[idx(tensor)].rows = shared_buffers_[idx(place)].rows;
    });
}

void ExecutionPlan::count_bytes() {
    memory_.weights = storage_.weight_bytes;
    for (int tensor = 0; tensor < ssize(rings_); ++tensor) {
        const RingStorage& ring = rings_[idx(tensor)];
        if (ring.shared_buffer < 0) memory_.rings += product(ring.rows, row_bytes(tensor));
        const int most = stored_channels(program_->tensors[idx(tensor)].channels, storage_);
        for (const HaloSlice& slice : ring.halo) {
            const int channels = std::min(round_up(slice.channels, kChannelAlignment), most);
            memory_.halo_rows +=
                product(slice.rows, channels, tensor_width(tensor) + storage_.padding_columns,
                        value_bytes(full_precision(tensor)));
        }
    }
    for (const SharedBuffer& buffer : shared_buffers_) {
        const int width = config_.width / program_->alignment * buffer.scale;
        memory_.shared_buffers +=
            product(buffer.rows, stored_channels(buffer.channels, storage_),
                    width + storage_.padding_columns, value_bytes(buffer.full_precision));
    }
    count_scratch();
    count_staging();
}

void ExecutionPlan::count_scratch() {
    if (!storage_.scratch) return;
    for (int i = 0; i < ssize(program_->ops); ++i) {
        const Op& op = program_->ops[idx(i)];
        const int width = tensor_width(op.output.tensor);
        memory_.scratch =
            std::max(memory_.scratch, storage_.scratch(*program_, op, width, max_run_rows(i)));
    }
}

std::uint64_t ExecutionPlan::output_row_bytes() const {
    const std::uint64_t packed =
        product(config_.width, program_->scale(), program_->output.channels,
                sample_size(config_.format.output));
    return round_up(packed, static_cast<std::uint64_t>(storage_.staged_row_multiple));
}

void ExecutionPlan::count_staging() {
    const SessionFormat& format = config_.format;
    input_bytes_ = format.input_planes
                       ? most_bytes_to_load(*format.input_planes, max_input_rows())
                       : product(max_input_rows(), config_.width, program_->picture_channels,
                                 sample_size(format.input));
    output_bytes_ = format.output_planes
                        ? most_bytes_to_store(*format.output_planes, max_output_rows())
                        : product(max_output_rows(), output_row_bytes());
    memory_.largest_staging = std::max(input_bytes_, output_bytes_);
    memory_.staging = product(input_bytes_ + output_bytes_, storage_.bands_in_flight);
    if (format.input_planes) memory_.staging += input_bytes_;
    if (copies_results()) memory_.staging += product(output_bytes_, storage_.bands_in_flight);
}

std::uint64_t ExecutionPlan::output_bytes(RowRange rows) const {
    if (config_.format.output_planes) {
        return window_to_store(*config_.format.output_planes, rows).bytes;
    }
    return output_row_bytes() * static_cast<std::uint64_t>(rows.count);
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
    const Row height = Row{config_.height / program_->alignment} * program_->tensor(op.input).scale;
    const RowDependency reads = input_read(*program_, rows_->pairs, command.index).rows;
    const Row rows_read = reads.rows_end(command.rows.end()) - reads.first_row(command.rows.first);
    moved += bytes(op.input, std::min(rows_read, height));
    if (!command.store) moved += bytes(op.output, rows);
    if (command.pair) moved += bytes(program_->ops[idx(command.index + 1)].output, rows);
    if (op.duplicate_output) moved += bytes(*op.duplicate_output, rows);
    for (const Skip& skip : op.skips) {
        moved += bytes(skip.from, ceil_div(rows, skip.upsample));
    }
    return moved;
}

BandTraffic ExecutionPlan::traffic() const {
    BandTraffic traffic;
    double moved = 0.0;
    const Step step =
        steps() == 1 ? this->step(0) : schedule(kEndlessRows).step(middle_step(rows_->rows_fed));
    for (const Command& command : step.commands) {
        moved += bytes_of(command);
        if (command.kind != CommandKind::halo) ++traffic.dispatches;
    }
    traffic.bytes_per_input_pixel = moved / (static_cast<double>(step.input.count) * config_.width);
    return traffic;
}

}  // namespace realesrgan
