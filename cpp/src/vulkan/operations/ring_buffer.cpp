#include "vulkan/operations/ring_buffer.hpp"

#include <algorithm>

namespace realesrgan::vulkan {

namespace {

// The last slot up to `slot` at whose offset a binding can start.
int aligned_slot(const RingBuffer& ring, std::uint64_t row, int slot) {
    while (static_cast<std::uint64_t>(slot) * row % ring.alignment != 0) slot--;
    return slot;
}

}  // namespace

int rows_in_window(const RingBuffer& ring, Storage storage, Row first, int most) {
    if (ring.binding_bytes == 0) return most;
    const std::uint64_t row = ring_bytes(ring, 1, ring.channels, storage);
    const int slot = ring.slot(first);
    const int before = slot - aligned_slot(ring, row, slot);
    const int shown = static_cast<int>(ring.binding_bytes / row) - before;
    return std::max(1, std::min({most, ring.rows - slot, shown}));
}

RingWindow window(const RingBuffer& ring, Storage storage, Row first, int count, bool written) {
    const int slot = ring.slot(first);
    if (ring.binding_bytes == 0) return {{ring.buffer, 0, 0, written}, slot, ring.rows};
    const std::uint64_t row = ring_bytes(ring, 1, ring.channels, storage);
    const int begin = aligned_slot(ring, row, slot);
    const int shown = slot - begin + count;
    return {{ring.buffer, static_cast<std::uint64_t>(begin) * row,
             static_cast<std::uint64_t>(shown) * row, written},
            slot - begin,
            shown};
}

}  // namespace realesrgan::vulkan
