#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "realesrgan/api.h"

namespace realesrgan {

enum class DeviceType { discrete, integrated, virtual_gpu, cpu, other };

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
};

// All Vulkan devices, in the loader's order; empty where there is no loader, driver or device.
// Safe to call from any thread; the instance is created on first use.
REALESRGAN_API std::vector<DeviceInfo> list_devices();

}  // namespace realesrgan
