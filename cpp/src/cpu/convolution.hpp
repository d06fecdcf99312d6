#pragma once

#include <cstdint>
#include <vector>

#include "cpu/buffer.hpp"
#include "cpu/line_buffer.hpp"
#include "cpu/winograd/convolution.hpp"
#include "program/program.hpp"

namespace realesrgan::cpu {

// What one run of a convolution reads and writes: output rows [first, first + count).
struct RowBand {
    const LineBuffer* input = nullptr;
    const LineBuffer* output = nullptr;
    const LineBuffer* duplicate_output = nullptr;  // or null
    std::vector<const LineBuffer*> skips;          // as Op::skips
    int first = 0;
    int count = 0;
};

// The values as halves where every one of them is a finite half exactly, otherwise none.
std::vector<std::uint16_t> as_fp16(const float* values, std::size_t count);

// One fused convolution on the processor. Immutable: sessions of several threads run it at once.
class FusedConvolution {
  public:
    // `op` must outlive it.
    FusedConvolution(const Op& op, const ConvolutionWeights& weights, winograd::WeightForm form,
                     const winograd::Kernel& kernel, int threads);

    // `scratch`: at least scratch_bytes() for this band.
    void run(const RowBand& band, const HostBuffer& scratch) const;
    std::uint64_t scratch_bytes(int width, int rows) const;  // of the output
    std::uint64_t weight_bytes() const { return convolution_.bytes(); }

  private:
    const Op& op_;
    winograd::Convolution convolution_;
    int threads_;
};

}  // namespace realesrgan::cpu
