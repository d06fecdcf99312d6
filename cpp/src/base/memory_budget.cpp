#include "base/memory_budget.hpp"

#include <gpu.h>

#include <algorithm>

#include "base/control_groups.hpp"
#include "base/emulated_limits.hpp"

namespace realesrgan {

namespace {

// Without VK_EXT_memory_budget other processes' use is unknown: assume part of the heap.
std::uint64_t assumed_budget(std::uint64_t heap_bytes) {
    return heap_bytes >= (std::uint64_t{4000} << 20) ? heap_bytes / 10 * 7 : heap_bytes / 2;
}

}  // namespace

std::uint64_t free_device_memory(const ncnn::VulkanDevice& device, std::uint32_t heap) {
    const std::uint64_t emulated = emulated_limits().memory;
    if (!device.info.support_VK_EXT_memory_budget()) {
        return lowered(
            assumed_budget(device.info.physicalDeviceMemoryProperties().memoryHeaps[heap].size),
            emulated);
    }
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {};
    budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
    VkPhysicalDeviceMemoryProperties2KHR properties = {};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2_KHR;
    properties.pNext = &budget;
    ncnn::vkGetPhysicalDeviceMemoryProperties2KHR(device.info.physicalDevice(), &properties);
    const std::uint64_t total = budget.heapBudget[heap];
    return lowered(total - std::min<std::uint64_t>(total, budget.heapUsage[heap]), emulated);
}

bool shares_host_memory(const ncnn::VulkanDevice& device) {
    if (emulated_limits().own_memory) return *emulated_limits().own_memory == 0;
    return device.info.physicalDeviceProperties().deviceType !=
           VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
}

std::uint64_t host_budget() {
    return free_memory() / 2;
}

std::uint64_t device_budget(const ncnn::VulkanDevice& device, std::uint64_t free) {
    const std::uint64_t own = free / 5 * 4;
    return shares_host_memory(device) ? std::min(own, host_budget()) : own;
}

std::uint64_t device_budget(const ncnn::VulkanDevice& device) {
    const VkPhysicalDeviceMemoryProperties& memory = device.info.physicalDeviceMemoryProperties();
    std::uint64_t largest = 0;
    std::uint32_t own = 0;
    for (std::uint32_t heap = 0; heap < memory.memoryHeapCount; ++heap) {
        const VkMemoryHeap& one = memory.memoryHeaps[heap];
        if ((one.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) == 0 || one.size <= largest) continue;
        largest = one.size;
        own = heap;
    }
    return device_budget(device, free_device_memory(device, own));
}

}  // namespace realesrgan
