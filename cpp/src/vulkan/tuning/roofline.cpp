#include "vulkan/tuning/roofline.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>

#include "vulkan/device/buffer.hpp"
#include "vulkan/device/command_buffer.hpp"
#include "vulkan/device/pipeline_registry.hpp"
#include "vulkan/operations/convolution_kernels.hpp"
#include "vulkan/tuning/timer.hpp"

namespace realesrgan::vulkan {

namespace {

constexpr int kThreads = 128;          // of a workgroup
constexpr double kFmaFlops = 8 * 8.0;  // of an invocation and round: roofline_fma.comp
constexpr int kSums = 8;               // of roofline_matrix.comp
constexpr std::uint64_t kMebibyte = 1U << 20U;

// Several times as many as run at once on the largest GPU, so that the last ones cost little.
int workgroups(const Context& context) {
    return context.is_software() ? 64 : 8192;
}

struct Bench {
    std::shared_ptr<Context> context;
    double seconds;

    double rate(const Pipeline& pipeline, double each, std::uint64_t result_bytes) const {
        const Buffer result(context, BufferKind::device, result_bytes);
        CommandBuffer commands(context);
        return best_rate(seconds, each, [&](int rounds) {
            commands.begin();
            commands.dispatch(pipeline, {{&result, 0, 0, true}}, &rounds, sizeof(rounds),
                              {workgroups(*context), 1, 1});
            commands.submit(QueueLease(*context));
            commands.wait();
        });
    }

    double fma_flops() const {
        const Pipeline& pipeline =
            context->pipelines().get_compiled({"roofline_fma", Storage::fp32, {}, {kThreads}, {}});
        // Rounded up to whole subgroups.
        const double invocations = static_cast<double>(pipeline.local_size().x) *
                                   static_cast<double>(workgroups(*context));
        return rate(pipeline, invocations * kFmaFlops,
                    static_cast<std::uint64_t>(invocations) * sizeof(float));
    }

    double matrix_flops(const KernelConfig& choice) const {
        const MatrixShape& shape = choice.shape;
        const int threads = std::max(kThreads, shape.subgroup_size);
        Constants constants;
        constants << shape.subgroup_size << threads;
        const Pipeline& pipeline = context->pipelines().get_compiled(
            {"roofline_matrix", Storage::fp16, constants, {threads}, matrix_variant(choice)});
        const double subgroups = static_cast<double>(threads / shape.subgroup_size) *
                                 static_cast<double>(workgroups(*context));
        const double products = 2.0 * shape.m * shape.n * shape.k * kSums;
        const int values = shape.m * shape.n;
        return rate(pipeline, subgroups * products,
                    static_cast<std::uint64_t>(subgroups * values) * sizeof(float));
    }

    double best_matrix_flops() const {
        double best = 0.0;
        // A shape and its sums come once for each tiling of the convolution.
        std::set<std::string> known;
        for (KernelConfig choice : kernel_configs(*context, Storage::fp16)) {
            if (choice.kernel != KernelKind::matrix) continue;
            choice.half_products = std::min(choice.half_products, 1);
            if (!known.insert(matrix_variant(choice).defines).second) continue;
            best = std::max(best, matrix_flops(choice));
        }
        return best;
    }

    double copy_rate() const {
        // Larger than the caches of any GPU, but no more than one binding can be.
        const std::uint64_t wanted = (context->is_software() ? 32 : 512) * kMebibyte;
        std::uint64_t bytes =
            std::min({wanted, context->max_buffer_bytes(), context->free_bytes() / 4});
        bytes = std::max<std::uint64_t>(bytes / kMebibyte, 1) * kMebibyte;
        const Buffer from(context, BufferKind::device, bytes);
        const Buffer to(context, BufferKind::device, bytes);
        const Pipeline& pipeline =
            context->pipelines().get_compiled({"roofline_copy", Storage::fp32, {}, {kThreads}, {}});
        const int stride = pipeline.local_size().x * workgroups(*context);
        const int push[] = {static_cast<int>(bytes / 16), stride};
        CommandBuffer commands(context);
        commands.begin();
        commands.fill_zero(from);
        commands.submit(QueueLease(*context));
        commands.wait();
        return best_rate(seconds, 2.0 * static_cast<double>(bytes), [&](int rounds) {
            commands.begin();
            for (int i = 0; i < rounds; i++) {
                commands.dispatch(pipeline, {{&from, 0, 0, false}, {&to, 0, 0, true}}, push,
                                  sizeof(push), {workgroups(*context), 1, 1});
            }
            commands.submit(QueueLease(*context));
            commands.wait();
        });
    }
};

}  // namespace

Roofline measure_roofline(int device, double seconds) {
    if (!(seconds > 0.0 && seconds <= 60.0)) {
        throw std::invalid_argument("seconds is " + std::to_string(seconds) +
                                    "; expected more than 0, and 60 at most");
    }
    const GpuActivityGuard use;
    const Bench bench{Context::open(device), seconds};
    return {bench.best_matrix_flops(), bench.fma_flops(), bench.copy_rate()};
}

}  // namespace realesrgan::vulkan
