#pragma once

#include <cstdint>

namespace ncnn {
class VulkanDevice;
}

namespace realesrgan {

// The most that is counted of one kind: sums of a few kinds stay within 64 bits.
inline constexpr double kMostBytes = 1e18;

// Bytes that a run may use when the user named no limit, for stream and tiles alike: half of what
// the machine has free, so that it stays usable; of a device's own memory, four fifths of what is
// free. A device that shares the machine's memory gets no more than the processor does.
std::uint64_t host_budget();
std::uint64_t device_budget(const ncnn::VulkanDevice& device, std::uint64_t free);
std::uint64_t device_budget(const ncnn::VulkanDevice& device);  // of its largest own heap

// Bytes that this process can still take from one of the device's heaps.
std::uint64_t free_device_memory(const ncnn::VulkanDevice& device, std::uint32_t heap);

// Whether what a run takes on the device is the machine's memory.
bool shares_host_memory(const ncnn::VulkanDevice& device);

}  // namespace realesrgan
