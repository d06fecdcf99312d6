#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/buffer.hpp"
#include "cpu/line_buffer.hpp"
#include "cpu/winograd/kernel.hpp"
#include "program/program.hpp"

namespace realesrgan::cpu {

// What one run of a convolution reads and writes: output rows [first, first + count).
struct Band {
    const LineBuffer* input = nullptr;
    const LineBuffer* output = nullptr;
    const LineBuffer* duplicate_output = nullptr;  // or null
    std::vector<const LineBuffer*> skips;          // as Op::skips
    int first = 0;
    int count = 0;
};

// A session's temporary memory for a kernel.
class KernelScratch {
  public:
    virtual ~KernelScratch() = default;
};

// One fused convolution on the processor. Immutable: sessions of several threads run it at once.
class Convolution {
  public:
    virtual ~Convolution() = default;
    virtual void run(const Band& band, KernelScratch& scratch) const = 0;
    virtual std::uint64_t scratch_bytes(int width, int rows) const = 0;  // of the output
    virtual std::uint64_t weight_bytes() const = 0;
};

// A way to compute convolutions: ncnn's layers, or a kernel of our own.
class ConvolutionKernel {
  public:
    virtual ~ConvolutionKernel() = default;
    // Channels that lie side by side in a ring of so many channels.
    virtual int group(int ring_channels) const = 0;
    // `op` must outlive the result.
    virtual std::unique_ptr<Convolution> make(const Program& program, const Op& op,
                                              const ConvolutionWeights& weights) const = 0;
    // `bytes`: the most that scratch_bytes() of the convolutions to be run says.
    virtual std::unique_ptr<KernelScratch> make_scratch(Meter& meter,
                                                        std::uint64_t bytes) const = 0;
};

// Portable: every architecture that ncnn has kernels for. cpu/ncnn_convolution.cpp.
std::unique_ptr<ConvolutionKernel> make_ncnn_kernel(int threads);

// Our own, several times as fast. `lean`: weights stay as small as they came and are transformed in
// each run. cpu/winograd_convolution.cpp.
std::unique_ptr<ConvolutionKernel> make_winograd_kernel(int threads, bool lean,
                                                        const winograd::Kernel& kernel);

}  // namespace realesrgan::cpu
