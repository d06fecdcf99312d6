#include "stream/stream_engine.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/host_clock.hpp"
#include "base/integers.hpp"
#include "base/interruption.hpp"
#include "base/thread_count.hpp"
#include "image/blend_rows.hpp"
#include "image/orientation.hpp"
#include "image/padded_rows.hpp"
#include "image/result_check.hpp"
#include "plan/convolution_pairs.hpp"
#include "program/residual_precision.hpp"
#include "realesrgan/errors.hpp"
#include "stream/executor.hpp"

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

PlanConstraints transposed(PlanConstraints constraints) {
    std::swap(constraints.shape.width, constraints.shape.height);
    return constraints;
}

// A pass over the picture: a column tile in an orientation.
struct TilePass {
    Orientation orientation;
    const RunStrategy& strategy;
    int tile;
};

// One for each orientation and column tile.
std::vector<TilePass> passes_of(const std::vector<RunStrategy>& strategies,
                                const std::vector<Orientation>& orientations) {
    std::vector<TilePass> passes;
    for (const Orientation& orientation : orientations) {
        const RunStrategy& strategy =
            orientation.transpose ? strategies.back() : strategies.front();
        for (int tile = 0; tile < ssize(strategy.plans); ++tile) {
            passes.push_back({orientation, strategy, tile});
        }
    }
    return passes;
}

std::unique_ptr<BlendSink> make_sink(const MutableImageView& output, int orientations,
                                     int column_tiles) {
    if (orientations > 1) return std::make_unique<MeanSink>(output, orientations);
    if (column_tiles > 1) return std::make_unique<FeatherSink>(output);
    return std::make_unique<WholeSink>(output);
}

ColumnWeights column_weights(const AxisTiling& column_tiles, int tile, int scale) {
    const bool last = tile + 1 == ssize(column_tiles.tiles);
    return {column_tiles.tiles[idx(tile)].write.begin * scale,
            column_tiles.weights(idx(tile), scale),
            last ? INT64_MAX : column_tiles.tiles[idx(tile + 1)].write.begin * scale};
}

Progress part_of(const Progress& progress, int part, int parts) {
    if (!progress) return nullptr;
    return [&progress, part, parts](double fraction) { progress((part + fraction) / parts); };
}

// Throws BadResult for a result that is no picture. `in_order`: its rows are in the picture's
// order.
void check_result(const StreamRecord& record, const Program& program, bool in_order) {
    Region region = BadResult::everything();
    if (in_order && record.first_not_finite.count > 0) {
        const Row scale = program.scale();
        region.y = {std::max<Row>(record.first_not_finite.first / scale - program.border, 0),
                    (record.first_not_finite.end() - 1) / scale + 1};
    }
    ResultCheck check;
    check.saw_input(record.input_sum, record.input_samples);
    check.saw_result(record.largest_result, record.not_finite == 0, region);
    check.finish();
}

ProfiledLayer layer_of(const Op& op, const Program& program) {
    ProfiledLayer layer;
    switch (op.kind) {
        case OpKind::convolution:
            layer.kind = "convolution";
            break;
        case OpKind::depthwise:
            layer.kind = "depthwise_convolution";
            break;
        case OpKind::layer_norm:
            layer.kind = "layer_norm";
            break;
        case OpKind::pixel_shuffle:
            layer.kind = "pixel_shuffle";
            break;
        case OpKind::pixel_unshuffle:
            layer.kind = "pixel_unshuffle";
            break;
        case OpKind::resize:
            layer.kind = "resize";
            break;
    }
    layer.names = op.layers;
    layer.inputs = op.input.channels;
    layer.outputs = op.output.channels;
    layer.zoom = program.zoom(op.output);
    return layer;
}

// A pair is one layer, at its first op's place.
std::vector<ProfiledLayer> layers_of(const ExecutionPlan& plan) {
    const Program& program = plan.program();
    std::vector<ProfiledLayer> layers;
    for (int i = 0; i < ssize(program.ops); ++i) {
        layers.push_back(layer_of(program.ops[idx(i)], program));
        if (!is_second(plan.pairs(), i)) continue;
        const ProfiledLayer& second = layers[idx(i)];
        ProfiledLayer& first = layers[idx(i - 1)];
        first.names.insert(first.names.end(), second.names.begin(), second.names.end());
        first.outputs += second.outputs;
    }
    return layers;
}

// Of those that runs at once divide the memory into. Others may belong to other devices of the
// machine's memory, or to other processes.
constexpr std::uint64_t kPartsAlone = 2;

