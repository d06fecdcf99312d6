#include "stream/stream_engine.hpp"

#include <algorithm>
#include <cstdint>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_count.hpp"
#include "image/padded_rows.hpp"
#include "program/residual_precision.hpp"
#include "realesrgan/errors.hpp"
#include "stream/stream_run.hpp"

namespace realesrgan {

namespace {

std::string megabytes(std::uint64_t bytes) {
    return std::to_string((bytes + (1U << 20U) - 1) >> 20U) + " MiB";
}

CpuBackendOptions cpu_options(const Options& options) {
    CpuBackendOptions cpu;
    cpu.threads = thread_count(options.threads);
    cpu.memory_limit = options.memory_limit;
    cpu.instruction_set = options.backend;
    return cpu;
}

PlanConstraints on_side(PlanConstraints constraints) {
    std::swap(constraints.width, constraints.height);
    return constraints;
}

// Monotonically non-decreasing across retries.
std::function<void(double)> monotone(const Progress& progress) {
    return [&progress, best = 0.0](double fraction) mutable {
        best = std::max(best, std::min(fraction, 1.0));
        if (progress) progress(best);
    };
}

// Tracks whether a row was read; until then a run can be retried.
class UntouchedSource final : public RowSource {
  public:
    explicit UntouchedSource(RowSource& source) : source_(source) {}

    int width() const override { return source_.width(); }
    int height() const override { return source_.height(); }
    int channels() const override { return source_.channels(); }
    SampleType type() const override { return source_.type(); }
    void read(int first_row, int first_column, const MutableImageView& rows) override {
        untouched_ = false;
        source_.read(first_row, first_column, rows);
    }
    bool untouched() const { return untouched_; }

  private:
    RowSource& source_;
    bool untouched_ = true;
};

const char* column_tiles_reason(Shortage shortage) {
    return shortage == Shortage::binding
               ? "; at the whole width a buffer would be larger than the device can bind, so the "
                 "picture is cut into column tiles that overlap by a halo"
               : "; the whole width does not fit the memory, so the picture is cut into column "
                 "tiles "
                 "that overlap by a halo";
}

}  // namespace

StreamEngine::StreamEngine(FusedNetwork network, const NetworkInfo& info, const Options& options)
    : network_(std::make_unique<FusedNetwork>(std::move(network))), info_(info), options_(options) {
    if (options.fp16) keep_skips_apart(network_->program);
    backend_ = options.device == kCpuDevice
                   ? make_cpu_backend(*network_, cpu_options(options))
                   : make_vulkan_backend(*network_, options.device, options.fp16,
                                         thread_count(options.threads));
    network_->weights = nullptr;  // and with it the file
}

PlanConstraints StreamEngine::constraints(const RunShape& size) const {
    PlanConstraints constraints;
    constraints.width = size.width;
    constraints.height = size.height;
    constraints.input_type = size.input;
    constraints.output_type = size.output;
    constraints.sums = options_.tta;
    constraints.receptive_field = info_.receptive_field;
    constraints.band = options_.band;
    if (options_.memory_limit > 0) {
        constraints.budget = constraints.most = options_.memory_limit;
        return constraints;
    }
    const std::uint64_t weights = backend_->storage().weight_bytes;
    const std::uint64_t all = backend_->default_budget();
    constraints.budget = all / static_cast<std::uint64_t>(options_.runs_at_once) + weights;
    constraints.most = all + weights;
    return constraints;
}

// One strategy, and with all orientations a second one for the transposed picture.
std::vector<RunStrategy> StreamEngine::choose(const PlanConstraints& constraints) const {
    std::vector<RunStrategy> plans{choose_one(constraints)};
    if (options_.tta) plans.push_back(choose_one(on_side(constraints)));
    return plans;
}

RunStrategy StreamEngine::choose_one(const PlanConstraints& constraints) const {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        // A plan with the largest useful row band stays optimal for every budget that it fits.
        const bool same = last_ && last_->first.same_but_budget(constraints);
        if (same && (last_->first.budget == constraints.budget ||
                     (last_->second.largest && last_->second.bytes <= constraints.budget))) {
            return last_->second;
        }
    }
    if (auto plan = choose_plan(program(), backend_->storage(), constraints)) {
        const std::lock_guard<std::mutex> lock(mutex_);
        last_.emplace(constraints, *plan);
        return *plan;
    }
    if (constraints.budget < constraints.most) {
        PlanConstraints least = constraints;
        least.budget = least.most = std::min(smallest(constraints), constraints.most);
        return choose_one(least);
    }
    const std::string picture = "a " + std::to_string(constraints.width) + "x" +
                                std::to_string(constraints.height) + " picture";
    const std::uint64_t needed = smallest(constraints);
    if (needed == UINT64_MAX) {
        throw OutOfMemoryError("no part of " + picture + " fits the device's largest buffer of " +
                               megabytes(backend_->storage().max_binding_bytes) +
                               "; use a smaller band or another device");
    }
    throw OutOfMemoryError(
        picture + " needs at least " + megabytes(needed) + " with this network, but " +
        (options_.memory_limit > 0 ? "the memory limit is " : "there are only ") +
        megabytes(constraints.budget) +
        (options_.memory_limit > 0 ? "; raise the limit"
                                   : " for it; free memory or use another device"));
}

