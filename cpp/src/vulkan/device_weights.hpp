#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "buffer.hpp"
#include "pipelines.hpp"
#include "program.hpp"

namespace realesrgan::vulkan {

// Where a layer's weights are: whole, inside one buffer.
struct WeightRange {
    std::size_t block = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};

// One convolution's numbers.
struct LayerWeights {
    WeightRange taps;       // [tap][input][output]
    WeightRange epilogue;   // biases, then the slopes of negative values, each weight_pitch long
    int weight_pitch = 16;  // output channels, padded
    int weight_rows = 16;   // input channels, padded
};

// The weights of one network on one device, collected on the host, then uploaded once into as few
// buffers as the device's binding limit allows.
class Weights {
  public:
    Weights(std::shared_ptr<Context> context, Storage storage);

    // `slope` is every channel's where the layer has no slopes of its own.
    LayerWeights add(const ConvolutionWeights& layer, float slope);

    // Copies everything to the device and forgets the host's copy. Throws OutOfMemoryError.
    void upload();

    const Buffer& buffer(const WeightRange& range) const { return *blocks_[range.block]; }
    std::uint64_t bytes() const;  // on the device

  private:
    WeightRange add_values(const std::vector<float>& values, Storage storage);
    WeightRange add_bytes(const void* data, std::uint64_t bytes);

    std::shared_ptr<Context> context_;
    Storage storage_;
    std::vector<std::vector<std::byte>> host_;
    std::vector<std::unique_ptr<Buffer>> blocks_;
};

}  // namespace realesrgan::vulkan
