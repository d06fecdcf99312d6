#include "vulkan/device/buffer.hpp"

#include <array>
#include <utility>

#include "base/fault_injection.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan::vulkan {

namespace {

bool is_on_device(BufferKind kind) {
    return kind == BufferKind::device || kind == BufferKind::result;
}

// Ranks a memory type for a kind of buffer; negative: unsuitable.
int suitability(BufferKind kind, VkMemoryPropertyFlags flags) {
    const bool local = (flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) != 0;
    const bool visible = (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0;
    const bool coherent = (flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT) != 0;
    const bool cached = (flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0;
    if (is_on_device(kind)) return local ? (visible ? 2 : 3) : 0;
    if (!visible) return -1;
    // Staging buffers do not use device-local memory, of which little is host-visible.
    if (kind == BufferKind::upload) return (coherent ? 2 : 0) + (local ? 0 : 1);
    return (cached ? 4 : 0) + (coherent ? 2 : 0) + (local ? 0 : 1);
}

VkBuffer create_buffer(Context& context, BufferKind kind, std::uint64_t bytes) {
    VkBufferCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = bytes;
    info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    info.sharingMode = VK_SHARING_MODE_EXCLUSIVE;
    const std::array<std::uint32_t, 2> families = {context.queue_family(QueueKind::compute),
                                                   context.queue_family(QueueKind::transfer)};
    if (kind == BufferKind::result && families[0] != families[1]) {
        info.sharingMode = VK_SHARING_MODE_CONCURRENT;
        info.queueFamilyIndexCount = static_cast<std::uint32_t>(families.size());
        info.pQueueFamilyIndices = families.data();
    }
    VkBuffer buffer = 0;
    const VkResult result = faults().creation.due()
                                ? VK_ERROR_OUT_OF_HOST_MEMORY
                                : ncnn::vkCreateBuffer(context.handle(), &info, nullptr, &buffer);
    context.check(result, "making a buffer");
    return buffer;
}

VkMappedMemoryRange whole_range(VkDeviceMemory memory) {
    VkMappedMemoryRange range = {};
    range.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE;
    range.memory = memory;
    range.size = VK_WHOLE_SIZE;
    return range;
}

}  // namespace

std::uint32_t memory_type(const Context& context, BufferKind kind, std::uint32_t allowed) {
    const auto& memory = context.ncnn_device().info.physicalDeviceMemoryProperties();
    std::uint32_t best = 0;
    int best_score = -1;
    std::uint64_t best_heap = 0;
    for (std::uint32_t i = 0; i < memory.memoryTypeCount; i++) {
        if ((allowed >> i & 1U) == 0) continue;
        const int score = suitability(kind, memory.memoryTypes[i].propertyFlags);
        const std::uint64_t heap = memory.memoryHeaps[memory.memoryTypes[i].heapIndex].size;
        const bool both_local = is_on_device(kind) && score >= 2 && best_score >= 2;
        const bool better = both_local && heap != best_heap ? heap > best_heap : score > best_score;
        if (!better) continue;
        best = i;
        best_score = score;
        best_heap = heap;
    }
    if (best_score < 0)
        throw DeviceError("Vulkan device " + context.name() + " has no usable memory");
    return best;
}

Buffer::Buffer(std::shared_ptr<Context> context, BufferKind kind, std::uint64_t bytes)
    : context_(std::move(context)), bytes_(bytes) {
    buffer_ = create_buffer(*context_, kind, bytes);
    try {
        allocate(kind);
        register_object();
    } catch (...) {
        release();
        throw;
    }
}

void Buffer::allocate(BufferKind kind) {
    VkMemoryRequirements needs = {};
    ncnn::vkGetBufferMemoryRequirements(context_->handle(), buffer_, &needs);
    VkMemoryAllocateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
    info.allocationSize = needs.size;
    info.memoryTypeIndex = memory_type(*context_, kind, needs.memoryTypeBits);
    const VkResult result =
        faults().allocation.due()
            ? VK_ERROR_OUT_OF_DEVICE_MEMORY
            : ncnn::vkAllocateMemory(context_->handle(), &info, nullptr, &memory_);
    context_->check(result, "allocating a buffer");
    allocated_ = needs.size;
    context_->check(ncnn::vkBindBufferMemory(context_->handle(), buffer_, memory_, 0),
                    "binding a buffer");
    if (is_on_device(kind)) return;
    coherent_ = context_->ncnn_device().is_coherent(info.memoryTypeIndex);
    context_->check(ncnn::vkMapMemory(context_->handle(), memory_, 0, VK_WHOLE_SIZE, 0, &mapped_),
                    "mapping a buffer");
}

Buffer::~Buffer() {
    unregister_object();
}

void Buffer::release() noexcept {
    if (context_->abandoned()) return;
    if (buffer_) ncnn::vkDestroyBuffer(context_->handle(), buffer_, nullptr);
    if (memory_) ncnn::vkFreeMemory(context_->handle(), memory_, nullptr);  // unmaps, too
    buffer_ = 0;
    memory_ = 0;
}

void Buffer::flush() const {
    if (coherent_) return;
    const VkMappedMemoryRange range = whole_range(memory_);
    context_->check(ncnn::vkFlushMappedMemoryRanges(context_->handle(), 1, &range), "uploading");
}

void Buffer::invalidate() const {
    if (coherent_) return;
    const VkMappedMemoryRange range = whole_range(memory_);
    context_->check(ncnn::vkInvalidateMappedMemoryRanges(context_->handle(), 1, &range),
                    "downloading");
}

}  // namespace realesrgan::vulkan
