#include "stream_engine.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "array_rows.hpp"
#include "orientation.hpp"
#include "realesrgan/errors.hpp"
#include "result_check.hpp"
#include "skip_copies.hpp"
#include "stream.hpp"
#include "thread_count.hpp"

namespace realesrgan {

namespace {

std::string megabytes(std::uint64_t bytes) {
    return std::to_string((bytes + (1U << 20U) - 1) >> 20U) + " MiB";
}

void check_record(const StreamRecord& record) {
    ResultCheck check;
    check.saw_input(record.input_sum, record.input_samples);
    const float bad = std::numeric_limits<float>::quiet_NaN();
    const float value = record.not_finite > 0 ? bad : record.largest_result;
    check.saw_result(ConstPlanes{&value, 1, 1, 1, 1, 1, 1});
    check.finish();
}

CpuBackendOptions cpu_options(const Options& options) {
    CpuBackendOptions cpu;
    cpu.threads = thread_count(options.threads);
    cpu.ncnn = options.backend == "ncnn";
    cpu.memory_limit = options.memory_limit;
    if (!cpu.ncnn) cpu.instruction_set = options.backend;
    return cpu;
}

PlannerRequest on_side(PlannerRequest request) {
    if (request.sums) std::swap(request.width, request.height);
    return request;
}

// Everything one attempt at one call does; an attempt with less memory starts from the beginning.
// The second plan is for the picture laid on its side.
class Attempt {
  public:
    Attempt(const Backend& backend, const Program& program, const std::array<StreamPlan, 2>& plans,
            bool tta)
        : backend_(backend), program_(program), plans_(plans), ways_(orientations(tta)) {}

    void run(const ImageView& input, const MutableImageView& output,
             const std::function<void(double)>& progress) {
        StreamRecord record;
        if (ways_.size() > 1) {
            run_sum(input, output, progress, record);
        } else if (const AxisPlan& strips = plans_[0].strips; strips.tiles.size() > 1) {
            FeatherSink sink(output);
            run_strips(input, progress, record, 0, [&](std::size_t strip) -> RowSink& {
                sink.begin_strip(share(strips, strip),
                                 strip + 1 < strips.tiles.size()
                                     ? share(strips, strip + 1).begin
                                     : std::numeric_limits<std::int64_t>::max());
                return sink;
            });
        } else {
            ArraySink sink(output);
            run_strips(input, progress, record, 0, [&](std::size_t) -> RowSink& { return sink; });
        }
        check_record(record);
    }

  private:
    const StreamPlan& plan_of(std::size_t way) const {
        return plans_[ways_[way].transpose ? 1 : 0];
    }

    StripShare share(const AxisPlan& strips, std::size_t strip) const {
        const int scale = program_.scale();
        return StripShare{strips.tiles[strip].write.begin * scale, strips.weights(strip, scale)};
    }

    // The mean over the orientations, summed up in floats.
    void run_sum(const ImageView& input, const MutableImageView& output,
                 const std::function<void(double)>& progress, StreamRecord& record) {
        std::vector<float> sums(static_cast<std::size_t>(output.width) *
                                static_cast<std::size_t>(output.height) *
                                static_cast<std::size_t>(output.channels));
        constexpr auto kFloat = static_cast<std::ptrdiff_t>(sizeof(float));
        MutableImageView sum{reinterpret_cast<std::byte*>(sums.data()),
                             SampleType::f32,
                             output.width,
                             output.height,
                             output.channels,
                             kFloat * output.channels * output.width,
                             kFloat * output.channels,
                             kFloat};
        for (std::size_t way = 0; way < ways_.size(); ++way) {
            SumSink sink(laid(sum, ways_[way]), 1.0F / static_cast<float>(ways_.size()));
            run_strips(laid(input, ways_[way]), progress, record, way,
                       [&](std::size_t strip) -> RowSink& {
                           sink.begin_strip(share(plan_of(way).strips, strip));
                           return sink;
                       });
        }
        store_picture(ImageView{sum.data, sum.type, sum.width, sum.height, sum.channels,
                                sum.row_stride, sum.pixel_stride, sum.channel_stride},
                      output);
    }

    template <typename SinkOf>
    void run_strips(const ImageView& picture, const std::function<void(double)>& progress,
                    StreamRecord& record, std::size_t way, const SinkOf& sink_of) {
        ArraySource source(picture);
        const StreamPlan& chosen = plan_of(way);
        const std::size_t strips = chosen.strips.tiles.size();
        for (std::size_t strip = 0; strip < strips; ++strip) {
            const Span read = chosen.strips.tiles[strip].read;
            PlanRequest request = chosen.request;
            request.width = static_cast<int>(read.size());
            const Plan plan(program_, request, backend_.storage());
            const SessionFormat format{picture.type, request.output_type,
                                       strips == 1 && ways_.size() == 1};
            const auto part = [&](double share) {
                const auto done = static_cast<double>(way * strips + strip);
                progress((done + share) / static_cast<double>(ways_.size() * strips));
            };
            run_plan(backend_, plan, format, source, static_cast<int>(read.begin), sink_of(strip),
                     static_cast<int>(read.begin) * program_.scale(), part, record);
        }
    }

