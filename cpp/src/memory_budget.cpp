#include "memory_budget.hpp"

#include <gpu.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

#include "gpu_instance.hpp"
#include "realesrgan/device.hpp"

#if defined(_WIN32)
#define NOMINMAX
#include <windows.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace realesrgan {
namespace {

constexpr std::uint64_t kUnknown = std::uint64_t{4} << 30;

#if defined(__linux__)
// The number a kernel file holds after `key` ("" for the whole file), or 0.
std::uint64_t kernel_number(const char* path, const std::string& key) {
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
        if (line.compare(0, key.size(), key) == 0) {
            std::istringstream rest(line.substr(key.size()));
            std::uint64_t value = 0;
            return rest >> value ? value : 0;
        }
    }
    return 0;
}

std::uint64_t free_memory() {
    constexpr std::uint64_t kKilobyte = 1024;
    std::uint64_t available = kernel_number("/proc/meminfo", "MemAvailable:") * kKilobyte;
    if (available == 0) {
        available = kUnknown;
    }
    // A container's limit, less what is used; the page cache in it can be given up.
    const std::uint64_t limit = kernel_number("/sys/fs/cgroup/memory.max", "");
    if (limit > 0) {
        const std::uint64_t used = kernel_number("/sys/fs/cgroup/memory.current", "");
        const std::uint64_t cache = kernel_number("/sys/fs/cgroup/memory.stat", "file ");
        const std::uint64_t held = used - std::min(used, cache);
        available = std::min(available, limit - std::min(limit, held));
    }
    return available;
}
#elif defined(_WIN32)
std::uint64_t free_memory() {
    MEMORYSTATUSEX status;
    status.dwLength = sizeof(status);
    return GlobalMemoryStatusEx(&status) ? status.ullAvailPhys : kUnknown;
}
#elif defined(__APPLE__)
std::uint64_t free_memory() {
    std::uint64_t total = 0;
    std::size_t size = sizeof(total);
    // macOS keeps little free and gives the rest when asked: count half of the machine.
    return sysctlbyname("hw.memsize", &total, &size, nullptr, 0) == 0 ? total / 2 : kUnknown;
}
#else
std::uint64_t free_memory() {
    return kUnknown;
}
#endif

}  // namespace

std::uint64_t default_memory_limit(int device) {
    const std::uint64_t machine = free_memory() / 2;
    if (device == kCpuDevice) {
        return machine;
    }
    constexpr std::uint64_t kMegabyte = std::uint64_t{1} << 20;
    const GpuUse use;
    const ncnn::VulkanDevice& gpu = gpu_device(device);
    const std::uint64_t own = gpu.get_heap_budget() * kMegabyte / 5 * 4;
    const bool shares =
        gpu.info.physicalDeviceProperties().deviceType != VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    return shares ? std::min(own, machine) : own;
}

}  // namespace realesrgan
