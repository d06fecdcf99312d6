#pragma once

#include <string>
#include <vector>

namespace realesrgan::vulkan {

// A GPU keeps its cores busy with about a million invocations; more rows only cost memory.
inline constexpr int kLargestBand = 80;

// The kernels of a device as they are kept beside the pipeline cache, for one driver and version of
// this library.
struct KernelRecord {
    std::string narrow, wide;  // ConvolutionChoice::text()
    int band = kLargestBand;
    bool tuned = false;
    std::vector<std::string> notes;
};

}  // namespace realesrgan::vulkan