std::uint64_t StreamEngine::smallest(const PlanConstraints& constraints) const {
    const std::uint64_t upright = smallest_plan_bytes(program(), backend_->storage(), constraints);
    if (!options_.tta) return upright;
    return std::max(upright,
                    smallest_plan_bytes(program(), backend_->storage(), on_side(constraints)));
}

void StreamEngine::attempt(PlanConstraints& wanted,
                           const std::function<void(const std::vector<RunStrategy>&)>& run,
                           const std::function<bool()>& can_begin_anew) const {
    for (;;) {
        const std::vector<RunStrategy> plans = choose(wanted);
        std::string failure;
        try {
            run(plans);
            return;
        } catch (const OutOfMemoryError& error) {
            failure = error.what();
        } catch (const std::bad_alloc&) {
            failure = "the system has no memory left for the run";
        }
        if (!can_begin_anew()) throw OutOfMemoryError(failure);
        shrink(wanted, std::max(plans.front().bytes, plans.back().bytes), failure);
    }
}

void StreamEngine::run(const ImageView& input, const MutableImageView& output,
                       const Progress& progress) const {
    const auto told = monotone(progress);
    PlanConstraints wanted = constraints({input.width, input.height, input.type, output.type});
    attempt(
        wanted,
        [&](const std::vector<RunStrategy>& plans) {
            Attempt(*backend_, program(), plans, options_.tta).run(input, output, told);
        },
        [] { return true; });
}

bool StreamEngine::run_rows(RowSource& source, RowSink& sink, SampleType output,
                            const Progress& progress) const {
    if (options_.tta) return false;
    const auto told = monotone(progress);
    PlanConstraints wanted = constraints({source.width(), source.height(), source.type(), output});
    UntouchedSource counted(source);
    PaddedSource padded(counted, program().unshuffle);
    CroppedSink clipped(sink, source.width() * program().scale(),
                        source.height() * program().scale());
    bool whole = false;  // the picture has to be
    attempt(
        wanted,
        [&](const std::vector<RunStrategy>& plans) {
            whole = plans[0].column_tiles.tiles.size() > 1;
            if (whole) return;
            Attempt(*backend_, program(), plans, false).run_rows(padded, clipped, told);
        },
        [&] { return counted.untouched(); });
    return !whole;
}

// An allocation within the budget failed: the next attempt uses three quarters of it, or the
// smallest plan if that is less than what failed.
void StreamEngine::shrink(PlanConstraints& wanted, std::uint64_t used,
                          const std::string& failure) const {
    const std::uint64_t weights = backend_->storage().weight_bytes;
    wanted.budget = weights + (std::min(wanted.budget, used) - weights) / 4 * 3;
    const std::uint64_t needed = smallest(wanted);
    if (needed < used) wanted.budget = std::max(wanted.budget, needed);
    wanted.most = wanted.budget;
    if (wanted.budget < needed) {
        throw OutOfMemoryError(failure + "; the smallest plan needs " + megabytes(needed) +
                               ": free memory, or use another device");
    }
}

std::uint64_t StreamEngine::prepare(int width, int height) const {
    std::uint64_t most = 0;
    for (const RunStrategy& chosen : choose(constraints({width, height}))) {
        const ExecutionPlan plan(program(), chosen.config, backend_->storage());
        const bool whole = chosen.column_tiles.tiles.size() == 1 && !options_.tta;
        const SessionFormat format{SampleType::u8, chosen.config.output_type, whole};
        most = std::max(most, backend_->start(plan, format)->allocated_bytes());
    }
    return backend_->storage().weight_bytes + most;
}

// Reports the larger of the two plans of all orientations.
PlanReport StreamEngine::plan(const RunShape& size) const {
    const std::vector<RunStrategy> plans = choose(constraints(size));
    const RunStrategy& chosen =
        plans.front().bytes >= plans.back().bytes ? plans.front() : plans.back();
    const ExecutionPlan plan(program(), chosen.config, backend_->storage());
    const MemoryBytes& memory = plan.memory();
    PlanReport report;
    report.path = "stream";
    report.column_tiles = static_cast<int>(chosen.column_tiles.tiles.size());
    report.halo = chosen.halo;
    report.reason = "every layer is local in rows";
    if (report.column_tiles > 1) report.reason += column_tiles_reason(chosen.shortage);
    report.band_rows = chosen.config.band * program().unshuffle;
    report.memory_bytes = {{"weights", memory.weights},
                           {"rings", memory.rings},
                           {"shared_buffers", memory.shared_buffers},
                           {"halo_rows", memory.halo_rows},
                           {"scratch", memory.scratch},
                           {"staging", memory.staging},
                           {"host", chosen.host_bytes},
                           {"total", memory.total() + chosen.host_bytes}};
    report.dispatches_per_band = plan.dispatches_per_band();
    report.bytes_moved_per_input_pixel = plan.bytes_moved_per_input_pixel();
    return report;
}

}  // namespace realesrgan
