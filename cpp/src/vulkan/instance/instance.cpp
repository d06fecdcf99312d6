#include "vulkan/instance/instance.hpp"

#include <gpu.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/forks.hpp"
#include "base/integers.hpp"
#include "realesrgan/errors.hpp"
#include "vulkan/instance/bundled_driver.hpp"

#if defined(__GLIBC__)
#include <pthread.h>
#include <unistd.h>
#endif

namespace realesrgan {
namespace {

constexpr int kNobody = -1;

// Never destroyed: threads may use it while static objects are destroyed.
struct Registry {
    std::atomic<int> owner{kNobody};  // the fork generation that has set Vulkan up
    std::atomic<bool> set_up{false};
    std::atomic<bool> abandoned{false};  // one of the devices
    std::mutex mutex;
    std::condition_variable changed;
    int users = 0;
    std::thread::id quiescer;   // the thread that ends the process, once it has begun to
    std::shared_mutex closing;  // held alone while the devices go; taken before the other one
    std::unordered_set<GpuOwned*> owned;
    std::once_flag created;
    int count = 0;
    std::vector<std::unique_ptr<ncnn::VulkanDevice>> devices;  // by index
    std::vector<std::unique_ptr<ncnn::VulkanDevice>> retired;
};

Registry& registry() {
    static Registry* const instance = new Registry;
    return *instance;
}

thread_local int use_depth = 0;

DeviceError of_parent() {
    return DeviceError(
        "Vulkan was set up by the process that this one was forked from, and cannot be used in "
        "both: start processes that use a GPU with multiprocessing.get_context(\"spawn\"), or fork "
        "before the first use of a GPU, or use the CPU here");
}

// At the exit of a forked child ncnn's handler would destroy the instance, and drivers' would wait
// for threads that the child does not have: for ever (Mesa's does). So that no handler from before
// the fork comes to run, the process ends in one that was registered after it.
void skip_exit_handlers_in_child() {
#if defined(__GLIBC__)
    pthread_atfork(nullptr, nullptr, [] {
        on_exit(
            [](int status, void*) {
                std::fflush(nullptr);
                _exit(status);
            },
            nullptr);
    });
#endif
}

void close_at_exit() {
    Registry& all = registry();
    if (gpu_of_parent() || all.abandoned) {
        ncnn::vkDestroyInstance = nullptr;  // for ncnn's own handler, which comes next
        return;
    }
    quiesce_gpu();
    const std::unique_lock<std::shared_mutex> closing(all.closing);
    const std::lock_guard<std::mutex> lock(all.mutex);
    for (const auto* devices : {&all.devices, &all.retired}) {
        for (const auto& device : *devices) {
            if (device) ncnn::vkDeviceWaitIdle(device->vkdevice());
        }
    }
    for (GpuOwned* each : all.owned) each->release();
    all.devices.clear();
    all.retired.clear();
}

void create() {
    Registry& all = registry();
#if defined(__APPLE__)
    const std::string driver = bundled_driver("libMoltenVK.dylib");
#else
    const std::string driver;
#endif
    if (ncnn::create_gpu_instance(driver.empty() ? nullptr : driver.c_str()) != 0) {
        return;
    }
    all.count = ncnn::get_gpu_count();
    all.devices.resize(static_cast<std::size_t>(all.count));
    // Registered after ncnn's own, hence run before it, and both before the driver's. Run again, it
    // finds nothing to do.
    std::atexit(close_at_exit);
    if (all.count > 0) skip_exit_handlers_in_child();
}

std::string device_list() {
    std::string text;
    for (int i = 0; i < gpu_count(); ++i) {
        text += (i == 0 ? "" : ", ") + std::to_string(i) + " (" +
                ncnn::get_gpu_info(i).device_name() + ")";
    }
    return text.empty() ? "there is none on this machine; use the CPU" : "there is " + text;
}

}  // namespace

bool gpu_of_parent() {
    const int owner = registry().owner;
    return owner != kNobody && owner != fork_generation();
}

int gpu_count() {
    Registry& all = registry();
    int nobody = kNobody;
    all.owner.compare_exchange_strong(nobody, fork_generation());
    if (gpu_of_parent()) {
        if (!all.set_up) throw of_parent();
        return all.count;
    }
    std::call_once(all.created, create);
    all.set_up = true;
    return all.count;
}

const ncnn::VulkanDevice& gpu_device(int index) {
    if (index < 0 || index >= gpu_count()) {
        throw DeviceError("no Vulkan device " + std::to_string(index) + ": " + device_list());
    }
    const GpuActivityGuard use;
    Registry& all = registry();
    const std::lock_guard<std::mutex> lock(all.mutex);
    std::unique_ptr<ncnn::VulkanDevice>& slot = all.devices[idx(index)];
    if (!slot) {
        auto device = std::make_unique<ncnn::VulkanDevice>(index);
        if (!device->is_valid()) {
            throw DeviceError("Vulkan device " + std::to_string(index) + " (" +
                              ncnn::get_gpu_info(index).device_name() +
                              ") cannot be opened; update its driver, or use another device");
        }
        slot = std::move(device);
        // Again, to come before the destructors of what layers have made for this device meanwhile
        // (the validation layers' tables of stages).
        std::atexit(close_at_exit);
    }
    return *slot;
}

void retire_gpu_device(const ncnn::VulkanDevice& device) {
    Registry& all = registry();
    const std::lock_guard<std::mutex> lock(all.mutex);
    for (std::unique_ptr<ncnn::VulkanDevice>& slot : all.devices) {
        if (slot.get() == &device) {
            all.retired.push_back(std::move(slot));
        }
    }
}

void abandon_gpu_device(const ncnn::VulkanDevice& device) noexcept {
    registry().abandoned = true;
    retire_gpu_device(device);
}

GpuActivityGuard::GpuActivityGuard() {
    if (gpu_of_parent()) {
        throw of_parent();
    }
    if (use_depth++ > 0) {
        return;
    }
    Registry& all = registry();
    std::unique_lock<std::mutex> lock(all.mutex);
    const std::thread::id nobody;
    const std::thread::id here = std::this_thread::get_id();
    all.changed.wait(lock, [&] { return all.quiescer == nobody || all.quiescer == here; });
    ++all.users;
}

GpuActivityGuard::~GpuActivityGuard() {
    if (--use_depth > 0 || gpu_of_parent()) {
        return;
    }
    Registry& all = registry();
    const std::lock_guard<std::mutex> lock(all.mutex);
    --all.users;
    all.changed.notify_all();
}

void quiesce_gpu() {
    if (gpu_of_parent()) {
        return;
    }
    Registry& all = registry();
    std::unique_lock<std::mutex> lock(all.mutex);
    all.quiescer = std::this_thread::get_id();
    all.changed.wait(lock, [&] { return all.users == 0; });
}

void GpuOwned::register_object() {
    Registry& all = registry();
    const std::lock_guard<std::mutex> lock(all.mutex);
    all.owned.insert(this);
}

void GpuOwned::unregister_object() noexcept {
    if (gpu_of_parent()) {
        return;
    }
    Registry& all = registry();
    const std::shared_lock<std::shared_mutex> not_closing(all.closing);
    {
        const std::lock_guard<std::mutex> lock(all.mutex);
        all.owned.erase(this);
    }
    release();
}

}  // namespace realesrgan
