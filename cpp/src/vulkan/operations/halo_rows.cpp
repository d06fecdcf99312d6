#include "vulkan/operations/halo_rows.hpp"

#include <utility>

#include "base/integers.hpp"

namespace realesrgan::vulkan {

HaloRows::HaloRows(const ExecutionPlan& plan, Storage storage, const std::vector<RingBuffer>& rings,
                   const Allocate& allocate)
    : plan_(plan), storage_(storage), rings_(rings) {
    for (std::size_t i = 0; i < rings.size(); i++) {
        std::uint64_t bytes = 0;
        places_.emplace_back();
        for (const HaloSlice& slice : plan.rings()[i].halo) {
            const std::uint64_t row =
                ring_bytes(rings[i], 1, round_up(slice.channels, kChannelAlignment), storage);
            places_.back().push_back({bytes, row});
            bytes += row * static_cast<std::uint64_t>(slice.rows);
        }
        buffers_.push_back(bytes > 0 ? allocate(bytes) : nullptr);
    }
}

void HaloRows::record(CommandBuffer& commands, const Command& command) const {
    record(commands, command.saves, true);
    record(commands, command.loads, false);
}

// Records one copy for all slices of a tensor.
void HaloRows::record(CommandBuffer& commands, const std::vector<HaloCopy>& list, bool save) const {
    for (auto copy = list.begin(); copy != list.end();) {
        const int index = copy->tensor;
        std::vector<VkBufferCopy> regions;
        for (; copy != list.end() && copy->tensor == index; ++copy) {
            add_regions(*copy, save, regions);
        }
        std::uint64_t bytes = 0;
        for (const VkBufferCopy& region : regions) bytes += 2 * region.size;
        const Buffer& ring = *rings_[idx(index)].buffer;
        const Buffer& kept = *buffers_[idx(index)];
        commands.copy(save ? ring : kept, save ? kept : ring, regions, bytes);
    }
}

// A slice's channels of one row are contiguous in a ring buffer: whole groups of 16.
void HaloRows::add_regions(const HaloCopy& copy, bool save,
                           std::vector<VkBufferCopy>& regions) const {
    const auto index = static_cast<std::size_t>(copy.tensor);
    const auto part = static_cast<std::size_t>(copy.slice);
    const RingBuffer& ring = rings_[index];
    const Place& place = places_[index][part];
    const HaloSlice& slice = plan_.rings()[index].halo[part];
    const std::uint64_t ring_row = ring_bytes(ring, 1, ring.channels, storage_);
    const std::uint64_t before = ring_bytes(ring, 1, slice.channel, storage_);
    for (int i = 0; i < copy.rows.count; i++) {
        const auto slot = static_cast<std::uint64_t>(ring.slot(copy.rows.first + i));
        const std::uint64_t there = slot * ring_row + before;
        const std::uint64_t here = place.offset + static_cast<std::uint64_t>(i) * place.row_bytes;
        regions.push_back({save ? there : here, save ? here : there, place.row_bytes});
    }
}

}  // namespace realesrgan::vulkan
