#include "vulkan/device/context.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/emulated_limits.hpp"
#include "base/fault_injection.hpp"
#include "base/memory_budget.hpp"
#include "realesrgan/errors.hpp"
#include "vulkan/device/buffer.hpp"
#include "vulkan/device/pipeline_registry.hpp"

namespace realesrgan::vulkan {

namespace {

constexpr std::uint32_t kStorageBuffers = 7;  // bindings of a convolution

VkPhysicalDeviceLimits limits_of(const ncnn::GpuInfo& info) {
    const EmulatedLimits& emulated = emulated_limits();
    VkPhysicalDeviceLimits limits = info.physicalDeviceProperties().limits;
    for (std::uint32_t& count : limits.maxComputeWorkGroupCount) {
        count = lowered(count, emulated.groups);
    }
    limits.maxStorageBufferRange = lowered(limits.maxStorageBufferRange, emulated.binding);
    limits.maxComputeSharedMemorySize = lowered(limits.maxComputeSharedMemorySize, emulated.shared);
    limits.maxComputeWorkGroupInvocations =
        lowered(limits.maxComputeWorkGroupInvocations, emulated.invocations);
    limits.minStorageBufferOffsetAlignment =
        std::max<VkDeviceSize>(limits.minStorageBufferOffsetAlignment, emulated.alignment);
    return limits;
}

bool has_what_we_need(const ncnn::GpuInfo& info) {
    const VkPhysicalDeviceLimits& limits = info.physicalDeviceProperties().limits;
    return info.support_VK_KHR_push_descriptor() != 0 &&
           info.support_VK_KHR_descriptor_update_template() != 0 &&
           limits.maxPerStageDescriptorStorageBuffers >= kStorageBuffers;
}

// Other families may copy, too, but by the units that compute.
bool copies_only(const VkQueueFamilyProperties& family) {
    return (family.queueFlags & (VK_QUEUE_COMPUTE_BIT | VK_QUEUE_GRAPHICS_BIT)) == 0;
}

}  // namespace

std::shared_ptr<Context> Context::open(int device_index) {
    // The pipelines outlive the contexts.
    struct Known {
        std::weak_ptr<Context> context;
        std::shared_ptr<PipelineRegistry> pipelines;
    };
    struct Registry {
        std::mutex mutex;
        std::map<const ncnn::VulkanDevice*, Known> known;
    };
    // Never destroyed: the exit handler may destroy the devices before static objects.
    static auto* const all = new Registry;
    const ncnn::VulkanDevice& device = gpu_device(device_index);
    const std::lock_guard<std::mutex> lock(all->mutex);
    Known& known = all->known[&device];
    if (auto context = known.context.lock()) return context;
    if (!known.pipelines) known.pipelines = std::make_shared<PipelineRegistry>(device);
    auto context = std::make_shared<Context>(device, known.pipelines);
    known.context = context;
    return context;
}

Context::Context(const ncnn::VulkanDevice& device, std::shared_ptr<PipelineRegistry> pipelines)
    : device_(&device),
      limits_(limits_of(device.info)),
      transfer_family_(device.info.compute_queue_family_index()),
      pipelines_(std::move(pipelines)) {
    if (!has_what_we_need(device_->info)) {
        throw DeviceError("Vulkan device " + name() +
                          " has no push descriptors or too few storage buffers; update its driver, "
                          "or use another device");
    }
    const std::uint32_t transfer = device_->info.transfer_queue_family_index();
    if (copies_only(queue_families().at(transfer))) transfer_family_ = transfer;
}

Context::~Context() = default;

std::uint32_t Context::subgroup_size() const {
    const std::uint64_t emulated = emulated_limits().subgroup;
    return emulated > 0 ? static_cast<std::uint32_t>(emulated) : device_->info.subgroup_size();
}

std::string Context::name() const {
    return device_->info.device_name();
}

bool Context::is_software() const {
    return device_->info.physicalDeviceProperties().deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
}

std::uint64_t Context::max_buffer_bytes() const {
    return limits().maxStorageBufferRange;
}

int Context::most_groups(int axis) const {
    const std::uint32_t most = std::min<std::uint32_t>(limits().maxComputeWorkGroupCount[axis],
                                                       std::numeric_limits<int>::max());
    const int lowered = faults().most_groups;
    return lowered > 0 ? lowered : static_cast<int>(most);
}

std::vector<VkQueueFamilyProperties> Context::queue_families() const {
    const VkPhysicalDevice device = device_->info.physicalDevice();
    std::uint32_t count = 0;
    ncnn::vkGetPhysicalDeviceQueueFamilyProperties(device, &count, nullptr);
    std::vector<VkQueueFamilyProperties> families(count);
    ncnn::vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families.data());
    return families;
}

bool Context::has_transfer_queue() const {
    if (shares_host_memory(*device_)) return false;
    if (emulated_limits().transfer_queue) return *emulated_limits().transfer_queue > 0;
    return queue_family(QueueKind::transfer) != queue_family(QueueKind::compute);
}

std::uint32_t Context::queue_family(QueueKind kind) const {
    return kind == QueueKind::compute ? device_->info.compute_queue_family_index()
                                      : transfer_family_;
}

std::uint32_t Context::timestamp_bits(QueueKind kind) const {
    if (faults().no_timestamps) return 0;
    if (kind == QueueKind::transfer && faults().no_copy_timestamps) return 0;
    if (emulated_limits().timestamp_bits) {
        return static_cast<std::uint32_t>(*emulated_limits().timestamp_bits);
    }
    return queue_families().at(queue_family(kind)).timestampValidBits;
}

void Context::abandon() noexcept {
    abandoned_ = true;
    abandon_gpu_device(*device_);
}

std::uint64_t Context::free_bytes() const {
    const VkPhysicalDeviceMemoryProperties& memory = device_->info.physicalDeviceMemoryProperties();
    const std::uint32_t type = memory_type(*this, BufferKind::device, ~std::uint32_t{0});
    return free_device_memory(*device_, memory.memoryTypes[type].heapIndex);
}

void Context::check(VkResult result, const char* doing) const {
    if (result == VK_SUCCESS) return;
    const std::string where = "Vulkan device " + name();
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY) {
        throw OutOfMemoryError(where + " ran out of memory while " + doing +
                               "; set a lower memory limit or close other programs that use it");
    }
    if (result == VK_ERROR_DEVICE_LOST) {
        retire_gpu_device(*device_);
        throw DeviceError(where + " was lost while " + doing +
                          "; make a new Upscaler, and if it happens again update the driver");
    }
    throw DeviceError(where + " failed while " + doing + " (VkResult " + std::to_string(result) +
                      "); update the driver or use another device");
}

QueueLease::QueueLease(const Context& context, QueueKind kind)
    : context_(&context),
      family_(context.queue_family(kind)),
      queue_(context.ncnn_device().acquire_queue(family_)) {}

QueueLease::~QueueLease() {
    context_->ncnn_device().reclaim_queue(family_, queue_);
}

}  // namespace realesrgan::vulkan
