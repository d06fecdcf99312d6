#include <gpu.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/emulated_limits.hpp"
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

// VkPhysicalDevicePCIBusInfoPropertiesEXT, which ncnn's headers lack.
struct PciBusInfo {
    VkStructureType type = static_cast<VkStructureType>(1000212000);
    void* next = nullptr;
    std::uint32_t domain = 0;
    std::uint32_t bus = 0;
    std::uint32_t device = 0;
    std::uint32_t function = 0;
};

bool has_extension(const ncnn::GpuInfo& gpu, const char* name) {
    const auto& known = gpu.deviceExtensionProperties();
    return std::any_of(known.begin(), known.end(), [name](const VkExtensionProperties& each) {
        return std::strcmp(each.extensionName, name) == 0;
    });
}

// 8-4-4-4-12 hexadecimal digits.
std::string uuid_text(const std::uint8_t (&bytes)[VK_UUID_SIZE]) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (int i = 0; i < static_cast<int>(VK_UUID_SIZE); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += kDigits[bytes[i] >> 4];
        text += kDigits[bytes[i] & 15];
    }
    return text;
}

void fill_identity(const ncnn::GpuInfo& gpu, DeviceInfo& device) {
    if (gpu_of_parent() || ncnn::vkGetPhysicalDeviceProperties2KHR == nullptr) return;
    PciBusInfo pci;
    VkPhysicalDeviceIDProperties identity{};
    identity.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES;
    const bool has_pci = has_extension(gpu, "VK_EXT_pci_bus_info");
    identity.pNext = has_pci ? &pci : nullptr;
    VkPhysicalDeviceProperties2KHR properties{};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2_KHR;
    properties.pNext = &identity;
    ncnn::vkGetPhysicalDeviceProperties2KHR(gpu.physicalDevice(), &properties);
    const bool is_set = std::any_of(std::begin(identity.deviceUUID), std::end(identity.deviceUUID),
                                    [](std::uint8_t byte) { return byte != 0; });
    if (is_set) device.uuid = uuid_text(identity.deviceUUID);
    if (has_pci) {
        std::array<char, 48> text{};
        std::snprintf(text.data(), text.size(), "%04x:%02x:%02x.%x", pci.domain, pci.bus,
                      pci.device, pci.function);
        device.pci_address = text.data();
    }
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
        device.fp16_storage = gpu.support_fp16_storage() && emulated_limits().fp16 != 0U;
        device.cooperative_matrix =
            gpu.support_cooperative_matrix() && emulated_limits().matrices != 0U;
        fill_identity(gpu, device);
        devices.push_back(device);
    }
    return devices;
}

}  // namespace realesrgan
