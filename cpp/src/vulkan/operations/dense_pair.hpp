#pragma once

#include <optional>

#include "plan/plan.hpp"
#include "vulkan/device/command_buffer.hpp"
#include "vulkan/device/pipeline_registry.hpp"
#include "vulkan/operations/convolution_kernels.hpp"
#include "vulkan/operations/ring_buffer.hpp"
#include "vulkan/operations/weights.hpp"

namespace realesrgan::vulkan {

// The most output channels of a pair's convolutions.
inline constexpr int kMostPairOutputs = 32;

// How a workgroup of dense_pair.comp partitions its output: two rows of `columns` subgroups, each
// of `r_tiles` rows of the second convolution; for pictures of this width, in row bands of up to
// `most_rows` rows. Nothing if the kernel is none of matrices, the
// workgroup would be too large, or the shared memory holds less than `least_rows` rows of a
// subgroup.
struct PairTiling {
    int m_tiles = 1, n_tiles = 1, r_tiles = 1;
    int columns = 1;
};
std::optional<PairTiling> pair_tiling(const KernelConfig& choice, int outputs, int width,
                                      int most_rows, std::uint64_t shared_bytes,
                                      std::uint64_t most_invocations);
std::uint64_t shared_bytes(const MatrixShape& shape, const PairTiling& tiling);

// Whether the device can compute convolutions in pairs with the matrices of this kernel.
bool can_pair(const Context& context, Storage storage, const KernelConfig& choice);

// Two convolutions of a dense block in one dispatch (plan/convolution_pairs.hpp), with the bits
// that they have one after the other.
class DensePair {
  public:
    // `ring`: the tensor that both read and write.
    DensePair(Context& context, const KernelConfig& choice, const Op& first, const Op& second,
              const RingBuffer& ring, const LayerWeights& first_layer,
              const LayerWeights& second_layer, int most_rows);

    // To be compiled (PipelineRegistry::compile) before recording.
    Pipeline& pipeline() const { return *pipeline_; }

    void record(CommandBuffer& commands, const Weights& weights, RowRange rows) const;

  private:
    std::uint64_t ring_bytes(int rows) const;

    RingBuffer ring_;
    LayerWeights first_, second_;
    int read_channels_ = 0, written_channels_ = 0;
    Pipeline* pipeline_ = nullptr;
    int tile_width_ = 1, tile_height_ = 1;
    // of one dispatch: what the device's limit on workgroups allows
    int most_columns_ = 0, most_rows_ = 0;
};

}  // namespace realesrgan::vulkan
