#pragma once

#include <cstdint>
#include <memory>

#include "realesrgan/profile.hpp"
#include "realesrgan/rows.hpp"
#include "realesrgan/upscaler.hpp"
#include "realesrgan/yuv.hpp"
#include "stream/backend.hpp"

namespace realesrgan {

// Statistics of a run, for the checks at its end.
struct StreamRecord {
    double input_sum = 0.0;  // of positive samples, 0..1 each; of luma alone where there are planes
    std::uint64_t input_samples = 0;
    // Of the rows looked at: those up to the first that is not black. Of planes: 0, or 1 where they
    // are not black.
    float largest_result = 0.0F;
    std::uint64_t not_finite = 0;       // result samples
    RowRange first_not_finite{};        // result rows of the step that had the first of them
    std::uint64_t allocated_bytes = 0;  // the session's, at most
    std::uint64_t dispatches = 0;
    RunProfile* profile =
        nullptr;  // where the times of everything are added; null: nothing is timed
};

// Runs all steps of a plan in a session and keeps as many in flight as the backend allows.
// `column`: of the source, where the plan's column tile begins. `progress` is called with the
// completed fraction of the steps; what it throws ends the run.
void run_plan(const Backend& backend, const std::shared_ptr<const ExecutionPlan>& plan,
              RowSource& source, int column, RowSink& sink, const Progress& progress,
              StreamRecord& record);

// The same from planes to planes, for a plan whose format has them.
void run_plan(const Backend& backend, const std::shared_ptr<const ExecutionPlan>& plan,
              const YuvView& source, const MutableYuvView& target, const Progress& progress,
              StreamRecord& record);

}  // namespace realesrgan
