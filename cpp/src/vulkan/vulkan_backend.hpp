#pragma once

#include <memory>

#include "stream/backend.hpp"
#include "vulkan/tuning/kernel_set.hpp"

namespace realesrgan::vulkan {

// With these kernels, whatever the device's own choice is. The network must outlive the backend.
std::unique_ptr<Backend> make_vulkan_backend(const FusedNetwork& network, int device,
                                             Storage storage, const KernelSet& kernels);

}  // namespace realesrgan::vulkan
