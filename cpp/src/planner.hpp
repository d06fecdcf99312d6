#pragma once

#include <cstdint>
#include <optional>

#include "plan.hpp"
#include "program.hpp"
#include "tiling.hpp"

namespace realesrgan {

struct PlannerRequest {
    int width = 0;  // of the picture, not yet padded
    int height = 0;
    SampleType input_type = SampleType::u8;
    SampleType output_type = SampleType::u8;
    bool sums = false;  // results are added up as floats, whatever the output type
    int receptive_field = 0;
    std::uint64_t budget = 0;  // bytes in all, weights included
    int band = 0;              // rows a step takes; 0: the largest useful one that fits
};

// How a picture is run: in strips of its columns (usually one), each in bands.
struct StreamPlan {
    AxisPlan strips;
    PlanRequest request;  // of the widest strip; the others differ in width
    std::uint64_t bytes = 0;
};

// The largest band of the whole width that fits the budget. Where not even one row does: strips
// with the halo of the receptive field, or of 64 pixels where that does not fit either, and then
// the largest band. Nothing when the smallest plan is too large.
std::optional<StreamPlan> choose_plan(const Program& program, const StorageModel& storage,
                                      const PlannerRequest& request);

// Bytes of the smallest plan there is.
std::uint64_t smallest_plan_bytes(const Program& program, const StorageModel& storage,
                                  const PlannerRequest& request);

}  // namespace realesrgan
