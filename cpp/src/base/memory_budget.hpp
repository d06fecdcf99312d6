#pragma once

#include <cstdint>

namespace ncnn {
class VulkanDevice;
}

namespace realesrgan {

// The cap of each kind of memory, so that sums of a few kinds fit into 64 bits.
inline constexpr double kMostBytes = 1e18;

// Bytes that a run may use without a user's limit, by rows or by tiles: half of the free memory of
// the machine, so that it stays usable; four fifths of the free memory of a device with its own
// memory. A device that shares the machine's memory gets no more than the CPU does.
std::uint64_t host_budget();
std::uint64_t device_budget(const ncnn::VulkanDevice& device, std::uint64_t free);
std::uint64_t device_budget(const ncnn::VulkanDevice& device);  // of its largest own heap

// Bytes that this process can still take from one of the device's heaps.
std::uint64_t free_device_memory(const ncnn::VulkanDevice& device, std::uint32_t heap);

// Whether the device's memory is the machine's memory.
bool shares_host_memory(const ncnn::VulkanDevice& device);

}  // namespace realesrgan
