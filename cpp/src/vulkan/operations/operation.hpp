#pragma once

#include <array>
#include <optional>
#include <vector>

#include "plan/plan.hpp"
#include "vulkan/device/command_buffer.hpp"
#include "vulkan/device/pipeline_registry.hpp"
#include "vulkan/operations/convolution_kernels.hpp"
#include "vulkan/operations/result_samples.hpp"
#include "vulkan/operations/ring_buffer.hpp"
#include "vulkan/operations/weights.hpp"

namespace realesrgan::vulkan {

// Where an op that stores the result writes it: rows from `first` on, behind the header.
struct ResultRows {
    const Buffer* buffer = nullptr;
    Row first = 0;
};

// One op of a program on given ring buffers, which can be recorded for any row band of up to
// `most_rows` rows. Ops of the same shape share their pipeline.
class Operation {
  public:
    // `rings` is indexed as Program::tensors; `layer` belongs to an op with weights and is null
    // otherwise. `result`: it stores the program's result (can_fuse_store), and its output's ring
    // has no buffer.
    Operation(Context& context, Storage storage, const KernelConfig& choice, const Op& op,
              const std::vector<RingBuffer>& rings, const LayerWeights* layer, int most_rows,
              const std::optional<ResultSamples>& result = std::nullopt);

    // To be compiled (PipelineRegistry::compile) before recording.
    Pipeline& pipeline() const { return *pipeline_; }

    // `result`: of an op that stores it.
    void record(CommandBuffer& commands, const Weights& weights, RowRange rows,
                const ResultRows& result = {}) const;

  private:
    bool is_blocked(const KernelConfig& choice, const Op& op) const;
    void choose_convolution(Context& context, const KernelConfig& choice, Constants constants,
                            const Op& op, int most_rows);
    void choose_matrix(Context& context, const KernelConfig& choice, Constants constants,
                       int most_rows, const Op& op);
    void choose_blocked(Context& context, const KernelConfig& choice, Constants constants,
                        int most_rows);
    void find_limits(const Context& context);
    int rows_at_once(RowRange rows) const;
    RingWindow skip_window(std::size_t index, RowRange rows) const;
    void record_part(CommandBuffer& commands, const Weights& weights, RowRange rows,
                     const ResultRows& result) const;
    std::uint64_t ring_bytes(int rows) const;
    void choose_channelwise(Context& context, Constants constants, const Op& op);
    void choose_pointwise(Context& context, Constants constants, const Op& op);
    ShaderVariant row_variant() const;
    void use(Pipeline& pipeline);

    RingBuffer src_, dst_, duplicate_;
    std::array<RingBuffer, kMaxSkips> skips_;
    std::array<int, kMaxSkips> skip_upsample_{1, 1};
    LayerWeights layer_;
    bool has_weights_ = false;
    Storage storage_;
    int in_channels_ = 0, out_offset_ = 0;
    std::size_t skip_count_ = 0, duplicate_count_ = 0;
    std::optional<ResultSamples> result_;
    int halo_ = 0;  // source rows read beyond those of the result
    // source row of output row y: y * reduce / enlarge + first_row
    int enlarge_ = 1, reduce_ = 1, first_row_ = 0;

    Pipeline* pipeline_ = nullptr;
    // what a workgroup makes; the plain convolution's first axis runs over channels, the others'
    // last
    bool channels_first_ = false;
    int tile_width_ = 1, tile_height_ = 1, tile_channels_ = 4;
    int out_channels_ = 0;
    // of one dispatch: what the device's limit on workgroups allows
    int most_columns_ = 0, most_rows_ = 0;
};

}  // namespace realesrgan::vulkan
