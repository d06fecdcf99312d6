#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "plan/plan.hpp"
#include "vulkan/device/command_buffer.hpp"
#include "vulkan/operations/ring_buffer.hpp"

namespace realesrgan::vulkan {

// Copies of the last rows of tensors in shared buffers, which the next step reads.
class HaloRows {
  public:
    using Allocate = std::function<std::unique_ptr<Buffer>(std::uint64_t bytes)>;

    // `rings` is indexed as Program::tensors. Both must outlive this.
    HaloRows(const ExecutionPlan& plan, Storage storage, const std::vector<RingBuffer>& rings,
             const Allocate& allocate);

    void record(CommandBuffer& commands, const Command& command) const;

  private:
    // Rows of one slice, contiguous from `offset` of its tensor's halo buffer.
    struct Place {
        std::uint64_t offset = 0;
        std::uint64_t row_bytes = 0;
    };

    void record(CommandBuffer& commands, const std::vector<HaloCopy>& list, bool save) const;
    void add_regions(const HaloCopy& copy, bool save, std::vector<VkBufferCopy>& regions) const;

    const ExecutionPlan& plan_;
    Storage storage_;
    const std::vector<RingBuffer>& rings_;
    std::vector<std::unique_ptr<Buffer>> buffers_;  // by ring; null where none is needed
    std::vector<std::vector<Place>> places_;        // by ring and HaloSlice
};

}  // namespace realesrgan::vulkan
