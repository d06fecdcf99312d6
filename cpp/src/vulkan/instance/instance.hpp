#pragma once

namespace ncnn {
class VulkanDevice;
}

namespace realesrgan {

// How many Vulkan devices there are; 0 without a loader, driver or device. The instance is created
// on the first call of any thread and taken down when the process exits. A forked child of a
// process that has called this is told the number found there.
int gpu_count();

// Whether Vulkan was initialized by a process that this one was forked from. Then every use of a
// device throws DeviceError, and device objects are not touched: a fork does not copy the threads
// of drivers.
bool gpu_of_parent();

// The process's one object for a device, shared by all networks on it. Throws DeviceError for an
// index that does not exist and for a device that cannot be opened.
const ncnn::VulkanDevice& gpu_device(int index);

// Called after a device was lost: the next gpu_device(index) opens it again. The lost object exists
// until the process exits, because networks still refer to it.
void retire_gpu_device(const ncnn::VulkanDevice& device);

// Called after a submission did not finish: as after a loss, and no device object is destroyed when
// the process exits, because that would block.
void abandon_gpu_device(const ncnn::VulkanDevice& device) noexcept;

// Held while a thread uses Vulkan. Throws DeviceError in a forked child. After a thread has called
// quiesce_gpu, other threads block here for ever.
class GpuActivityGuard {
  public:
    GpuActivityGuard();
    ~GpuActivityGuard();
    GpuActivityGuard(const GpuActivityGuard&) = delete;
    GpuActivityGuard& operator=(const GpuActivityGuard&) = delete;
};

// An object that must be destroyed before its device. Objects that still exist when the process
// exits (those of threads that quiesce_gpu has blocked) are released then. A derived class is
// final; its constructor ends with register_object(), its destructor calls unregister_object().
class GpuOwned {
  public:
    GpuOwned(const GpuOwned&) = delete;
    GpuOwned& operator=(const GpuOwned&) = delete;

    // Destroys the device's handles; idempotent.
    virtual void release() noexcept = 0;

  protected:
    GpuOwned() = default;
    ~GpuOwned() = default;

    void register_object();  // while a GpuActivityGuard is held
    // Releases the object, unless the exit handler has or is about to, for which it waits. Does
    // nothing in a forked child.
    void unregister_object() noexcept;
};

// Waits until no other thread uses Vulkan and blocks those that try to, so that drivers are not
// unloaded while in use. Called at exit; Python calls it earlier, when the interpreter finalizes,
// because parts of drivers (LLVM) are already destroyed when exit handlers run.
void quiesce_gpu();

}  // namespace realesrgan
