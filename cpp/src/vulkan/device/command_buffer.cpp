#include "vulkan/device/command_buffer.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/fault_injection.hpp"
#include "base/interruption.hpp"

namespace realesrgan::vulkan {

namespace {

// What a queue of a kind has.
struct QueueAccess {
    VkPipelineStageFlags stages;
    VkAccessFlags writes;
    VkAccessFlags reads;
};

constexpr QueueAccess kComputeAccess = {
    VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
    VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
    VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT};
constexpr QueueAccess kTransferAccess = {VK_PIPELINE_STAGE_TRANSFER_BIT,
                                         VK_ACCESS_TRANSFER_WRITE_BIT, VK_ACCESS_TRANSFER_READ_BIT};

const QueueAccess& access_of(QueueKind kind) {
    return kind == QueueKind::compute ? kComputeAccess : kTransferAccess;
}

// A submission is polled every tenth of a second. After an error it is abandoned after half a
// minute: a row band takes half a second, except on software drivers.
constexpr std::uint64_t kWaitNanoseconds = 100'000'000;
constexpr int kMostWaits = 300;

// The result of a creating call, or the injected fault.
template <typename Create>
VkResult created(const Create& create) {
    return faults().creation.due() ? VK_ERROR_OUT_OF_HOST_MEMORY : create();
}

bool contains(const std::vector<const Buffer*>& buffers, const Buffer* buffer) {
    return std::find(buffers.begin(), buffers.end(), buffer) != buffers.end();
}

}  // namespace

CommandBuffer::CommandBuffer(std::shared_ptr<Context> context, QueueKind kind)
    : context_(std::move(context)), kind_(kind) {
    try {
        make();
        register_object();
    } catch (...) {
        release();
        throw;
    }
}

void CommandBuffer::make() {
    VkCommandPoolCreateInfo pool = {};
    pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    pool.queueFamilyIndex = context_->queue_family(kind_);
    context_->check(
        created(
            [&] { return ncnn::vkCreateCommandPool(context_->handle(), &pool, nullptr, &pool_); }),
        "making a command pool");
    VkCommandBufferAllocateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    info.commandPool = pool_;
    info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
    info.commandBufferCount = 1;
    context_->check(
        created(
            [&] { return ncnn::vkAllocateCommandBuffers(context_->handle(), &info, &commands_); }),
        "making a command buffer");
    VkFenceCreateInfo fence = {};
    fence.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
    context_->check(
        created([&] { return ncnn::vkCreateFence(context_->handle(), &fence, nullptr, &fence_); }),
        "making a fence");
}

CommandBuffer::~CommandBuffer() {
    unregister_object();
}

void CommandBuffer::release() noexcept {
    // An exception can leave a submission running; its buffers must outlive it.
    if (in_flight_ && !context_->abandoned() && !is_over()) context_->abandon();
    if (context_->abandoned()) return;
    if (fence_) ncnn::vkDestroyFence(context_->handle(), fence_, nullptr);
    if (pool_) ncnn::vkDestroyCommandPool(context_->handle(), pool_, nullptr);
    in_flight_ = false;
    fence_ = 0;
    pool_ = 0;
}

void CommandBuffer::begin() {
    wait();
    context_->check(ncnn::vkResetCommandPool(context_->handle(), pool_, 0), "resetting commands");
    VkCommandBufferBeginInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    info.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    context_->check(ncnn::vkBeginCommandBuffer(commands_, &info), "recording commands");
    recorded_ = Recorded{};
    kernels_.clear();
    if (timestamps_) timestamps_->begin();
    barrier();  // after the submissions before this one
}

// Of all writes before.
void CommandBuffer::memory_barrier(VkPipelineStageFlags to, VkAccessFlags access) {
    VkMemoryBarrier barrier = {};
    barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    barrier.srcAccessMask = access_of(kind_).writes;
    barrier.dstAccessMask = access;
    ncnn::vkCmdPipelineBarrier(commands_, access_of(kind_).stages, to, 0, 1, &barrier, 0, nullptr,
                               0, nullptr);
}

void CommandBuffer::barrier() {
    const QueueAccess& own = access_of(kind_);
    memory_barrier(own.stages, own.reads | own.writes);
    recorded_.barriers++;
    read_.clear();
    written_.clear();
}

// Adds a barrier only if one of these buffers has a hazard.
void CommandBuffer::order(const std::vector<Binding>& bindings) {
    const bool hazard = std::any_of(bindings.begin(), bindings.end(), [&](const Binding& binding) {
        return contains(written_, binding.buffer) ||
               (binding.written && contains(read_, binding.buffer));
    });
    if (hazard) barrier();
    for (const Binding& binding : bindings) {
        (binding.written ? written_ : read_).push_back(binding.buffer);
    }
}

void CommandBuffer::bind(const Pipeline& pipeline, const std::vector<Binding>& bindings) {
    std::vector<VkDescriptorBufferInfo> infos;
    infos.reserve(bindings.size());
    for (const Binding& binding : bindings) {
        const std::uint64_t bytes =
            binding.bytes != 0 ? binding.bytes : binding.buffer->bytes() - binding.offset;
        infos.push_back({binding.buffer->handle(), binding.offset, bytes});
    }
    context_->ncnn_device().vkCmdPushDescriptorSetWithTemplateKHR(
        commands_, pipeline.descriptors(), pipeline.layout(), 0, infos.data());
}

void CommandBuffer::dispatch(const Pipeline& pipeline, const std::vector<Binding>& bindings,
                             const void* constants, std::size_t constant_bytes, Groups groups,
                             std::uint64_t ring_bytes) {
    const auto& most = context_->limits().maxComputeWorkGroupCount;
    const std::uint32_t counts[] = {static_cast<std::uint32_t>(groups.x),
                                    static_cast<std::uint32_t>(groups.y),
                                    static_cast<std::uint32_t>(groups.z)};
    if (counts[0] > most[0] || counts[1] > most[1] || counts[2] > most[2])
        throw std::logic_error("a dispatch of more workgroups than the device takes");
    order(bindings);
    write_time();
    ncnn::vkCmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.handle());
    bind(pipeline, bindings);
    ncnn::vkCmdPushConstants(commands_, pipeline.layout(), VK_SHADER_STAGE_COMPUTE_BIT, 0,
                             static_cast<std::uint32_t>(constant_bytes), constants);
    ncnn::vkCmdDispatch(commands_, counts[0], counts[1], counts[2]);
    end_timed(pipeline.spec().shader);
    recorded_.dispatches++;
    recorded_.ring_bytes += ring_bytes;
}

