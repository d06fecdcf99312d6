#include <gpu.h>

#include <algorithm>
#include <string>

#include "realesrgan/device.hpp"
#include "vulkan/instance/instance.hpp"

namespace realesrgan {
namespace {

DeviceType device_type(const ncnn::GpuInfo& gpu) {
    // By value, not by ncnn's own numbering, which a later version may change.
    switch (gpu.physicalDeviceProperties().deviceType) {
        case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
            return DeviceType::discrete;
        case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
            return DeviceType::integrated;
        case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
            return DeviceType::virtual_gpu;
        case VK_PHYSICAL_DEVICE_TYPE_CPU:
            return DeviceType::cpu;
        default:
            return DeviceType::other;
    }
}

// The driver's name and what it says of its version, or the packed version of drivers that say
// nothing.
std::string driver_text(const ncnn::GpuInfo& gpu) {
    if (gpu.support_VK_KHR_driver_properties() != 0) {
        const VkPhysicalDeviceDriverPropertiesKHR& driver = gpu.queryDriverProperties();
        const std::string name = driver.driverName;
        const std::string version = driver.driverInfo;
        if (!name.empty()) {
            return version.empty() ? name : name + " " + version;
        }
    }
    const std::uint32_t version = gpu.driver_version();
    return std::to_string(VK_VERSION_MAJOR(version)) + "." +
           std::to_string(VK_VERSION_MINOR(version)) + "." +
           std::to_string(VK_VERSION_PATCH(version));
}

std::uint64_t largest_local_heap(const ncnn::GpuInfo& gpu) {
    const VkPhysicalDeviceMemoryProperties& memory = gpu.physicalDeviceMemoryProperties();
    std::uint64_t largest = 0;
    for (std::uint32_t i = 0; i < memory.memoryHeapCount; ++i) {
        if ((memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0) {
            largest = std::max<std::uint64_t>(largest, memory.memoryHeaps[i].size);
        }
    }
    return largest;
}

}  // namespace

std::vector<DeviceInfo> list_devices() {
    std::vector<DeviceInfo> devices;
    for (int i = 0; i < gpu_count(); ++i) {
        const ncnn::GpuInfo& gpu = ncnn::get_gpu_info(i);
        DeviceInfo device;
        device.index = i;
        device.name = gpu.device_name();
        device.type = device_type(gpu);
        device.driver = driver_text(gpu);
        device.memory_bytes = largest_local_heap(gpu);
        device.fp16_storage = gpu.support_fp16_storage();
        device.cooperative_matrix = gpu.support_cooperative_matrix();
        devices.push_back(device);
    }
    return devices;
}

}  // namespace realesrgan
