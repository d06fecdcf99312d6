#pragma once

#include <memory>

#include "stream/backend.hpp"
#include "vulkan/tuning/kernel_set.hpp"

namespace realesrgan::vulkan {

// Uses these kernels instead of those of the kernel store. The network must outlive the backend.
std::unique_ptr<Backend> make_vulkan_backend(const FusedNetwork& network, int device,
                                             Storage storage, const KernelSet& kernels);

}  // namespace realesrgan::vulkan
