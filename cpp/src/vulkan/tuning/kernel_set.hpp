#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vulkan/operations/convolution_kernels.hpp"
#include "vulkan/tuning/kernel_record.hpp"

namespace realesrgan::vulkan {

// The kernels of a device's convolutions.
struct KernelSet {
    KernelConfig narrow;             // layers of up to kNarrowOutputs
    KernelConfig wide;               // all others
    bool pairs = false;              // convolutions of dense blocks are computed in pairs
    int band_pixels = kBandPixels;   // of the input ring: more at a time would gain nothing
    double pixel_seconds = 0.0;      // of a dense block's pixel in such bands; 0: not measured
    bool tuned = false;              // chosen by time, not by expectation
    std::vector<std::string> notes;  // kernels that were dropped, and why; a line each

    const KernelConfig& of(int outputs) const;
};

// One kernel for all layers.
KernelSet alone(const KernelConfig& choice);

inline constexpr int kNarrowOutputs = 32;

KernelRecord record_of(const KernelSet& set);
// Nothing if the record names a configuration that is not among these.
std::optional<KernelSet> set_of(const KernelRecord& record,
                                const std::vector<KernelConfig>& choices);

// Nothing without a record, or if it is damaged or of another version.
std::optional<KernelRecord> read_kernel_record(const ncnn::GpuInfo& info, Storage storage);
void write_kernel_record(const ncnn::GpuInfo& info, Storage storage, const KernelRecord& record);
void remove_kernel_record(const ncnn::GpuInfo& info, Storage storage);
std::string kernel_record_path(const ncnn::GpuInfo& info, Storage storage);

}  // namespace realesrgan::vulkan
