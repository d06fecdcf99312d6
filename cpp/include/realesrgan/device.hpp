#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "realesrgan/api.h"

namespace realesrgan {

enum class DeviceType { discrete, integrated, virtual_gpu, cpu, other };

// "discrete", "integrated", "virtual", "cpu" or "other".
inline const char* type_name(DeviceType type) {
    switch (type) {
        case DeviceType::discrete:
            return "discrete";
        case DeviceType::integrated:
            return "integrated";
        case DeviceType::virtual_gpu:
            return "virtual";
        case DeviceType::cpu:
            return "cpu";
        case DeviceType::other:
            break;
    }
    return "other";
}

inline constexpr int kCpuDevice = -1;  // the processor itself, not a Vulkan device

// One Vulkan device as its driver describes it.
struct DeviceInfo {
    int index = 0;
    std::string name;
    DeviceType type = DeviceType::other;  // cpu: a software driver
    std::string driver;                   // name and version
    std::uint64_t memory_bytes = 0;       // size of the largest device-local heap
    bool fp16_storage = false;
    bool cooperative_matrix = false;
    // The same in every process and on every start, "01234567-89ab-cdef-0123-456789abcdef", and for
    // NVIDIA's devices the one that its other tools print; empty where the driver has none.
    std::string uuid;
    std::string pci_address;  // "0000:01:00.0"; empty where there is none or it is not told
};

// All Vulkan devices, in the loader's order; empty where there is no loader, driver or device.
// Safe to call from any thread; the instance is created on first use.
REALESRGAN_API std::vector<DeviceInfo> list_devices();

}  // namespace realesrgan
