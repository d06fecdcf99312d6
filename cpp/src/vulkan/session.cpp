#include "vulkan/session.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "base/fault_injection.hpp"
#include "base/host_clock.hpp"
#include "base/integers.hpp"
#include "image/image_view.hpp"
#include "plan/convolution_pairs.hpp"

namespace realesrgan::vulkan {

namespace {

constexpr int kMostAcross = 32768;  // workgroups of one row of store_output.comp's dispatch

// The push constants of load_input.comp and store_output.comp.
struct LoadInputPush {
    int width, rows, dst_row, dst_rows, x0, y0;
};
struct StoreOutputPush {
    int width, rows, src_row, src_rows, stride, first;
};

// Rounded up to whole words, because shaders write whole words.
std::uint64_t staging_bytes(std::uint64_t bytes) {
    return kResultHeaderBytes + round_up(bytes, std::uint64_t{16});
}

}  // namespace

VulkanSession::VulkanSession(const DeviceNetwork& network,
                             std::shared_ptr<const ExecutionPlan> plan)
    : network_(&network), plan_(std::move(plan)), format_(plan_->config().format) {
    make_rings();
    make_operations();
    make_flights();
    // Padding channels are never written but are read with zero weights: uninitialized memory could
    // hold NaN, and 0 * NaN is NaN.
    CommandBuffer commands(network.context);
    commands.begin();
    for (const auto& buffer : buffers_) commands.fill_zero(*buffer);
    commands.submit(QueueLease(*network.context));
    commands.wait();
}

VulkanSession::~VulkanSession() = default;  // the flights first: they wait for what still runs

bool VulkanSession::serves(const DeviceNetwork& network, const ExecutionPlan& plan) const {
    return serves(network) && plan_->same_as(plan);
}

// Buffers still hold finite rows of the previous run, which are overwritten before they are read.
void VulkanSession::begin_run() {
    not_finite_ = 0;
    dispatches_ = 0;
    time_steps(false);
}

void VulkanSession::time_steps(bool timed) {
    const GpuActivityGuard use;
    for (const auto& flight : flights_) {
        flight->commands.time_dispatches(timed);
        if (flight->copy) flight->copy->commands.time_dispatches(timed);
    }
    timed_ = timed;
    clock_ = DeviceClock{};
    copy_clock_ = DeviceClock{};
    times_ = StepTimes{};
}

std::unique_ptr<Buffer> VulkanSession::allocate(BufferKind kind, std::uint64_t bytes) {
    auto buffer = std::make_unique<Buffer>(network_->context, kind, bytes);
    allocated_ += buffer->allocated_bytes();
    return buffer;
}

RingBuffer VulkanSession::ring_of(int index) const {
    const auto i = static_cast<std::size_t>(index);
    RingBuffer ring;
    ring.width = plan_->tensor_width(index);
    ring.height = plan_->tensor_height(index);
    ring.channels = round_up(plan_->program().tensors[i].channels, kChannelAlignment);
    ring.rows = plan_->rings()[i].rows;
    ring.full_precision = plan_->full_precision(index);
    ring.binding_bytes = plan_->binding_bytes(index);
    ring.alignment = network_->context->limits().minStorageBufferOffsetAlignment;
    return ring;
}

void VulkanSession::make_rings() {
    std::vector<const Buffer*> shared_buffers(plan_->shared_buffers().size(), nullptr);
    for (std::size_t i = 0; i < plan_->rings().size(); i++) {
        RingBuffer ring = ring_of(static_cast<int>(i));
        const int shared_buffer = plan_->rings()[i].shared_buffer;
        const Buffer*& buffer =
            shared_buffer >= 0 ? shared_buffers[idx(shared_buffer)] : ring.buffer;
        if (buffer == nullptr && ring.rows > 0) {
            buffers_.push_back(allocate(BufferKind::device, ring_bytes(ring, network_->storage)));
            buffer = buffers_.back().get();
        }
        ring.buffer = buffer;
        rings_.push_back(ring);
    }
    halo_rows_ = std::make_unique<HaloRows>(
        *plan_, network_->storage, rings_,
        [this](std::uint64_t bytes) { return allocate(BufferKind::device, bytes); });
}

void VulkanSession::make_operations() {
    const Program& program = plan_->program();
    const std::vector<LayerWeights>& layers = network_->layers;
    for (int i = 0; i < ssize(program.ops); i++) {
        if (is_second(plan_->pairs(), i)) continue;
        const Op& op = program.ops[idx(i)];
        const KernelConfig& choice = network_->kernels.of(op.output.channels);
        const int most_rows = plan_->max_run_rows(i);
        if (is_first(plan_->pairs(), i)) {
            const Op& second = program.ops[idx(i + 1)];
            pairs_.try_emplace(i, *network_->context, choice, op, second,
                               rings_[idx(op.output.tensor)], layers[idx(op.convolution)],
                               layers[idx(second.convolution)], most_rows);
            continue;
        }
        const LayerWeights* layer = op.convolution < 0 ? nullptr : &layers[idx(op.convolution)];
        const bool last = i + 1 == ssize(program.ops);
        operations_.try_emplace(
            i, *network_->context, network_->storage, choice, op, rings_, layer, most_rows,
            last && plan_->fused_store() ? std::optional<ResultSamples>(result_samples(*plan_))
                                         : std::nullopt);
    }
    make_ends();
    std::vector<Pipeline*> wanted;
    if (load_planes_) {
        wanted = {&load_planes_->pipeline(), &store_planes_->pipeline()};
    } else {
        wanted = {load_input_};
        if (store_output_ != nullptr) wanted.push_back(store_output_);
    }
    for (const auto& [op, operation] : operations_) wanted.push_back(&operation.pipeline());
    for (const auto& [op, pair] : pairs_) wanted.push_back(&pair.pipeline());
    PipelineRegistry& pipelines = network_->context->pipelines();
    pipelines.compile(wanted, network_->threads);
    pipelines.save();
}

void VulkanSession::make_ends() {
    const Program& program = plan_->program();
    Context& context = *network_->context;
    const RingBuffer& result = rings_[idx(program.output.tensor)];
    if (format_.input_planes) {
        load_planes_.emplace(context, network_->storage, *format_.input_planes, program, rings_[0]);
        store_planes_.emplace(context, network_->storage, *format_.output_planes,
                              program.output.channel, result);
        return;
    }
    PipelineRegistry& pipelines = context.pipelines();
    Constants load_input = transform_constants(program.input_transform);
    load_input << static_cast<int>(sample_size(format_.input)) << program.picture_channels
               << program.unshuffle << rings_[0].channels << int{rings_[0].full_precision};
    load_input_ =
        &pipelines.get_or_create({"load_input", network_->storage, load_input, {kInvocations}, {}});
    if (plan_->fused_store()) return;
    Constants store_output;
    store_output << program.output.channel << result.channels << int{result.full_precision};
    ShaderVariant variant;
    write_samples(variant, result_samples(*plan_));
    store_output_ = &pipelines.get_or_create(
        {"store_output", network_->storage, store_output, {kInvocations}, variant});
}

void VulkanSession::make_flights() {
    const std::uint64_t in = staging_bytes(plan_->input_bytes());
    const std::uint64_t out = staging_bytes(plan_->output_bytes());
    if (load_planes_) planes_ = allocate(BufferKind::device, in);
    for (int i = 0; i < kBandsInFlight; i++) {
        flights_.push_back(std::make_unique<Flight>(network_->context));
        flights_.back()->upload = allocate(BufferKind::upload, in);
        flights_.back()->download = allocate(BufferKind::download, out);
        if (!plan_->copies_results()) continue;
        flights_.back()->copy =
            std::make_unique<ResultCopy>(network_->context, allocate(BufferKind::result, out));
    }
}

MutableImageView VulkanSession::input_rows(int count) {
    Flight& flight = *flights_[next_];
    return packed_view(flight.upload->data(), format_.input, plan_->config().width, count,
                       plan_->program().picture_channels);
}

std::byte* VulkanSession::input_planes() {
    return flights_[next_]->upload->data();
}

void VulkanSession::run(const Step& step) {
    const GpuActivityGuard use;
    if (running_.size() == flights_.size()) {
        throw std::logic_error("every flight is running: take output_rows() first");
    }
    Flight& flight = *flights_[next_];
    flight.upload->flush();
    std::memset(flight.download->data(), 0, kResultHeaderBytes);
    flight.download->flush();
    flight.commands.begin();
    record(flight, step);
    if (timed_) flight.submitted = host_seconds();
    submit(flight);
    if (flight.copy && flight.copy->bytes > 0) submit_copy(flight);
    dispatches_ += static_cast<std::uint64_t>(flight.commands.recorded().dispatches);
    running_.push_back(next_);
    next_ = (next_ + 1) % flights_.size();
}

Recorded VulkanSession::count(const Step& step) {
    const GpuActivityGuard use;
    Flight& flight = *flights_[next_];
    flight.commands.begin();  // the next one begins anew, too
    record(flight, step);
    return flight.commands.recorded();
}

void VulkanSession::submit(Flight& flight) {
    const QueueLease queue(*network_->context);
    if (queue.handle() != queue_) {
        // A different queue than last time is not ordered after the previous submissions: wait for
        // them on the host.
        for (const std::size_t running : running_) flights_[running]->commands.wait();
        queue_ = queue.handle();
    }
    const bool copied = flight.copy && flight.copy->bytes > 0;
    flight.commands.submit(queue, {nullptr, copied ? &flight.copy->computed : nullptr});
}

void VulkanSession::submit_copy(Flight& flight) {
    ResultCopy& copy = *flight.copy;
    copy.commands.begin();
    copy.commands.copy(*copy.result, *flight.download, {{0, 0, copy.bytes}});
    copy.commands.submit(QueueLease(*network_->context, QueueKind::transfer),
                         {&copy.computed, nullptr});
}

// Before anything else is recorded, so that no barrier is needed for it.
void VulkanSession::prepare_copy(Flight& flight, RowRange rows) {
    ResultCopy& copy = *flight.copy;
    copy.bytes = rows.count > 0 ? staging_bytes(plan_->output_bytes(rows)) : 0;
    if (copy.bytes == 0) return;
    flight.commands.fill_zero(*copy.result, kResultHeaderBytes);
    flight.commands.reset_times(copy.commands);
}

void VulkanSession::record(Flight& flight, const Step& step) {
    flight.output_rows = 0;
    flight.command.clear();
    if (flight.copy) prepare_copy(flight, step.output);
    for (std::size_t i = 0; i < step.commands.size(); i++) {
        const Command& command = step.commands[i];
        switch (command.kind) {
            case CommandKind::input:
                record_input(flight, command.rows);
                break;
            case CommandKind::run:
                record_run(flight, step, command);
                break;
            case CommandKind::output:
                record_output(flight, command.rows);
                break;
            case CommandKind::halo:
                halo_rows_->record(flight.commands, command);
                break;
        }
        flight.command.resize(flight.commands.timed(), i);
    }
}

void VulkanSession::record_run(Flight& flight, const Step& step, const Command& command) {
    const Weights& weights = *network_->weights;
    if (command.pair) {
        pairs_.at(command.index).record(flight.commands, weights, command.rows);
        return;
    }
    ResultRows result;
    if (command.store) {
        flight.output_rows = static_cast<int>(step.output.count);
        result = {&flight.result(), step.output.first};
    }
    operations_.at(command.index).record(flight.commands, weights, command.rows, result);
}

void VulkanSession::record_input(Flight& flight, RowRange rows) {
    const RingBuffer& ring = rings_[0];
    const Program& program = plan_->program();
    if (load_planes_) {
        const RowRange picture_rows{rows.first * program.unshuffle, rows.count * program.unshuffle};
        const std::uint64_t staged = window_to_load(*format_.input_planes, picture_rows).bytes;
        flight.commands.copy(*flight.upload, *planes_, {{0, 0, staged}});
        load_planes_->record(flight.commands, *planes_, rows);
        return;
    }
    const int count = static_cast<int>(rows.count);
    const int channels = program.picture_channels * program.unshuffle * program.unshuffle;
    const int local = load_input_->local_size().x;
    const Context& context = *network_->context;
    const int columns = most_items(context.most_groups(0), local);
    // Kernels read and write whole groups of four channels.
    std::uint64_t bytes = ring_bytes(ring, count, round_up(channels, 4), network_->storage);
    LoadInputPush push = {ring.width, count, ring.slot(rows.first), ring.rows, 0, 0};
    for (; push.y0 < count; push.y0 += context.most_groups(1)) {
        for (push.x0 = 0; push.x0 < ring.width; push.x0 += columns) {
            flight.commands.dispatch(
                *load_input_, {{flight.upload.get(), 0, 0, false}, {ring.buffer, 0, 0, true}},
                &push, sizeof(push),
                {ceil_div(std::min(ring.width - push.x0, columns), local),
                 std::min(count - push.y0, context.most_groups(1)), ceil_div(channels, 4)},
                std::exchange(bytes, 0));
        }
    }
}

void VulkanSession::record_output(Flight& flight, RowRange rows) {
    if (flight.output_rows != 0) throw std::logic_error("more than one output command in a step");
    const int count = static_cast<int>(rows.count);
    flight.output_rows = count;
    if (store_planes_) {
        store_planes_->record(flight.commands, flight.result(), rows);
        return;
    }
    const ChannelSlice& output = plan_->program().output;
    const RingBuffer& ring = rings_[idx(output.tensor)];
    const int words = count * static_cast<int>(plan_->output_row_bytes() / kResultRowMultiple);
    const int local = store_output_->local_size().x;
    const Context& context = *network_->context;
    const int across = std::min({ceil_div(words, local), context.most_groups(0), kMostAcross});
    const int stride = across * local;
    const int most = most_items(context.most_groups(1), stride);
    std::uint64_t bytes = ring_bytes(ring, count, round_up(output.channels, 4), network_->storage);
    StoreOutputPush push = {ring.width, count, ring.slot(rows.first), ring.rows, stride, 0};
    for (; push.first < words; push.first += most) {
        flight.commands.dispatch(
            *store_output_, {{ring.buffer, 0, 0, false}, {&flight.result(), 0, 0, true}}, &push,
            sizeof(push), {across, ceil_div(std::min(words - push.first, most), stride), 1},
            std::exchange(bytes, 0));
    }
}

std::optional<TimedCopy> VulkanSession::time_of_copy(const Flight& flight) {
    if (!flight.copy || flight.copy->bytes == 0) return std::nullopt;
    TimedCopy copy{flight.copy->bytes, std::nullopt};
    if (flight.copy->commands.is_timed()) {
        const TimedDispatch time = flight.copy->commands.times(copy_clock_).front();
        copy.seconds = time.end - time.begin;
    }
    return copy;
}

const VulkanSession::Flight& VulkanSession::take_oldest() {
    const GpuActivityGuard use;
    Flight& flight = *flights_[running_.front()];
    running_.pop_front();
    if (timed_) times_ = {flight.submitted, 0.0, false, {}, {}};
    flight.commands.wait();
    if (flight.copy) flight.copy->commands.wait();
    if (timed_) {
        times_.wait_end = host_seconds();
        times_.copy = time_of_copy(flight);
        const std::vector<TimedDispatch> found = flight.commands.times(clock_);
        for (std::size_t i = 0; i < found.size(); i++) {
            times_.commands.push_back(
                {flight.command[i], found[i].kernel, found[i].begin, found[i].end});
        }
    }
    flight.download->invalidate();
    std::uint32_t bad = 0;
    std::memcpy(&bad, flight.download->data(), sizeof(bad));
    not_finite_ += bad + (faults().result.due() ? 1 : 0);
    return flight;
}

const std::byte* VulkanSession::output_planes() {
    if (running_.empty()) throw std::logic_error("no step is running");
    return take_oldest().download->data() + kResultHeaderBytes;
}

ImageView VulkanSession::output_rows() {
    const Program& program = plan_->program();
    const int width = plan_->tensor_width(program.output.tensor);
    if (running_.empty())
        return packed_view<const std::byte>(nullptr, format_.output, width, 0,
                                            program.output.channels);
    const Flight& flight = take_oldest();
    ImageView rows =
        packed_view<const std::byte>(flight.download->data() + kResultHeaderBytes, format_.output,
                                     width, flight.output_rows, program.output.channels);
    rows.row_stride = static_cast<std::ptrdiff_t>(plan_->output_row_bytes());
    return rows;
}

}  // namespace realesrgan::vulkan
