#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "program/program.hpp"
#include "vulkan/device/buffer.hpp"
#include "vulkan/device/pipeline_registry.hpp"

namespace realesrgan::vulkan {

// A range of one buffer that holds a layer's weights.
struct WeightRange {
    std::size_t block = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};

// One convolution's numbers.
struct LayerWeights {
    WeightRange taps;       // [tap][input][output], [tap][channel] if depthwise
    WeightRange epilogue;   // biases, then the slopes of negative values, each weight_pitch long
    int weight_pitch = 16;  // output channels, padded
    int weight_rows = 16;   // input channels, padded; 1 if depthwise
    int side = 3;           // of the kernel; a 1x1 one is stored as one of 3x3
};

// The values of one layer.
struct LayerNumbers {
    ConvolutionWeights weights;  // in either type
    float slope = 0.0F;          // every channel's where the layer has no slopes of its own
};

// The weights of one network on one device, in a few buffers. First every layer is placed, then all
// are uploaded.
class Weights {
  public:
    Weights(std::shared_ptr<Context> context, Storage storage);

    LayerWeights place(const ConvolutionShape& shape);

    // Calls `numbers` for each layer, in the order in which they were placed, on `threads` threads,
    // while the device copies the layers before. Throws OutOfMemoryError, DeviceError, and what
    // `numbers` throws.
    void upload(const std::function<LayerNumbers(std::size_t index)>& numbers, int threads);

    const Buffer& buffer(const WeightRange& range) const { return *blocks_[range.block]; }
    std::uint64_t bytes() const;  // on the device

  private:
    // Layers that lie together, and go to the device together.
    struct Part {
        std::size_t first = 0, end = 0;  // layers
        std::size_t block = 0;
        std::uint64_t begin_byte = 0, end_byte = 0;

        std::uint64_t bytes() const { return end_byte - begin_byte; }
    };

    std::uint64_t padded(std::uint64_t bytes) const;
    WeightRange place_bytes(std::uint64_t bytes);
    std::vector<Part> parts() const;
    // `part`: where the device's copy begins, on the host.
    void put(const LayerWeights& place, const LayerNumbers& numbers, std::byte* part,
             std::uint64_t begin_byte) const;

    std::shared_ptr<Context> context_;
    Storage storage_;
    std::vector<LayerWeights> placed_;
    std::vector<std::uint64_t> used_;  // bytes of a block that have an owner
    std::vector<std::unique_ptr<Buffer>> blocks_;
};

}  // namespace realesrgan::vulkan
