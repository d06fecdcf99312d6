#pragma once

#include <limits>
#include <memory>
#include <vector>

#include "vulkan/tuning/kernel_record.hpp"
#include "vulkan/tuning/kernel_set.hpp"

namespace realesrgan::vulkan {

// Seconds of one output pixel of two of a dense block's layers: RRDBNet spends nine tenths of its
// time on such. Infinite where the time was up before.
struct KernelTiming {
    KernelConfig choice;
    double narrow = std::numeric_limits<double>::infinity();  // 128 to 32 channels
    double wide = std::numeric_limits<double>::infinity();    // 192 to 64 channels, and a skip
};

struct Timings {
    std::vector<KernelTiming> kernels;  // as the choices were given
    std::vector<BandTime> bands;
};

// Times the choices, the first ones first, until the time is up; the first is always timed, and may
// take longer. A choice that cannot be built is left infinite. Throws DeviceError,
// OutOfMemoryError.
Timings time_kernels(const std::shared_ptr<Context>& context, Storage storage,
                     const std::vector<KernelConfig>& choices, double seconds);

// The fastest of `choices` by these times, and the lowest band that is as good as the best; what
// has not been timed comes last, in the order given.
KernelSet fastest(const Timings& timings, const std::vector<KernelConfig>& choices);

}  // namespace realesrgan::vulkan
