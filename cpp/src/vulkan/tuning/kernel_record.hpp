#pragma once

#include <string>
#include <vector>

namespace realesrgan::vulkan {

// Rows of a band, however wide the picture; and pixels, where nobody has measured how many keep the
// device busy: 80 rows of 512.
inline constexpr int kBandRows = 16;
inline constexpr int kBandPixels = 80 * 512;

// The kernels of a device as they are kept beside the pipeline cache, for one driver and version of
// this library.
struct KernelRecord {
    std::string narrow, wide;  // ConvolutionChoice::text()
    int band_pixels = kBandPixels;
    double pixel_seconds = 0.0;  // of a dense block's pixel in such bands; 0: not measured
    bool tuned = false;
    std::vector<std::string> notes;
};

}  // namespace realesrgan::vulkan