const char* column_tiles_reason(Shortage shortage) {
    return shortage == Shortage::binding
               ? "; at the whole width a buffer would be larger than the device can bind, so the "
                 "picture is cut into column tiles that overlap by a halo"
               : "; the whole width does not fit the memory, so the picture is cut into column "
                 "tiles that overlap by a halo";
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

PlanConstraints StreamEngine::constraints(const RunShape& shape) const {
    PlanConstraints constraints;
    constraints.shape = shape;
    constraints.sums = options_.tta;
    constraints.receptive_field = info_.receptive_field;
    constraints.band = shape.band_rows > 0
                           ? ceil_div(std::min(shape.band_rows, shape.height), program().alignment)
                           : options_.band;
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

// Of the CPU one run less at a time would leave cores idle.
bool StreamEngine::takes_turns() const {
    return options_.device != kCpuDevice && options_.runs_at_once > 1 && options_.memory_limit == 0;
}

bool StreamEngine::runs_alone(const PlanConstraints& constraints) const {
    if (!takes_turns()) return false;
    try {
        const std::vector<RunStrategy> strategies = choose(constraints);
        return std::any_of(strategies.begin(), strategies.end(), [&](const RunStrategy& one) {
            return one.bytes > constraints.budget || (constraints.band == 0 && !one.largest);
        });
    } catch (const OutOfMemoryError&) {
        return true;  // until other runs have ended
    }
}

PlanConstraints StreamEngine::constraints(const RunShape& shape, bool alone) const {
    PlanConstraints limits = constraints(shape);
    if (!alone) return limits;
    const std::uint64_t weights = backend_->storage().weight_bytes;
    limits.budget = std::min(limits.most, (limits.budget - weights) * kPartsAlone + weights);
    return limits;
}

std::vector<RunStrategy> StreamEngine::choose(const RunShape& shape) const {
    return choose(constraints(shape, runs_alone(constraints(shape))));
}

std::vector<RunStrategy> StreamEngine::choose(const PlanConstraints& constraints) const {
    // A plan with the largest useful row band stays optimal for every budget that it fits.
    const auto still_fits = [&](const RunStrategy& strategy) {
        return strategy.largest && strategy.bytes <= constraints.budget;
    };
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (last_ && last_->first.same_but_budget(constraints) &&
            (last_->first.budget == constraints.budget ||
             std::all_of(last_->second.begin(), last_->second.end(), still_fits))) {
            return last_->second;
        }
    }
    std::vector<RunStrategy> strategies{choose_one(constraints)};
    if (options_.tta) strategies.push_back(choose_one(transposed(constraints)));
    const std::lock_guard<std::mutex> lock(mutex_);
    last_.emplace(constraints, strategies);
    return strategies;
}

RunStrategy StreamEngine::choose_one(const PlanConstraints& constraints) const {
    if (auto strategy = choose_plan(program(), backend_->storage(), constraints)) {
        return std::move(*strategy);
    }
    if (constraints.budget < constraints.most) {
        PlanConstraints least = constraints;
        least.budget = least.most = std::min(smallest(constraints), constraints.most);
        return choose_one(least);
    }
    const std::string picture = "a " + std::to_string(constraints.shape.width) + "x" +
                                std::to_string(constraints.shape.height) + " picture";
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
                    smallest_plan_bytes(program(), backend_->storage(), transposed(constraints)));
}

template <typename Run>
auto StreamEngine::run_with_less_memory(const RunShape& shape, const PaddedSource* source,
                                        const Progress& progress, const Run& run) const {
    PlanConstraints limits = constraints(shape);
    std::optional<RunTurns::Turn> turn;
    if (takes_turns()) {
        const Interruptible interruptible([&] {
            if (progress) progress(0.0);
        });
        turn.emplace(turns_, runs_alone(limits));
        limits = constraints(shape, turn->alone());  // with what is free by now
    }
    for (;;) {
        const std::vector<RunStrategy> strategies = choose(limits);
        std::string failure;
        try {
            return run(strategies);
        } catch (const OutOfMemoryError& error) {
            failure = error.what();
        } catch (const std::bad_alloc&) {
            failure = "the system has no memory left for the run";
        }
        if (source != nullptr && source->started()) throw OutOfMemoryError(failure);
        reduce_budget(limits, strategies, failure);
    }
}

void StreamEngine::run(const ImageView& input, const MutableImageView& output,
                       const Progress& progress) const {
    run(input, output, 0, progress, nullptr);
}

bool StreamEngine::run_profiled(const ImageView& input, const MutableImageView& output,
                                int band_rows, bool timed, RunProfile& profile) const {
    const double begin = host_seconds();
    run(input, output, band_rows, nullptr, timed ? &profile : nullptr);
    profile.seconds = host_seconds() - begin;
    for (ProfiledInterval& interval : profile.intervals) {
        interval.begin -= begin;
        interval.end -= begin;
    }
    std::stable_sort(profile.intervals.begin(), profile.intervals.end(),
                     [](const auto& a, const auto& b) { return a.begin < b.begin; });
    return true;
}

