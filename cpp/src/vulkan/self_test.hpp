#pragma once

#include "vulkan/tuning/kernel_set.hpp"

namespace realesrgan::vulkan {

// Differences from the reference (program/reference.hpp), each over (1 + |value|). NaN and
// infinities count as infinite.
struct SelfTestError {
    double largest = 0.0, mean = 0.0;
};

// Runs a small picture through a network of every kind of convolution with these kernels. Throws
// DeviceError, OutOfMemoryError.
SelfTestError self_test_error(int device, Storage storage, const KernelSet& kernels);

// The largest error that rounding can explain.
double self_test_limit(Storage storage);

// The largest mean error of kernels with sums in fp16 with which official networks keep within one
// step of 8 bits.
double fp16_sums_limit();

// Whether kernels, of which some sum in fp16, are too far off on a device that rounds such sums too
// often. That is no fault of its driver.
bool rounds_too_often(const SelfTestError& error, const KernelSet& kernels);

}  // namespace realesrgan::vulkan
