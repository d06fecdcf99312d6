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

// The weights of one network on one device, collected on the host, then uploaded once into a few
// buffers. First each layer gets its place, then all are put there, in any order and by any number
// of threads.
class Weights {
  public:
    Weights(std::shared_ptr<Context> context, Storage storage);

    LayerWeights place(int inputs, int outputs);
    // `slope` is every channel's where the layer has no slopes of its own.
    void put(const LayerWeights& place, const ConvolutionWeights& layer, float slope);

    // Copies everything to the device and forgets the host's copy. Throws OutOfMemoryError.
    void upload();

    const Buffer& buffer(const WeightRange& range) const { return *blocks_[range.block]; }
    std::uint64_t bytes() const;  // on the device

  private:
    // A buffer's bytes before they are uploaded, and how many of them have an owner.
    struct HostBlock {
        explicit HostBlock(std::uint64_t size);
        std::unique_ptr<std::byte, void (*)(void*)> bytes;  // zeros
        std::uint64_t size;
        std::uint64_t used = 0;
    };

    WeightRange place_bytes(std::uint64_t bytes);
    template <typename Value>
    Value* at(const WeightRange& range) const;

    std::shared_ptr<Context> context_;
    Storage storage_;
    std::vector<HostBlock> host_;
    std::vector<std::unique_ptr<Buffer>> blocks_;
};

}  // namespace realesrgan::vulkan
