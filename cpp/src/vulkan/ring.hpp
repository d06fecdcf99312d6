#pragma once

#include <cstdint>

#include "buffer.hpp"
#include "pipelines.hpp"

namespace realesrgan::vulkan {

// A ring of rows on the device: [row % rows][channels / 16][x][16], no padding columns.
struct DeviceRing {
    const Buffer* buffer = nullptr;
    int width = 0;  // of its picture, in pixels
    int height = 0;
    int channels = 0;  // a multiple of 16
    int rows = 0;
    bool exact = false;  // holds fp32 whatever the storage

    int slot(int row) const { return row % rows; }
};

inline std::uint64_t ring_bytes(const DeviceRing& ring, Storage storage) {
    return static_cast<std::uint64_t>(ring.width) * static_cast<std::uint64_t>(ring.channels) *
           static_cast<std::uint64_t>(ring.rows) *
           static_cast<std::uint64_t>(ring.exact ? 4 : bytes_per_value(storage));
}

}  // namespace realesrgan::vulkan
