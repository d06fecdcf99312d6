#pragma once

#include <string>
#include <utility>

#include "realesrgan/upscaler.hpp"
#include "support/check.hpp"
#include "support/sample_picture.hpp"
#include "vulkan/instance/instance.hpp"

// Whole networks on the first Vulkan device, and on the CPU.
namespace vulkan_runs {

using Files = std::pair<std::string, std::string>;

inline realesrgan::Options on_gpu(bool fp16 = false, int band = 0) {
    if (realesrgan::gpu_count() == 0) throw check::Skip("no Vulkan device on this machine");
    realesrgan::Options options;
    options.device = 0;
    options.fp16 = fp16;
    options.band = band;
    return options;
}

// What the device's results are compared with.
inline realesrgan::Options on_cpu() {
    realesrgan::Options options;
    options.threads = 2;
    return options;
}

template <typename Result, typename Sample>
sample_picture::Picture<Result> run(const realesrgan::Upscaler& upscaler,
                                    const sample_picture::Picture<Sample>& picture,
                                    const realesrgan::Progress& progress = nullptr) {
    const int scale = upscaler.network().scale;
    sample_picture::Picture<Result> result(picture.width * scale, picture.height * scale);
    upscaler.run(picture.source(), result.target(), progress);
    return result;
}

inline realesrgan::Upscaler open(const Files& files, const realesrgan::Options& options) {
    return {files.first, files.second, options};
}

}  // namespace vulkan_runs
