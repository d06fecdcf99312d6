#include "plan/planner.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

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

    std::optional<RunStrategy> choose() {
        const AxisTiling whole = column_tiles(1, 0);
        if (const Plan plan = highest_band(whole)) return strategy(whole, plan, Shortage::none, 0);
        const Plan lowest = make_plan(whole, std::max(constraints_.band, 1));
        const Shortage shortage = binding_too_small(*lowest) ? Shortage::binding : Shortage::memory;
        for (const int halo :
             {std::max(constraints_.receptive_field, kSmallestHalo), kSmallestHalo}) {
            const AxisTiling tiles = column_tiles(fewest_column_tiles(halo), halo);
            if (const Plan plan = highest_band(tiles)) return strategy(tiles, plan, shortage, halo);
        }
        return std::nullopt;
    }

    std::uint64_t smallest() {
        std::uint64_t least = UINT64_MAX;
        const int most = most_column_tiles();
        for (const int count : {1, std::min(2, most), most}) {
            least = std::min(least, least_bytes(column_tiles(count, kSmallestHalo)));
        }
        return least;
    }

  private:
    using Plan = std::shared_ptr<const ExecutionPlan>;

    AxisTiling column_tiles(int count, int halo) const {
        const int feather = halo < constraints_.receptive_field ? kFeather : 0;
        const int tile = round_up(ceil_div(constraints_.shape.width, count), program_.alignment);
        const int beside = count > 1 ? std::max(halo - program_.border, 0) : 0;
        return tile_axis(constraints_.shape.width,
                         TileRequest{tile, beside, program_.alignment, feather, program_.border});
    }

    // Rows that are read of the picture and its borders.
    int height() const {
        const int height = constraints_.shape.height;
        const TileRequest whole{height, 0, program_.alignment, 0, program_.border};
        return static_cast<int>(tile_axis(height, whole).longest_read());
    }

    // From rows of the input tensor to those of scale 1, which bands are counted in.
    int in_band_rows(int rows) const { return std::max(1, rows / program_.tensors[0].scale); }

    int most_column_tiles() const {
        return ceil_div(constraints_.shape.width, kSmallestColumnTile);
    }

    // The most where no number fits.
    int fewest_column_tiles(int halo) {
        const auto fits_in = [&](int count) { return fits(column_tiles(count, halo)); };
        const int most = most_column_tiles();
        // The first and the last tile have a halo on one side: two tiles may be narrower than
        // three. From three on, more tiles are narrower, and take less memory except where tensors
        // of the wider ones share buffers: there the number found may be above the fewest.
        if (most <= 2 || fits_in(2)) return std::min(most, 2);
        return first_where(3, most, fits_in);
    }

    BandConfig band_config(int width, int band, bool floats) const {
        BandConfig config;
        config.width = width;
        config.height = height();
        config.band = band;
        if (storage_.tail_band > 0) {
            const int higher = std::max(1, band / in_band_rows(storage_.band));
            config.tail_band = std::min(in_band_rows(storage_.tail_band) * higher, band);
        }
        config.format.input = constraints_.shape.input;
        config.format.output = floats ? SampleType::f32 : constraints_.shape.output;
        config.format.clamp = !floats;
        const RunShape& shape = constraints_.shape;
        if (shape.input_planes && shape.output_planes && !floats) {
            const int scale = program_.scale();
            config.format.input_planes = PlaneShape{*shape.input_planes, shape.width, shape.height};
            config.format.output_planes =
                PlaneShape{*shape.output_planes, shape.width * scale, shape.height * scale};
        }
        return config;
    }

    // For the widest column tile.
    Plan make_plan(const AxisTiling& tiles, int band) {
        return make_plan(tiles, tiles.longest_read(), band);
    }

    Plan make_plan(const AxisTiling& tiles, std::int64_t width, int band) {
        check_interruption();
        const bool floats = constraints_.sums || tiles.tiles.size() > 1;
        const BandConfig config = band_config(static_cast<int>(width), band, floats);
        std::shared_ptr<const RowCounts>& rows = rows_[{band, floats}];
        if (!rows) rows = std::make_shared<const RowCounts>(program_, config, storage_);
        return std::make_shared<const ExecutionPlan>(program_, config, storage_, rows);
    }

    bool binding_too_small(const ExecutionPlan& plan) const {
        return storage_.max_binding_bytes > 0 &&
               plan.largest_binding() > storage_.max_binding_bytes;
    }

    // Blending keeps floats of the overlaps of two column tiles, sums floats of the whole result.
    std::uint64_t host_bytes(const AxisTiling& tiles) const {
        // In doubles: of a picture of the largest sides, 64 bits do not hold the product.
        const double scale = program_.scale();
        const double column = static_cast<double>(constraints_.shape.height) * scale * scale *
                              program_.output.channels * sizeof(float);
        const int overlaps = std::min(ssize(tiles.tiles) - 1, 2);
        const double columns = constraints_.sums
                                   ? constraints_.shape.width
                                   : overlaps * 2 * static_cast<double>(tiles.feather);
        return static_cast<std::uint64_t>(std::min(columns * column, kMostBytes));
    }

    std::uint64_t bytes(const AxisTiling& tiles, const ExecutionPlan& plan) const {
        if (binding_too_small(plan)) return UINT64_MAX;
        return plan.memory().total() + (storage_.own_memory ? 0 : host_bytes(tiles));
    }

    bool fits(const AxisTiling& tiles, int band) {
        return bytes(tiles, *make_plan(tiles, band)) <= constraints_.budget;
    }

    bool fits(const AxisTiling& tiles) { return least_bytes(tiles) <= constraints_.budget; }

    std::uint64_t least_bytes(const AxisTiling& tiles) {
        std::uint64_t least = UINT64_MAX;
        for (const int band : local_minima(tiles)) {
            least = std::min(least, bytes(tiles, *make_plan(tiles, band)));
        }
        return least;
    }

    int useful_band(const AxisTiling& tiles) const {
        const int lowest = in_band_rows(storage_.band);
        const int scale = program_.tensors[0].scale;
        const std::int64_t columns = tiles.longest_read() / program_.alignment * scale;
        const auto rows =
            static_cast<int>(storage_.band_pixels / std::max<std::int64_t>(columns, 1) / scale);
        const int height = this->height() / program_.alignment;
        if (rows >= height) return std::max(lowest, height);
        if (rows <= lowest) return lowest;
        // As high as each other, with what the last op lags behind: a low last band leaves a device
        // idle, and the others cost memory.
        const int rows_fed = Schedule(program_, {}, height, 1, 0, false).rows_to_finish();
        const int bands = ceil_div(rows_fed, rows);
        return std::max(lowest, in_steps(ceil_div(rows_fed, bands)));
    }

    int in_steps(int band) const {
        const int step = in_band_rows(storage_.band_step);
        return band < step ? band : band - band % step;
    }

    // Bands that take less memory than the next lower one, the highest first: band 1, and each from
    // which on more tensors share buffers. Above each of them memory grows up to the next.
    std::vector<int> local_minima(const AxisTiling& tiles) {
        if (constraints_.band > 0) return {constraints_.band};
        const auto shared = [&](int band) {
            return make_plan(tiles, band)->shared_buffers().size();
        };
        std::vector<int> minima;
        for (int end = useful_band(tiles); end >= 1; end = minima.back() - 1) {
            const std::size_t most = shared(end);
            minima.push_back(first_where(1, end, [&](int band) { return shared(band) == most; }));
        }
        return minima;
    }

    // The plan of the highest useful band that fits; null where none does.
    Plan highest_band(const AxisTiling& tiles) {
        int end = constraints_.band > 0 ? constraints_.band : useful_band(tiles);
        if (Plan plan = make_plan(tiles, end); bytes(tiles, *plan) <= constraints_.budget) {
            return plan;
        }
        for (const int begin : local_minima(tiles)) {
            if (fits(tiles, begin)) {
                const int above =
                    first_where(begin, end, [&](int band) { return !fits(tiles, band); });
                return make_plan(tiles, std::max(begin, in_steps(above - 1)));
            }
            end = begin;
        }
        return nullptr;
    }

    RunStrategy strategy(const AxisTiling& tiles, const Plan& plan, Shortage shortage, int halo) {
        RunStrategy strategy;
        strategy.column_tiles = tiles;
        strategy.bytes = bytes(tiles, *plan);
        strategy.host_bytes = host_bytes(tiles);
        strategy.shortage = shortage;
        strategy.halo = halo;
        const int band = plan->config().band;
        strategy.largest = shortage == Shortage::none && band >= useful_band(tiles);
        std::map<std::int64_t, Plan> plans{{plan->config().width, plan}};
        for (const AxisTile& tile : tiles.tiles) {
            Plan& made = plans[tile.read.size()];
            if (!made) made = make_plan(tiles, tile.read.size(), band);
            if (made == plan) strategy.widest = strategy.plans.size();
            strategy.plans.push_back(made);
        }
        return strategy;
    }

    const Program& program_;
    const StorageModel& storage_;
    const PlanConstraints& constraints_;
    // By band, and whether the result is floats.
    std::map<std::pair<int, bool>, std::shared_ptr<const RowCounts>> rows_;
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
