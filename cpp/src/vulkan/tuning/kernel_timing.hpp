#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "vulkan/tuning/benchmark_block.hpp"
#include "vulkan/tuning/kernel_record.hpp"
#include "vulkan/tuning/kernel_set.hpp"

namespace realesrgan::vulkan {

// Seconds for each output pixel of two layers of a dense block; RRDBNet spends nine tenths of its
// time in dense blocks. Infinite if there was no time left to measure.
struct KernelTiming {
    KernelConfig choice;
    double narrow = std::numeric_limits<double>::infinity();  // 128 to 32 channels
    double wide = std::numeric_limits<double>::infinity();    // 192 to 64 channels, and a skip
};

// Of two layers, from 128 and from 160 channels to 32, with the kernel that was the fastest for
// them: in one dispatch and in two.
struct PairTime {
    KernelConfig choice;
    double together = std::numeric_limits<double>::infinity();
    double apart = std::numeric_limits<double>::infinity();
};

struct Timings {
    std::vector<KernelTiming> kernels;  // as the choices were given
    PairTime pair;                      // infinite where the device computes none
    std::vector<BandTime> bands;
};

// Seconds of an output pixel of layers of the block in bands of so many rows, measured for about so
// many seconds. Tests replace DenseBlock's, whose result depends on what else the machine does.
using MeasureLayers = std::function<double(
    const DenseBlock& block, const std::vector<Operation>& layers, int rows, double seconds)>;

// Times the configurations in order until the time is used up; the first is always timed, and may
// take longer. One that cannot be compiled stays infinite. Throws DeviceError, OutOfMemoryError.
Timings time_kernels(
    const std::shared_ptr<Context>& context, Storage storage,
    const std::vector<KernelConfig>& choices, double seconds,
    const MeasureLayers& measure = [](const auto& block, const auto& layers, int rows,
                                      double limit) { return block.time(layers, rows, limit); });

// The fastest of `choices`, and the smallest row band that is about as fast as the best.
// Configurations that were not timed come last, in their order.
KernelSet fastest(const Timings& timings, const std::vector<KernelConfig>& choices);

}  // namespace realesrgan::vulkan