void StreamEngine::run(const ImageView& input, const MutableImageView& output, int band_rows,
                       const Progress& progress, RunProfile* profile) const {
    RunShape shape{input.width, input.height, input.type, output.type};
    shape.band_rows = band_rows;
    const std::vector<Orientation> orientations = realesrgan::orientations(options_.tta);
    const Progress whole = monotone(progress);
    run_with_less_memory(shape, nullptr, whole, [&](const std::vector<RunStrategy>& strategies) {
        StreamRecord record;
        record.profile = profile;
        if (profile != nullptr)
            *profile = {layers_of(strategies.front().widest_plan()), {}, 0, false, 0.0};
        const auto sink = make_sink(output, ssize(orientations), ssize(strategies.front().plans));
        const std::vector<TilePass> passes = passes_of(strategies, orientations);
        for (int i = 0; i < ssize(passes); ++i) {
            const auto& [orientation, strategy, tile] = passes[idx(i)];
            ArraySource source(oriented_view(input, orientation));
            sink->begin_pass(orientation,
                             column_weights(strategy.column_tiles, tile, program().scale()));
            run_plan(*backend_, strategy.plans[idx(tile)], source, strategy.first_column(tile),
                     *sink, part_of(whole, i, ssize(passes)), record);
        }
        sink->end();
        check_result(record, program(), !options_.tta);
    });
}

bool StreamEngine::run_rows(RowSource& source, RowSink& sink, SampleType output,
                            const Progress& progress) const {
    if (options_.tta) return false;
    const RunShape shape{source.width(), source.height(), source.type(), output};
    const int scale = program().scale();
    PaddedSource padded(source, program().border, program().alignment);
    CroppedSink cropped(sink, shape.width * scale, shape.height * scale);
    const Progress whole = monotone(progress);
    return run_with_less_memory(shape, &padded, whole,
                                [&](const std::vector<RunStrategy>& strategies) {
                                    const RunStrategy& strategy = strategies.front();
                                    if (strategy.plans.size() > 1) return false;
                                    StreamRecord record;
                                    run_plan(*backend_, strategy.plans.front(), padded,
                                             strategy.first_column(0), cropped, whole, record);
                                    check_result(record, program(), true);
                                    return true;
                                });
}

bool StreamEngine::run_planes(const YuvView& source, const MutableYuvView& target,
                              const Progress& progress) const {
    const bool colours = program().picture_channels == 3 && program().output.channels == 3;
    const bool padded = program().border > 0 || program().alignment != program().unshuffle;
    if (options_.tta || !backend_->storage().planes || !colours || padded) return false;
    const RunShape shape{source.width,    source.height,         SampleType::f32,
                         SampleType::f32, source.plane_format(), target.plane_format()};
    const Progress whole = monotone(progress);
    return run_with_less_memory(
        shape, nullptr, whole, [&](const std::vector<RunStrategy>& strategies) {
            const RunStrategy& strategy = strategies.front();
            if (strategy.plans.size() > 1) return false;
            StreamRecord record;
            run_plan(*backend_, strategy.plans.front(), source, target, whole, record);
            check_result(record, program(), true);
            return true;
        });
}

// An allocation within the budget failed: the next budget is three quarters of it, or the smallest
// plan if that is less than what failed.
void StreamEngine::reduce_budget(PlanConstraints& constraints,
                                 const std::vector<RunStrategy>& failed,
                                 const std::string& failure) const {
    const std::uint64_t used = std::max(failed.front().bytes, failed.back().bytes);
    const std::uint64_t weights = backend_->storage().weight_bytes;
    constraints.budget = weights + (std::min(constraints.budget, used) - weights) / 4 * 3;
    const std::uint64_t needed = smallest(constraints);
    if (needed < used) constraints.budget = std::max(constraints.budget, needed);
    constraints.most = constraints.budget;
    if (constraints.budget < needed) {
        throw OutOfMemoryError(failure + "; the smallest plan needs " + megabytes(needed) +
                               ": free memory, or use another device");
    }
}

std::uint64_t StreamEngine::prepare(int width, int height) const {
    std::uint64_t most = 0;
    for (const RunStrategy& strategy : choose(RunShape{width, height})) {
        const auto session = backend_->start(strategy.plans[strategy.widest]);
        most = std::max(most, session->allocated_bytes());
    }
    return backend_->storage().weight_bytes + most;
}

// Reports the larger of the two plans of all orientations.
PlanReport StreamEngine::plan(const RunShape& shape) const {
    const std::vector<RunStrategy> strategies = choose(shape);
    const RunStrategy& chosen = strategies.front().bytes >= strategies.back().bytes
                                    ? strategies.front()
                                    : strategies.back();
    const ExecutionPlan& plan = chosen.widest_plan();
    const MemoryBytes& memory = plan.memory();
    const BandTraffic traffic = plan.traffic();
    PlanReport report;
    report.path = "stream";
    report.column_tiles = ssize(chosen.plans);
    report.halo = chosen.halo;
    report.reason = "every layer is local in rows" + border_note(program().border);
    if (report.column_tiles > 1) report.reason += column_tiles_reason(chosen.shortage);
    report.band_rows = plan.config().band * program().alignment;
    report.memory_bytes = {{"weights", memory.weights},
                           {"rings", memory.rings},
                           {"shared_buffers", memory.shared_buffers},
                           {"halo_rows", memory.halo_rows},
                           {"scratch", memory.scratch},
                           {"staging", memory.staging},
                           {"host", chosen.host_bytes},
                           {"total", memory.total() + chosen.host_bytes}};
    report.dispatches_per_band = traffic.dispatches;
    report.bytes_moved_per_input_pixel = traffic.bytes_per_input_pixel;
    return report;
}

}  // namespace realesrgan
