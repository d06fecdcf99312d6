#include "plan/planner.hpp"

#include <algorithm>
#include <functional>

#include "base/integers.hpp"
#include "base/interruption.hpp"
#include "base/memory_budget.hpp"
#include "plan/schedule.hpp"

namespace realesrgan {

namespace {

constexpr int kSmallestHalo = 64;
constexpr int kSmallestColumnTile = 32;
constexpr int kFeather = 16;  // where the halo cuts the receptive field off, neighbours are blended

// The first number of [low, high] for which `holds`, which holds for `high` and all above the
// first.
int first_where(int low, int high, const std::function<bool(int)>& holds) {
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (holds(middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

class Planner {
  public:
    Planner(const Program& program, const StorageModel& storage, const PlanConstraints& constraints)
        : program_(program), storage_(storage), constraints_(constraints) {}

    std::optional<RunStrategy> choose() const {
        const AxisTiling whole = column_tiles(constraints_.width, 0);
        if (const int band = largest_band(whole); band > 0) {
            return plan(whole, band, Shortage::none, 0);
        }
        const Shortage shortage =
            binding_too_small(smallest_band_of(whole)) ? Shortage::binding : Shortage::memory;
        for (const int halo :
             {std::max(constraints_.receptive_field, kSmallestHalo), kSmallestHalo}) {
            const AxisTiling cut = widest_tiles(halo);
            if (cut.tiles.empty()) continue;
            return plan(cut, largest_band(cut), shortage, halo);
        }
        return std::nullopt;
    }

    std::uint64_t smallest() const {
        std::uint64_t least = UINT64_MAX;
        for (const int tile :
             {std::min(kSmallestColumnTile, constraints_.width), constraints_.width}) {
            const AxisTiling cut =
                column_tiles(tile, tile < constraints_.width ? kSmallestHalo : 0);
            least = std::min(least, least_bytes(cut));
        }
        return least;
    }

  private:
    AxisTiling column_tiles(std::int64_t core, int halo) const {
        const int feather = halo < constraints_.receptive_field ? kFeather : 0;
        const bool whole = core >= constraints_.width;
        const std::int64_t tile = whole ? round_up(constraints_.width, program_.unshuffle) : core;
        return tile_axis(constraints_.width, TileRequest{tile, halo, program_.unshuffle, feather});
    }

    BandConfig band_config(const AxisTiling& cut, int band) const {
        BandConfig config;
        config.width = static_cast<int>(cut.longest_read());
        config.height = round_up(constraints_.height, program_.unshuffle);
        config.band = band;
        if (storage_.tail_band > 0) {
            const int higher = std::max(1, band / storage_.band);
            config.tail_band = std::min(storage_.tail_band * higher, band);
        }
        config.input_type = constraints_.input_type;
        const bool floats = constraints_.sums || cut.tiles.size() > 1;
        config.output_type = floats ? SampleType::f32 : constraints_.output_type;
        return config;
    }

    ExecutionPlan smallest_band_of(const AxisTiling& cut) const {
        return ExecutionPlan(program_, band_config(cut, std::max(constraints_.band, 1)), storage_);
    }

    bool binding_too_small(const ExecutionPlan& plan) const {
        return storage_.max_binding_bytes > 0 &&
               plan.largest_binding() > storage_.max_binding_bytes;
    }

    // Blending keeps floats of the overlaps of two column tiles, sums floats of the whole result.
    std::uint64_t host_bytes(const AxisTiling& cut) const {
        // In doubles: of a picture of the largest sides, 64 bits do not hold the product.
        const double scale = program_.scale();
        const double column = static_cast<double>(constraints_.height) * scale * scale *
                              program_.output.channels * sizeof(float);
        const double overlaps = cut.tiles.size() > 2 ? 2 : cut.tiles.size() > 1 ? 1 : 0;
        const double columns = constraints_.sums ? constraints_.width
                                                 : overlaps * 2 * static_cast<double>(cut.feather);
        return static_cast<std::uint64_t>(std::min(columns * column, kMostBytes));
    }

    std::uint64_t bytes(const AxisTiling& cut, int band) const {
        check_interruption();
        const ExecutionPlan plan(program_, band_config(cut, band), storage_);
        if (binding_too_small(plan)) return UINT64_MAX;
        return plan.memory().total() + (storage_.own_memory ? 0 : host_bytes(cut));
    }

    bool fits(const AxisTiling& cut, int band) const {
        return bytes(cut, band) <= constraints_.budget;
    }

    // Of the bands one row high, and of the lowest whose rings share shared buffers.
    std::uint64_t least_bytes(const AxisTiling& cut) const {
        if (constraints_.band > 0) return bytes(cut, constraints_.band);
        return std::min(bytes(cut, 1), bytes(cut, storage_.share_from_band));
    }

    bool fits(const AxisTiling& cut) const { return least_bytes(cut) <= constraints_.budget; }

    int useful_band(const AxisTiling& cut) const {
        const auto columns = cut.longest_read() / program_.unshuffle;
        const auto rows =
            static_cast<int>(storage_.band_pixels / std::max<std::int64_t>(columns, 1));
        const int height = round_up(constraints_.height, program_.unshuffle) / program_.unshuffle;
        if (rows >= height) return std::max(storage_.band, height);
        if (rows <= storage_.band) return storage_.band;
        // As high as each other, with what the last op lags behind: a low last band leaves a device
        // idle, and the others cost memory.
        const int rows_fed = Schedule(program_, {}, height, 1, 0, false).rows_to_finish();
        const int bands = ceil_div(rows_fed, rows);
        return std::max(storage_.band, in_steps(ceil_div(rows_fed, bands)));
    }

    int in_steps(int band) const {
        return band < storage_.band_step ? band : band - band % storage_.band_step;
    }

    // 0 when no band fits. A higher band takes more memory than a lower one, but for those from
    // which on rings share shared buffers: each of these ranges is searched, from the highest down.
    int largest_band(const AxisTiling& cut) const {
        if (constraints_.band > 0) return fits(cut, constraints_.band) ? constraints_.band : 0;
        const int useful = useful_band(cut);
        if (fits(cut, useful)) return useful;
        const auto shared = [&](int band) {
            return ExecutionPlan(program_, band_config(cut, band), storage_)
                .shared_buffers()
                .size();
        };
        for (int end = useful; end >= 1;) {  // the highest band of a range
            const std::size_t most = shared(end);
            const int begin = first_where(1, end, [&](int band) { return shared(band) == most; });
            if (fits(cut, begin)) {
                const int above =
                    first_where(begin, end + 1, [&](int band) { return !fits(cut, band); });
                return std::max(begin, in_steps(above - 1));
            }
            end = begin - 1;
        }
        return 0;
    }

    AxisTiling widest_tiles(int halo) const {
        std::int64_t low = kSmallestColumnTile;
        if (low >= constraints_.width || !fits(column_tiles(low, halo))) return {};
        std::int64_t high = constraints_.width;  // does not fit
        while (high - low > 1) {
            const std::int64_t middle = low + (high - low) / 2;
            (fits(column_tiles(middle, halo)) ? low : high) = middle;
        }
        return column_tiles(low, halo);
    }

    RunStrategy plan(const AxisTiling& cut, int band, Shortage shortage, int halo) const {
        const bool largest = shortage == Shortage::none && band >= useful_band(cut);
        return RunStrategy{
            cut,    band_config(cut, band), bytes(cut, band), host_bytes(cut), shortage, halo,
            largest};
    }

    const Program& program_;
    const StorageModel& storage_;
    const PlanConstraints& constraints_;
};

}  // namespace

std::optional<RunStrategy> choose_plan(const Program& program, const StorageModel& storage,
                                       const PlanConstraints& constraints) {
    return Planner(program, storage, constraints).choose();
}

std::uint64_t smallest_plan_bytes(const Program& program, const StorageModel& storage,
                                  const PlanConstraints& constraints) {
    return Planner(program, storage, constraints).smallest();
}

}  // namespace realesrgan
