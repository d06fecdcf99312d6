#include "vulkan/tune_device.hpp"

#include <cmath>
#include <stdexcept>

#include "vulkan/device/context.hpp"
#include "vulkan/kernel_store.hpp"

namespace realesrgan::vulkan {

namespace {

constexpr double kMostSeconds = 60.0;

Storage storage_of(bool fp16) {
    return fp16 ? Storage::fp16 : Storage::fp32;
}

const ncnn::GpuInfo& info_of(int device) {
    const bool exists = device >= 0 && device < gpu_count();
    return exists ? ncnn::get_gpu_info(device)
                  : gpu_device(device).info;  // which says what is wrong
}

std::optional<double> finite(double seconds) {
    return std::isfinite(seconds) ? std::optional(seconds) : std::nullopt;
}

}  // namespace

TuningReport tune(int device, bool fp16, double seconds) {
    if (!(seconds > 0.0 && seconds <= kMostSeconds)) {
        throw std::invalid_argument("seconds is " + std::to_string(seconds) +
                                    "; expected more than 0, and 60 at most");
    }
    const GpuActivityGuard use;
    const auto context = Context::open(device);
    Timings timings;
    TuningReport report;
    report.chosen =
        record_of(context->shared<KernelStore>().tune(context, storage_of(fp16), seconds, timings));
    for (const KernelTiming& timing : timings.kernels) {
        report.kernels.push_back(
            {timing.choice.text(), finite(timing.narrow), finite(timing.wide)});
    }
    report.pair = {finite(timings.pair.together), finite(timings.pair.apart)};
    report.bands = timings.bands;
    return report;
}

std::optional<KernelRecord> stored_kernels(int device, bool fp16) {
    return read_kernel_record(info_of(device), storage_of(fp16));
}

void forget_kernels(int device) {
    for (const bool fp16 : {false, true}) remove_kernel_record(info_of(device), storage_of(fp16));
}

}  // namespace realesrgan::vulkan
