// Provokes an error of the validation layers: two writes to one buffer without a barrier.
// tools/validation.py runs it first, to see that the layers watch the calls of our core.

#include <iostream>
#include <vector>

#include "vulkan/device/buffer.hpp"
#include "vulkan/device/command_buffer.hpp"
#include "vulkan/instance/instance.hpp"

namespace vk = realesrgan::vulkan;

namespace {

VkCommandPool make_pool(const vk::Context& context) {
    VkCommandPoolCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    info.queueFamilyIndex = context.ncnn_device().info.compute_queue_family_index();
    VkCommandPool pool = 0;
    context.check(ncnn::vkCreateCommandPool(context.handle(), &info, nullptr, &pool),
                  "making a command pool");
    return pool;
}

// Recorded and never submitted: the layers look while commands are recorded.
void record_hazard(const vk::Context& context, VkCommandPool pool, const vk::Buffer& buffer) {
    VkCommandBufferAllocateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    info.commandPool = pool;
    info.commandBufferCount = 1;
    VkCommandBuffer commands = nullptr;
    context.check(ncnn::vkAllocateCommandBuffers(context.handle(), &info, &commands),
                  "making a command buffer");
    VkCommandBufferBeginInfo begin = {};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    context.check(ncnn::vkBeginCommandBuffer(commands, &begin), "recording commands");
    ncnn::vkCmdFillBuffer(commands, buffer.handle(), 0, VK_WHOLE_SIZE, 0);
    ncnn::vkCmdFillBuffer(commands, buffer.handle(), 0, VK_WHOLE_SIZE, 1);
    context.check(ncnn::vkEndCommandBuffer(commands), "recording commands");
}

}  // namespace

int main() {
    if (realesrgan::gpu_count() == 0) {
        std::cout << "no Vulkan device on this machine\n";
        return 77;
    }
    const realesrgan::GpuActivityGuard use;
    const auto context = vk::Context::open(0);
    const vk::Buffer buffer(context, vk::BufferKind::device, 1024);
    const VkCommandPool pool = make_pool(*context);
    record_hazard(*context, pool, buffer);
    ncnn::vkDestroyCommandPool(context->handle(), pool, nullptr);
    return 0;
}
