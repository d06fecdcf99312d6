#pragma once

#include <gpu.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <typeindex>
#include <vector>

#include "vulkan/instance/instance.hpp"

namespace realesrgan::vulkan {

class PipelineRegistry;

// transfer: copies what shaders have computed, while the compute queue goes on.
enum class QueueKind { compute, transfer };

// A Vulkan device of the row stream, shared by all Upscalers on it.
class Context {
  public:
    // Throws DeviceError when there is no such device, or it cannot be opened or lacks what we
    // need. After a loss the next call opens the device again; existing Upscalers keep the lost
    // one.
    static std::shared_ptr<Context> open(int device_index);

    // `pipelines`: the device's.
    Context(const ncnn::VulkanDevice& device, std::shared_ptr<PipelineRegistry> pipelines);
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context();

    const ncnn::VulkanDevice& ncnn_device() const { return *device_; }
    VkDevice handle() const { return device_->vkdevice(); }
    // The device's, or lower ones (emulated_limits.hpp).
    const VkPhysicalDeviceLimits& limits() const { return limits_; }
    // Of pipelines without matrices.
    std::uint32_t subgroup_size() const;
    int index() const { return device_->info.device_index(); }
    std::string name() const;
    // Whether the driver computes on the CPU.
    bool is_software() const;
    PipelineRegistry& pipelines() { return *pipelines_; }

    // The device's one object of type T, made on first use: for parts above this folder whose state
    // belongs to a device.
    template <typename T>
    T& shared() {
        const std::lock_guard<std::mutex> lock(shared_mutex_);
        std::shared_ptr<void>& object = shared_[std::type_index(typeid(T))];
        if (!object) object = std::make_shared<T>();
        return *static_cast<T*>(object.get());
    }

    // The largest range one binding can have: the cap on each ring and staging buffer.
    std::uint64_t max_buffer_bytes() const;

    // Workgroups that a dispatch may have along an axis (0 to 2): 65535 at least.
    int most_groups(int axis) const;

    // Whether the device has memory of its own and a queue family that does nothing but copy.
    bool has_transfer_queue() const;
    // Without such a family, the compute queue's copies.
    std::uint32_t queue_family(QueueKind kind) const;

    // Bits of a timestamp of these queues that count; 0: there are no timestamps.
    std::uint32_t timestamp_bits(QueueKind kind) const;

    // Bytes this process can still take from the heap that device-local buffers really come from.
    std::uint64_t free_bytes() const;

    // Turns a VkResult into the errors of errors.hpp; `doing` completes "device X was lost while
    // ...".
    void check(VkResult result, const char* doing) const;

    // Called if a submission does not finish: objects that it may use are never destroyed, not even
    // at exit, and the next open() opens the device again.
    void abandon() noexcept;
    bool abandoned() const { return abandoned_; }

  private:
    std::vector<VkQueueFamilyProperties> queue_families() const;

    const ncnn::VulkanDevice* device_;
    VkPhysicalDeviceLimits limits_;
    std::uint32_t transfer_family_;
    std::shared_ptr<PipelineRegistry> pipelines_;
    std::atomic<bool> abandoned_{false};
    std::mutex shared_mutex_;
    std::map<std::type_index, std::shared_ptr<void>> shared_;  // destroyed before the pipelines
};

// Exclusive use of a queue. ncnn returns any free one of the family, so consecutive leases may get
// different queues, which are not ordered with each other. A thread holds one at a time: both kinds
// may be the device's one queue.
class QueueLease {
  public:
    explicit QueueLease(const Context& context, QueueKind kind = QueueKind::compute);
    QueueLease(const QueueLease&) = delete;
    QueueLease& operator=(const QueueLease&) = delete;
    ~QueueLease();

    VkQueue handle() const { return queue_; }

  private:
    const Context* context_;
    std::uint32_t family_;
    VkQueue queue_;
};

}  // namespace realesrgan::vulkan
