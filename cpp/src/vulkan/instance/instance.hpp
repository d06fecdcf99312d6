#pragma once

namespace ncnn {
class VulkanDevice;
}

namespace realesrgan {

// How many Vulkan devices there are; 0 without a loader, driver or device. The instance is created
// on the first call of any thread and taken down when the process exits. A forked child of a
// process that has called this is told the number found there.
int gpu_count();

// Whether Vulkan was set up by a process that this one was forked from. Then every use of a device
// throws DeviceError, and what belongs to one is left alone: drivers have threads and state that a
// fork does not copy.
bool gpu_of_parent();

// The process's one object for a device, shared by all networks on it. Throws DeviceError for an
// index that does not exist and for a device that cannot be opened.
const ncnn::VulkanDevice& gpu_device(int index);

// After a device was lost: the next gpu_device(index) opens it anew. The lost object stays until
// the process exits, because networks still hold it.
void retire_gpu_device(const ncnn::VulkanDevice& device);

// After a device did not end what it was told to do: as after a loss, and nothing of any device is
// destroyed when the process exits, because that would wait for it.
void abandon_gpu_device(const ncnn::VulkanDevice& device) noexcept;

// Held while a thread uses Vulkan. Throws DeviceError in a forked child. Once a thread has called
// quiesce_gpu, all others stop here for good.
class GpuActivityGuard {
  public:
    GpuActivityGuard();
    ~GpuActivityGuard();
    GpuActivityGuard(const GpuActivityGuard&) = delete;
    GpuActivityGuard& operator=(const GpuActivityGuard&) = delete;
};

// Something that belongs to a device and must go before it does. What is left when the process
// exits (threads that quiesce_gpu stopped never return from where they hold it) is told to let go.
// The class that derives from this is final; its constructor ends with register_object(), its
// destructor calls unregister_object().
class GpuOwned {
  public:
    GpuOwned(const GpuOwned&) = delete;
    GpuOwned& operator=(const GpuOwned&) = delete;

    // Destroys what belongs to the device; a second call finds nothing left.
    virtual void release() noexcept = 0;

  protected:
    GpuOwned() = default;
    ~GpuOwned() = default;

    void register_object();  // while a GpuActivityGuard is held
    // Lets go, unless the exit already did; waits for it if it is about to. Nothing in a forked
    // child.
    void unregister_object() noexcept;
};

// Waits until no other thread uses Vulkan and keeps them from beginning again, so that no driver is
// pulled away under their feet. Called at the process' exit; better earlier, because parts of
// drivers (LLVM's) are gone when the exit handlers run: Python calls it when the interpreter begins
// to end.
void quiesce_gpu();

}  // namespace realesrgan