    const Backend& backend_;
    const Program& program_;
    const std::array<StreamPlan, 2>& plans_;
    std::vector<Orientation> ways_;
};

}  // namespace

StreamEngine::StreamEngine(FusedNetwork network, const NetworkInfo& info, const Options& options)
    : network_(std::make_unique<FusedNetwork>(std::move(network))), info_(info), options_(options) {
    if (options.fp16) keep_skips_apart(network_->program);
    backend_ = options.device == kCpuDevice
                   ? make_cpu_backend(*network_, cpu_options(options))
                   : make_vulkan_backend(*network_, options.device, options.fp16);
    network_->weights = nullptr;  // and with it the file's bytes
}

PlannerRequest StreamEngine::request(int width, int height, SampleType input,
                                     SampleType output) const {
    PlannerRequest request;
    request.width = width;
    request.height = height;
    request.input_type = input;
    request.output_type = output;
    request.sums = options_.tta;
    request.receptive_field = info_.receptive_field;
    request.band = options_.band;
    request.budget = options_.memory_limit > 0
                         ? options_.memory_limit
                         : backend_->default_budget() + backend_->storage().weight_bytes;
    return request;
}

StreamPlan StreamEngine::choose(const PlannerRequest& request) const {
    if (auto plan = choose_plan(program(), backend_->storage(), request)) return *plan;
    throw OutOfMemoryError(
        "a " + std::to_string(request.width) + "x" + std::to_string(request.height) +
        " picture needs at least " +
        megabytes(smallest_plan_bytes(program(), backend_->storage(), request)) +
        " with this network, but " +
        (options_.memory_limit > 0 ? "the memory limit is " : "there are only ") +
        megabytes(request.budget) +
        (options_.memory_limit > 0 ? "; raise the limit"
                                   : " for it; free memory or use another device"));
}

void StreamEngine::run(const ImageView& input, const MutableImageView& output,
                       const Progress& progress) const {
    double best = 0.0;
    const auto monotone = [&](double share) {
        best = std::max(best, std::min(share, 1.0));
        if (progress) progress(best);
    };
    PlannerRequest wanted = request(input.width, input.height, input.type, output.type);
    for (;;) {
        const std::array<StreamPlan, 2> plans{choose(wanted), choose(on_side(wanted))};
        std::string failure;
        try {
            Attempt(*backend_, program(), plans, options_.tta).run(input, output, monotone);
            return;
        } catch (const OutOfMemoryError& error) {
            failure = error.what();
        } catch (const std::bad_alloc&) {
            failure = "the system has no memory left for the run";
        }
        shrink(wanted, std::max(plans[0].bytes, plans[1].bytes), failure);
    }
}

// Memory that was promised was not there: the next attempt asks for three quarters of it.
void StreamEngine::shrink(PlannerRequest& wanted, std::uint64_t used,
                          const std::string& failure) const {
    const std::uint64_t weights = backend_->storage().weight_bytes;
    wanted.budget = weights + (std::min(wanted.budget, used) - weights) / 4 * 3;
    const std::uint64_t smallest = smallest_plan_bytes(program(), backend_->storage(), wanted);
    if (wanted.budget < smallest) {
        throw OutOfMemoryError(failure + "; the smallest plan needs " + megabytes(smallest) +
                               ": free memory, or use another device");
    }
}

PlanReport StreamEngine::plan(int width, int height) const {
    const PlannerRequest wanted = request(width, height, SampleType::u8, SampleType::u8);
    const StreamPlan chosen = choose(wanted);
    const Plan plan(program(), chosen.request, backend_->storage());
    const MemoryBytes& memory = plan.memory();
    PlanReport report;
    report.path = "stream";
    report.strips = static_cast<int>(chosen.strips.tiles.size());
    report.reason = "every layer is local in rows";
    if (report.strips > 1) {
        report.reason +=
            "; the whole width does not fit the memory, so the picture is cut into strips "
            "that overlap by a halo";
    }
    report.band_rows = chosen.request.band * program().unshuffle;
    report.memory_bytes = {{"weights", memory.weights},
                           {"rings", memory.rings},
                           {"workspaces", memory.workspaces},
                           {"carries", memory.carries},
                           {"scratch", memory.scratch},
                           {"staging", memory.staging},
                           {"blending", chosen.bytes - memory.total()},
                           {"total", chosen.bytes}};
    report.dispatches_per_band = plan.dispatches_per_band();
    report.bytes_moved_per_input_pixel = plan.bytes_moved_per_input_pixel();
    return report;
}

}  // namespace realesrgan
