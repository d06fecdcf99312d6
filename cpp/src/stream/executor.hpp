#pragma once

#include <cstdint>
#include <memory>

#include "realesrgan/rows.hpp"
#include "realesrgan/upscaler.hpp"
#include "stream/backend.hpp"

namespace realesrgan {

// Statistics of a run, for the checks at its end.
struct StreamRecord {
    double input_sum = 0.0;  // of positive samples, 0..1 each
    std::uint64_t input_samples = 0;
    float largest_result = 0.0F;   // of the rows looked at: those up to the first that is not black
    std::uint64_t not_finite = 0;  // result samples
    RowRange first_not_finite{};   // result rows of the step that had the first of them
    std::uint64_t allocated_bytes = 0;  // the session's, at most
    std::uint64_t dispatches = 0;
};

// Runs all steps of a plan in a session and keeps as many in flight as the backend allows.
// `column`: of the source, where the plan's column tile begins. `progress` is called with the
// completed fraction of the steps; what it throws ends the run.
void run_plan(const Backend& backend, const std::shared_ptr<const ExecutionPlan>& plan,
              RowSource& source, int column, RowSink& sink, const Progress& progress,
              StreamRecord& record);

}  // namespace realesrgan
