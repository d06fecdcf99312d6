#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "vulkan/device/context.hpp"

namespace realesrgan::vulkan {

// device: read and written by shaders only. result: the device's, too; shaders write, the transfer
// queue reads. upload: the host writes, shaders read. download: shaders or the transfer queue
// write, the host reads (from cached memory where there is any: other kinds of mapped memory are
// tens of times slower to read).
enum class BufferKind { device, result, upload, download };

// Index of the memory type that buffers of this kind come from, of those in `allowed`. Device-local
// types are compared by the size of their heap: some integrated GPUs list a 256 MB one first.
std::uint32_t memory_type(const Context& context, BufferKind kind, std::uint32_t allowed);

// A storage buffer with memory of its own, so that the planned bytes are the allocated bytes. Plain
// Vulkan rather than ncnn's allocators: those round up to 16 MB blocks and report a failure on
// stderr only.
class Buffer final : public GpuOwned {
  public:
    // Throws OutOfMemoryError.
    Buffer(std::shared_ptr<Context> context, BufferKind kind, std::uint64_t bytes);
    ~Buffer();
    void release() noexcept override;

    VkBuffer handle() const { return buffer_; }
    std::uint64_t bytes() const { return bytes_; }                // asked for
    std::uint64_t allocated_bytes() const { return allocated_; }  // taken from the heap

    // Mapped memory of upload and download buffers.
    std::byte* data() const { return static_cast<std::byte*>(mapped_); }
    void flush() const;       // after the host wrote
    void invalidate() const;  // before the host reads

  private:
    void allocate(BufferKind kind);

    std::shared_ptr<Context> context_;
    VkBuffer buffer_ = 0;
    VkDeviceMemory memory_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t allocated_ = 0;
    void* mapped_ = nullptr;
    bool coherent_ = true;
};

}  // namespace realesrgan::vulkan
