#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vulkan/tuning/kernel_record.hpp"

namespace realesrgan::vulkan {

// Seconds for each output pixel of a dense block's layers; nothing if there was no time left, or
// the driver cannot compile the kernel.
struct KernelTime {
    std::string kernel;
    std::optional<double> narrow, wide;  // to up to 32 output channels, and to more
};

// The same of two layers in one dispatch and in two; nothing if the device computes no pairs.
struct PairTimes {
    std::optional<double> together, apart;
};

struct TuningReport {
    KernelRecord chosen;
    std::vector<KernelTime> kernels;
    PairTimes pair;
    std::vector<BandTime> bands;
};

// Times a device's kernels for about so many seconds (above 0, at most 60), tests the fastest
// against the reference and stores the choice. Throws std::invalid_argument, DeviceError,
// OutOfMemoryError.
TuningReport tune(int device, bool fp16, double seconds);

// The stored record; the device is not opened. Throws DeviceError if there is no such device.
std::optional<KernelRecord> stored_kernels(int device, bool fp16);
void forget_kernels(int device);

}  // namespace realesrgan::vulkan
