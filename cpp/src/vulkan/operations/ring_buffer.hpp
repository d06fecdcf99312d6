#pragma once

#include <cstdint>

#include "program/program.hpp"
#include "vulkan/device/command_buffer.hpp"
#include "vulkan/device/pipeline_registry.hpp"

namespace realesrgan::vulkan {

// A ring of rows on the device: [row % rows][channels / 16][x][16], no padding columns.
struct RingBuffer {
    const Buffer* buffer = nullptr;
    int width = 0;  // of its picture, in pixels
    int height = 0;
    int channels = 0;  // a multiple of 16
    int rows = 0;
    bool full_precision = false;  // holds fp32 whatever the storage
    // The most one binding may show, where the ring is larger: its dispatches go by parts. 0: all.
    std::uint64_t binding_bytes = 0;
    std::uint64_t alignment = 1;  // of a binding's offset

    int slot(Row row) const { return static_cast<int>(row % rows); }
};

inline std::uint64_t ring_bytes(const RingBuffer& ring, Storage storage) {
    return static_cast<std::uint64_t>(ring.width) * static_cast<std::uint64_t>(ring.channels) *
           static_cast<std::uint64_t>(ring.rows) *
           static_cast<std::uint64_t>(ring.full_precision ? 4 : bytes_per_value(storage));
}

// A binding that shows some of a ring's rows, and what the shader must know of it: the slot of the
// first row, and the rows after which the ring begins anew.
struct RingWindow {
    Binding binding;
    int row = 0;
    int rows = 0;
};

// How many of the rows [first, first + most) one window can show; at least 1.
int rows_in_window(const RingBuffer& ring, Storage storage, Row first, int most);

// `count`: at most what rows_in_window() says.
RingWindow window(const RingBuffer& ring, Storage storage, Row first, int count, bool written);

}  // namespace realesrgan::vulkan