void CommandBuffer::copy(const Buffer& from, const Buffer& to,
                         const std::vector<VkBufferCopy>& regions, std::uint64_t ring_bytes) {
    order({{&from, 0, 0, false}, {&to, 0, 0, true}});
    write_time();
    ncnn::vkCmdCopyBuffer(commands_, from.handle(), to.handle(),
                          static_cast<std::uint32_t>(regions.size()), regions.data());
    end_timed("copy");
    recorded_.copies++;
    recorded_.ring_bytes += ring_bytes;
}

void CommandBuffer::time_dispatches(bool timed) {
    wait();
    if (timed == (timestamps_ != nullptr)) return;
    const bool needed = kind_ == QueueKind::compute || context_->timestamp_bits(kind_) > 0;
    timestamps_ = timed && needed ? std::make_unique<Timestamps>(context_, kind_) : nullptr;
}

void CommandBuffer::reset_times(const CommandBuffer& copies) {
    if (copies.timestamps_) copies.timestamps_->reset_pool(commands_);
}

void CommandBuffer::write_time() {
    if (timestamps_) timestamps_->write(commands_);
}

void CommandBuffer::end_timed(const std::string& kernel) {
    if (!timestamps_) return;
    write_time();
    kernels_.push_back(kernel);
}

std::vector<TimedDispatch> CommandBuffer::times(DeviceClock& clock) const {
    std::vector<TimedDispatch> found;
    if (!timestamps_) return found;
    const std::vector<double> seconds = timestamps_->seconds(clock);
    for (std::size_t i = 0; i < kernels_.size(); i++) {
        found.push_back({kernels_[i], seconds.at(2 * i), seconds.at(2 * i + 1)});
    }
    return found;
}

void CommandBuffer::fill_zero(const Buffer& buffer, std::uint64_t bytes) {
    order({{&buffer, 0, 0, true}});
    ncnn::vkCmdFillBuffer(commands_, buffer.handle(), 0, bytes, 0);
}

void CommandBuffer::submit(const QueueLease& queue, const SubmitOrder& order) {
    memory_barrier(VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    context_->check(ncnn::vkEndCommandBuffer(commands_), "recording commands");
    VkSubmitInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    info.commandBufferCount = 1;
    info.pCommandBuffers = &commands_;
    const VkSemaphore after = order.after != nullptr ? order.after->handle() : 0;
    const VkSemaphore before = order.before != nullptr ? order.before->handle() : 0;
    const VkPipelineStageFlags all = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;  // timestamps wait, too
    if (after) {
        info.waitSemaphoreCount = 1;
        info.pWaitSemaphores = &after;
        info.pWaitDstStageMask = &all;
    }
    if (before) {
        info.signalSemaphoreCount = 1;
        info.pSignalSemaphores = &before;
    }
    const VkResult result = faults().submission.due()
                                ? VK_ERROR_DEVICE_LOST
                                : ncnn::vkQueueSubmit(queue.handle(), 1, &info, fence_);
    context_->check(result, "submitting work");
    in_flight_ = true;
}

// VK_TIMEOUT if the submission has not finished in time.
VkResult CommandBuffer::wait_a_while() const {
    if (faults().hang.due()) return VK_TIMEOUT;
    return ncnn::vkWaitForFences(context_->handle(), 1, &fence_, VK_TRUE, kWaitNanoseconds);
}

// Whether the submission has finished, or its device is lost; false after a timeout.
bool CommandBuffer::is_over() const noexcept {
    for (int i = 0; i < kMostWaits; i++) {
        const VkResult result = wait_a_while();
        if (result == VK_SUCCESS || result == VK_ERROR_DEVICE_LOST) return true;
    }
    return false;
}

void CommandBuffer::wait() {
    if (!in_flight_) return;
    VkResult result = wait_a_while();
    while (result == VK_TIMEOUT) {
        check_interruption();
        result = wait_a_while();
    }
    context_->check(faults().wait.due() ? VK_ERROR_DEVICE_LOST : result, "waiting for a band");
    in_flight_ = false;
    context_->check(ncnn::vkResetFences(context_->handle(), 1, &fence_), "resetting a fence");
}

}  // namespace realesrgan::vulkan
