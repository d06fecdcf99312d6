#include "cpu/session.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/host_clock.hpp"
#include "base/integers.hpp"
#include "base/thread_pool.hpp"
#include "cpu/pixels.hpp"
#include "cpu/pointwise.hpp"
#include "image/image_view.hpp"

namespace realesrgan::cpu {

namespace {

// Channel groups of a slice with its padding; narrow tensors have no padding.
int halo_groups(const HaloSlice& slice, const RowLayout& layout) {
    return std::min(round_up(slice.channels, kChannelAlignment) / kGroup, layout.groups);
}

// Checks a row count against the planned maximum.
int planned(Row count, int most) {
    if (count > most) {
        throw std::logic_error("a step has " + std::to_string(count) + " rows where " +
                               std::to_string(most) + " are planned");
    }
    return static_cast<int>(count);
}

}  // namespace

CpuSession::CpuSession(const Kernels& kernels, std::shared_ptr<const ExecutionPlan> plan)
    : kernels_(kernels),
      plan_(std::move(plan)),
      program_(plan_->program()),
      format_(plan_->config().format) {
    make_buffers();
    scratch_ = HostBuffer(meter_, idx(plan_->memory().scratch));
    input_ = HostBuffer(meter_, product(plan_->config().width, plan_->max_input_rows(),
                                        program_.picture_channels, sample_size(format_.input)));
    output_ = HostBuffer(meter_,
                         product(plan_->config().width, program_.scale(), plan_->max_output_rows(),
                                 program_.output.channels, sample_size(format_.output)));
}

RowLayout CpuSession::layout_of(int tensor) const {
    const int channels = program_.tensors[idx(tensor)].channels;
    RowLayout layout;
    const int stored =
        channels < kChannelAlignment ? channels : round_up(channels, kChannelAlignment);
    layout.groups = winograd::groups_of(stored);
    layout.width = plan_->tensor_width(tensor);
    layout.rows = plan_->rings()[idx(tensor)].rows;
    return layout;
}

void CpuSession::make_buffers() {
    std::vector<float*> shared_buffers(plan_->shared_buffers().size(), nullptr);
    for (std::size_t i = 0; i < program_.tensors.size(); ++i) {
        const int index = static_cast<int>(i);
        const RingStorage& storage = plan_->rings()[i];
        const RowLayout layout = layout_of(index);
        float* own = nullptr;
        float*& memory =
            storage.shared_buffer >= 0 ? shared_buffers[idx(storage.shared_buffer)] : own;
        if (memory == nullptr) {
            memory_.emplace_back(meter_, layout.floats() * sizeof(float));
            memory = memory_.back().floats();
        }
        buffers_.emplace_back(memory, layout, plan_->tensor_height(index), storage.skip_only);
        make_halo_rows(index);
    }
}

void CpuSession::make_halo_rows(int tensor) {
    halo_rows_.emplace_back();
    const RowLayout& layout = buffers_.back().layout();
    for (const HaloSlice& slice : plan_->rings()[idx(tensor)].halo) {
        const int groups = halo_groups(slice, layout);
        const auto floats = static_cast<std::size_t>(groups) *
                            static_cast<std::size_t>(slice.rows) *
                            static_cast<std::size_t>(layout.row_stride());
        halo_rows_.back().emplace_back(meter_, floats * sizeof(float));
    }
}

MutableImageView CpuSession::input_rows(int count) {
    return packed_view(input_.bytes(), format_.input, plan_->config().width, count,
                       program_.picture_channels);
}

ImageView CpuSession::output_rows() {
    return packed_view<const std::byte>(output_.bytes(), format_.output,
                                        plan_->config().width * program_.scale(),
                                        std::exchange(output_rows_, 0), program_.output.channels);
}

void CpuSession::run(const Step& step) {
    if (!timed_) {
        for (const Command& command : step.commands) run_command(command, step);
        return;
    }
    times_ = StepTimes{};
    times_.host_clock = true;
    times_.submitted = host_seconds();
    for (std::size_t i = 0; i < step.commands.size(); ++i) {
        const double begin = host_seconds();
        run_command(step.commands[i], step);
        times_.commands.push_back({i, "cpu", begin, host_seconds()});
    }
    times_.wait_end = host_seconds();
}

void CpuSession::run_command(const Command& command, const Step& step) {
    if (command.kind != CommandKind::halo) ++dispatches_;
    switch (command.kind) {
        case CommandKind::input:
            buffer(program_.input)
                .reach(command.rows.first, command.rows.end(), command.first_live_row);
            load_rows(program_, format_.input, input_.bytes(), buffer(program_.input),
                      static_cast<int>(command.rows.first),
                      planned(command.rows.count * program_.unshuffle, plan_->max_input_rows()) /
                          program_.unshuffle,
                      kernels_.threads);
            break;
        case CommandKind::run:
            run_op(command);
            break;
        case CommandKind::output:
            store(command, step);
            break;
        case CommandKind::halo:
            copy_halo_rows(command);
            break;
    }
}

RowBand CpuSession::band_of(const Op& op, const Command& command) const {
    RowBand band;
    band.input = &buffer(op.input);
    band.output = &buffer(op.output);
    band.duplicate_output = op.duplicate_output ? &buffer(*op.duplicate_output) : nullptr;
    for (const Skip& skip : op.skips) band.skips.push_back(&buffer(skip.from));
    band.first = static_cast<int>(command.rows.first);
    band.count = planned(command.rows.count, plan_->max_run_rows(command.index));
    return band;
}

// Checks that all rows that the op reads are in its line buffers.
void CpuSession::expect_inputs(const Op& op, const RowRange& rows) const {
    const auto expect = [&](const ChannelSlice& slice, const RowDependency& reads) {
        buffer(slice).expect(reads.first_row(rows.first), reads.rows_end(rows.end()));
    };
    expect(op.input, row_dependency(op));
    for (const Skip& skip : op.skips) expect(skip.from, row_dependency(skip));
}

void CpuSession::run_op(const Command& command) {
    const Op& op = program_.ops[idx(command.index)];
    const RowRange& rows = command.rows;
    buffer(op.output).reach(rows.first, rows.end(), command.first_live_row);
    if (op.duplicate_output)
        buffer(*op.duplicate_output)
            .reach(rows.first, rows.end(), command.duplicate_first_live_row);
    expect_inputs(op, rows);
    const RowBand band = band_of(op, command);
    switch (op.kind) {
        case OpKind::convolution:
        case OpKind::depthwise:
            kernels_.convolutions[idx(op.convolution)]->run(band, scratch_);
            break;
        case OpKind::layer_norm:
            layer_norm(op, kernels_.norms[idx(op.convolution)], band, kernels_.threads);
            break;
        case OpKind::pixel_shuffle:
        case OpKind::pixel_unshuffle:
            pixel_shuffle(op, band, kernels_.threads);
            break;
        case OpKind::resize:
            resize(op, band, kernels_.threads);
            break;
    }
}

void CpuSession::store(const Command& command, const Step& step) {
    const LineBuffer& result = buffer(program_.output);
    const std::size_t row = static_cast<std::size_t>(result.layout().width) *
                            static_cast<std::size_t>(program_.output.channels) *
                            sample_size(format_.output);
    std::byte* to =
        output_.bytes() + row * static_cast<std::size_t>(command.rows.first - step.output.first);
    output_rows_ = planned(command.rows.end() - step.output.first, plan_->max_output_rows());
    result.expect(command.rows.first, command.rows.end());
    not_finite_ += store_rows(program_, format_, result, static_cast<int>(command.rows.first),
                              static_cast<int>(command.rows.count), to, kernels_.threads);
}

void CpuSession::copy_halo_rows(const Command& command) {
    for (const HaloCopy& rows : command.saves) move_rows(rows, true);
    for (const AcquiredBuffer& acquired : command.acquired) {
        buffers_[idx(acquired.tensor)].acquire(acquired.first_live_row);
    }
    for (const HaloCopy& rows : command.loads) move_rows(rows, false);
}

// A halo buffer holds its rows group after group.
void CpuSession::move_rows(const HaloCopy& rows, bool save) {
    const auto index = static_cast<std::size_t>(rows.tensor);
    const auto part = static_cast<std::size_t>(rows.slice);
    const HaloSlice& slice = plan_->rings()[index].halo[part];
    const RowLayout& layout = buffers_[index].layout();
    const int groups = halo_groups(slice, layout);
    const std::ptrdiff_t count = planned(rows.rows.count, slice.rows) * layout.row_stride();
    if (save) {
        buffers_[index].expect(rows.rows.first, rows.rows.end());
    } else {
        buffers_[index].reach(rows.rows.first, rows.rows.end(), rows.rows.first);
    }
    float* saved = halo_rows_[index][part].floats();
    ThreadPool::shared().run(groups, kernels_.threads, [&](int g, int) {
        float* there = saved + g * count;
        float* here = buffers_[index].row(slice.channel + g * kGroup, rows.rows.first) - kGroup;
        std::memcpy(save ? there : here, save ? here : there,
                    static_cast<std::size_t>(count) * sizeof(float));
    });
}

}  // namespace realesrgan::cpu
