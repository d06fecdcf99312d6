#include "vulkan/operations/result_samples.hpp"

#include <string>

#include "image/image_view.hpp"

namespace realesrgan::vulkan {

ResultSamples result_samples(const ExecutionPlan& plan) {
    const SessionFormat& format = plan.config().format;
    return {static_cast<int>(sample_size(format.output)), plan.program().output.channels,
            format.clamp};
}

void write_samples(ShaderVariant& variant, const ResultSamples& samples) {
    variant.samples = true;
    variant.defines += "#define SAMPLE_BYTES " + std::to_string(samples.bytes) +
                       "\n#define SAMPLE_CHANNELS " + std::to_string(samples.channels) +
                       "\n#define CLAMP " + std::to_string(int{samples.clamp}) + "\n";
}

}  // namespace realesrgan::vulkan
