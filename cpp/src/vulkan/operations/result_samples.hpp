#pragma once

#include "plan/plan.hpp"
#include "vulkan/device/pipeline.hpp"

namespace realesrgan::vulkan {

// How a result is stored: samples side by side, each row beginning with a whole word, behind a
// header whose first word counts samples that are not finite.
struct ResultSamples {
    int bytes = 1;  // of a sample; 4: a float
    int channels = 3;
    bool clamp = true;
};

inline constexpr int kResultHeaderBytes = 16;
inline constexpr int kResultRowMultiple = 4;  // bytes of a word

ResultSamples result_samples(const ExecutionPlan& plan);

// Makes a shader one that writes such samples.
void write_samples(ShaderVariant& variant, const ResultSamples& samples);

}  // namespace realesrgan::vulkan
