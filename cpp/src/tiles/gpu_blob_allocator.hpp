#pragma once

#include <allocator.h>

#include <cstddef>

namespace realesrgan {

// ncnn assumes that memory from its pool is unused and omits the barrier before the first write,
// although an earlier kernel may still be reading it. This allocator marks memory as used by
// compute shaders, so that ncnn adds the barrier.
class GpuBlobs final : public ncnn::VkBlobAllocator {
  public:
    using ncnn::VkBlobAllocator::fastMalloc;

    // A blob of more than `most` bytes is refused.
    GpuBlobs(const ncnn::VulkanDevice* device, std::size_t block, std::size_t most)
        : VkBlobAllocator(device, block), most_(most) {}

    ncnn::VkBufferMemory* fastMalloc(std::size_t size) override {
        ncnn::VkBufferMemory* memory = size <= most_ ? VkBlobAllocator::fastMalloc(size) : nullptr;
        if (memory != nullptr) {
            memory->access_flags = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
            memory->stage_flags = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
        }
        refused_ = refused_ || memory == nullptr;
        return memory;
    }

    // Whether the device had no memory for one.
    bool refused() const { return refused_; }

  private:
    std::size_t most_;
    bool refused_ = false;
};

}  // namespace realesrgan
