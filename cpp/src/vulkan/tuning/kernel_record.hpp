#pragma once

#include <string>
#include <vector>

namespace realesrgan::vulkan {

// The fewest rows of a row band, and the pixels of a band on devices that were not measured: 80
// rows of 512.
inline constexpr int kBandRows = 16;
inline constexpr int kBandPixels = 80 * 512;

inline constexpr double kTuningSeconds = 3.0;  // in all, on first use

struct BandTime {
    int pixels = 0;
    double seconds = 0.0;  // an output pixel of layers that stand for a dense block
};

// Floating-point operations for each pixel of BandTime: four layers of 128 to 32 channels and one
// of 192 to 64, which approximate a dense block.
inline constexpr double kBandFlops = 2.0 * 9 * (4 * 128 * 32 + 192 * 64);

// The chosen kernels of a device, stored beside the pipeline cache for one driver and version of
// this library.
struct KernelRecord {
    std::string narrow, wide;  // KernelConfig::text()
    bool pairs = false;        // convolutions of dense blocks are computed in pairs
    int band_pixels = kBandPixels;
    double pixel_seconds = 0.0;  // of a dense block's pixel in such bands; 0: not measured
    bool tuned = false;
    std::vector<std::string> notes;
};

}  // namespace realesrgan::vulkan
