#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "plan/plan.hpp"
#include "plan/tiling.hpp"
#include "program/program.hpp"
#include "realesrgan/plan_report.hpp"

namespace realesrgan {

struct PlanConstraints {
    RunShape shape;     // of the picture, not yet padded
    bool sums = false;  // results are added up as floats, whatever the output type
    int receptive_field = 0;
    std::uint64_t budget = 0;  // bytes in all, weights included
    std::uint64_t most = 0;    // what the smallest plan may take where nothing fits the budget
    int band = 0;              // as BandConfig::band; 0: the largest useful one that fits

    bool same_but_budget(const PlanConstraints& other) const {
        return std::tie(shape, sums, receptive_field, band) ==
               std::tie(other.shape, other.sums, other.receptive_field, other.band);
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
    // Of each column tile; they differ in width only, and tiles of one width have one plan.
    std::vector<std::shared_ptr<const ExecutionPlan>> plans;
    std::size_t widest = 0;  // of the column tiles
    std::uint64_t bytes = 0;
    std::uint64_t host_bytes = 0;  // of the machine's memory, for sums of floats
    Shortage shortage = Shortage::none;
    int halo = 0;          // picture columns computed again on each side of a column tile
    bool largest = false;  // more memory would not make the band higher

    int first_column(int tile) const {  // of the picture that a column tile reads
        return static_cast<int>(column_tiles.tiles[idx(tile)].read.begin);
    }
    const ExecutionPlan& widest_plan() const { return *plans[widest]; }
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
