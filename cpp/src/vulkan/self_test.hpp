#pragma once

#include "vulkan/tuning/kernel_set.hpp"

namespace realesrgan::vulkan {

// Runs a small picture through a network of every kind of convolution, with these kernels and
// through the reference (program/reference.hpp), and gives the largest difference over (1 +
// |value|); NaN and infinities count as infinite. Throws DeviceError, OutOfMemoryError.
double self_test_error(int device, Storage storage, const KernelSet& kernels);

// The largest error that rounding can explain.
double self_test_limit(Storage storage);

}  // namespace realesrgan::vulkan
