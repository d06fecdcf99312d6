#pragma once

#include <cstdint>
#include <optional>
#include <tuple>

#include "plan/plan.hpp"
#include "plan/tiling.hpp"
#include "program/program.hpp"

namespace realesrgan {

struct PlanConstraints {
    int width = 0;  // of the picture, not yet padded
    int height = 0;
    SampleType input_type = SampleType::u8;
    SampleType output_type = SampleType::u8;
    bool sums = false;  // results are added up as floats, whatever the output type
    int receptive_field = 0;
    std::uint64_t budget = 0;  // bytes in all, weights included
    std::uint64_t most = 0;    // what the smallest plan may take where nothing fits the budget
    int band = 0;              // rows a step takes; 0: the largest useful one that fits

    bool same_but_budget(const PlanConstraints& other) const {
        return std::tie(width, height, input_type, output_type, sums, receptive_field, band) ==
               std::tie(other.width, other.height, other.input_type, other.output_type, other.sums,
                        other.receptive_field, other.band);
    }
};

// What keeps a picture from being run at its whole width, or at all.
enum class Shortage {
    none,
    memory,   // the budget
    binding,  // StorageModel::max_binding_bytes, whatever memory there is
};

// How a picture is run: in column tiles (usually one), each in bands.
struct RunStrategy {
    AxisTiling column_tiles;
    BandConfig config;  // of the widest column tile; the others differ in width
    std::uint64_t bytes = 0;
    std::uint64_t host_bytes = 0;  // of the machine's memory, for sums of floats
    Shortage shortage = Shortage::none;
    int halo = 0;          // picture columns computed again on each side of a column tile
    bool largest = false;  // more memory would not make the band higher
};

// The largest band of the whole width that fits the budget. Where not even one row does: column
// tiles with the halo of the receptive field, or of 64 pixels where that does not fit either, and
// then the largest band. Nothing when the smallest plan is too large. What the host adds up counts
// unless the device has memory of its own.
std::optional<RunStrategy> choose_plan(const Program& program, const StorageModel& storage,
                                       const PlanConstraints& constraints);

// Bytes of the smallest plan there is; UINT64_MAX where no buffer is large enough for any.
std::uint64_t smallest_plan_bytes(const Program& program, const StorageModel& storage,
                                  const PlanConstraints& constraints);

}  // namespace realesrgan
