// Compiled once per instruction set and size of tile (KERNEL_TILE), with KERNEL_ISA naming the
// namespace (see simd.hpp).
#include "cpu/winograd/kernel.hpp"

#include "cpu/winograd/direct.hpp"
#include "cpu/winograd/gemm.hpp"
#include "cpu/winograd/input_transform.hpp"
#include "cpu/winograd/matrix_rows.hpp"
#include "cpu/winograd/output_transform.hpp"
#include "cpu/winograd/weight_transform.hpp"

namespace realesrgan::winograd::KERNEL_ISA {
namespace {

// Independent multiply-adds in registers: the peak rate of the processor.
double fma_peak(long rounds) {
    constexpr int chains = 12;
    Vec<kLanes> sum[chains];
    for (int i = 0; i < chains; ++i) sum[i] = splat<kLanes>(static_cast<float>(i));
    Vec<kLanes> factor = splat<kLanes>(0.999f);
    Vec<kLanes> term = splat<kLanes>(0.001f);
    for (long round = 0; round < rounds; ++round) {
        REALESRGAN_UNROLL
        for (int i = 0; i < chains; ++i) sum[i] = sum[i] * factor + term;
    }
    Vec<kLanes> total = splat<kLanes>(0.0f);
    for (int i = 0; i < chains; ++i) total += sum[i];
    float lanes[kLanes];
    store<kLanes>(lanes, total);
    // Never true, but the compiler cannot know: the chains must be computed.
    if (lanes[0] == -1.0f) return 0.0;
    return 2.0 * chains * kLanes * static_cast<double>(rounds);
}

}  // namespace

extern const Kernel kernel;
const Kernel kernel = {
    KERNEL_NAME,
    kTile,
    kPoints,
    kTiles,
    kPanel,
    transform_input,
    multiply,
    transform_output,
    gather_input,
    multiply_taps,
    store_output,
    multiply_depthwise,
    {transform_weights<float>, separate_taps<float>},
    {transform_weights<std::uint16_t>, separate_taps<std::uint16_t>},
    multiply_rows,
    fma_peak,
};

static_assert(kBlockStep % kTiles == 0);

}  // namespace realesrgan::winograd::KERNEL_ISA
