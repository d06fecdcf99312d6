#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "vulkan/device/buffer.hpp"
#include "vulkan/operations/dense_pair.hpp"
#include "vulkan/operations/operation.hpp"
#include "vulkan/operations/weights.hpp"
#include "vulkan/tuning/kernel_set.hpp"

namespace realesrgan::vulkan {

// One dense block of RRDBNet with its own buffers, for measurements: layer i of five reads the
// outputs of those before it; the first four have 32 output channels, the last has 64 and adds the
// input.
class DenseBlock {
  public:
    static constexpr int kLayers = 5;

    // `rows`: the largest row band that will be timed. Throws OutOfMemoryError, DeviceError.
    DenseBlock(std::shared_ptr<Context> context, Storage storage, int width, int rows);

    // Layers [first, end), with pipelines that are not compiled yet.
    std::vector<Operation> layers(const KernelSet& kernels, int first, int end) const;
    // Layers `first` and first + 1 in one dispatch; its pipeline is not compiled yet.
    DensePair pair(const KernelConfig& choice, int first) const;
    // Seconds of an output pixel of these layers in bands of so many rows.
    double time(const std::vector<Operation>& layers, int rows, double seconds) const;
    double time(const DensePair& pair, int rows, double seconds) const;

    // Bytes of its buffers for each pixel.
    static std::uint64_t bytes_per_pixel(Storage storage);

    int width() const { return width_; }
    int rows() const { return rows_; }

  private:
    void add_ring(int channels);
    double time(const std::function<void(CommandBuffer&)>& record, int rows, double seconds) const;

    std::shared_ptr<Context> context_;
    Storage storage_;
    int width_, rows_;
    Weights weights_;
    std::vector<LayerWeights> layers_;
    std::vector<std::unique_ptr<Buffer>> buffers_;
    std::vector<RingBuffer> rings_;
};

}  // namespace realesrgan::vulkan
