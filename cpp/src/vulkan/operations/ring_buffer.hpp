#pragma once

#include <cstdint>

#include "base/integers.hpp"
#include "program/program.hpp"
#include "vulkan/device/command_buffer.hpp"
#include "vulkan/device/pipeline_registry.hpp"

namespace realesrgan::vulkan {

// A ring buffer of rows on the device: [row % rows][channels / 16][x][16], no padding columns.
struct RingBuffer {
    const Buffer* buffer = nullptr;
    int width = 0;  // of its picture, in pixels
    int height = 0;
    int channels = 0;  // a multiple of 16
    int rows = 0;
    bool full_precision = false;  // holds fp32 whatever the storage
    // The largest binding, if the buffer is larger: it is then bound in parts. 0: no limit.
    std::uint64_t binding_bytes = 0;
    std::uint64_t alignment = 1;  // of a binding's offset

    int slot(Row row) const { return static_cast<int>(row % rows); }
};

// Bytes of so many rows and channels of a ring buffer, and of all.
inline std::uint64_t ring_bytes(const RingBuffer& ring, int rows, int channels, Storage storage) {
    return product(ring.width, channels, rows, ring.full_precision ? 4 : bytes_per_value(storage));
}
inline std::uint64_t ring_bytes(const RingBuffer& ring, Storage storage) {
    return ring_bytes(ring, ring.rows, ring.channels, storage);
}

// A binding of some rows, with the slot of the first row in it and the number of rows after which
// slots wrap around.
struct RingWindow {
    Binding binding;
    int row = 0;
    int rows = 0;
};

// How many of the rows [first, first + most) one binding can hold; at least 1.
int rows_in_window(const RingBuffer& ring, Storage storage, Row first, int most);

// `count`: at most what rows_in_window() says.
RingWindow window(const RingBuffer& ring, Storage storage, Row first, int count, bool written);

}  // namespace realesrgan::vulkan
