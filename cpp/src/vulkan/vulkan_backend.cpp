#include "vulkan/vulkan_backend.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "base/emulated_limits.hpp"
#include "base/integers.hpp"
#include "base/memory_budget.hpp"
#include "base/thread_count.hpp"
#include "program/flops.hpp"
#include "realesrgan/errors.hpp"
#include "vulkan/cache/cache_file.hpp"
#include "vulkan/kernel_store.hpp"
#include "vulkan/operations/dense_pair.hpp"
#include "vulkan/session.hpp"
#include "vulkan/session_pool.hpp"
#include "vulkan/tuning/kernel_record.hpp"

namespace realesrgan::vulkan {

namespace {

// x4plus in fp16 on 512 columns, own rings against shared buffers: 181 and 151 MiB, 325 and 1122 KB
// moved a pixel in bands of 1; 456 and 199 MiB, 157 and 206 KB in bands of 16; 1626 and 406 MiB,
// 148 and 158 KB in bands of 80.
constexpr int kShareFromBand = 16;

// Lower bands compute many rows of a pair's first convolution twice.
constexpr int kPairFromBand = kShareFromBand;

// Alias groups smaller than this keep a buffer for each tensor: for small networks the copies would
// cost more than the saved memory is worth.
constexpr std::uint64_t kShareAbove = std::uint64_t{128} << 20;

// Approximate bytes a second at which results are downloaded and copied. Networks that compute for
// less than twice that time gain more from several row bands, whose copies overlap with computing
// the next one, than from few bands that fill the device.
constexpr double kLeavingRate = 5e9;
constexpr int kBandsForCopies = 8;

// Bytes of a row band's result that a transfer queue needs some 50 microseconds for, which is about
// what its submission and the wait for the compute queue cost. Estimated, not measured.
constexpr std::uint64_t kCopyResultsFrom = std::uint64_t{1} << 20;

std::uint64_t copy_results_from(const Context& context) {
    if (!context.has_transfer_queue()) return 0;
    return emulated_limits().transfer_queue.value_or(kCopyResultsFrom);
}

double flops_per_pixel(const Program& program) {
    double flops = 0.0;
    for (const Op& op : program.ops) {
        if (op.convolution < 0) continue;
        const ConvolutionShape& shape = program.convolutions[idx(op.convolution)];
        const double zoom = program.zoom(op.output);
        flops += convolution_flops(shape, zoom * zoom);
    }
    return flops;
}

// The longest duration of a row band: between bands a run can be cancelled and reports progress,
// and operating systems reset a GPU that is busy for seconds.
constexpr double kMostBandSeconds = 0.5;
constexpr int kBandOnProcessor = 1024;

int useful_pixels(const Program& program, const KernelSet& kernels, bool on_processor) {
    if (on_processor) return kBandOnProcessor;
    if (kernels.pixel_seconds <= 0.0) return kernels.band_pixels;
    const double scale = program.scale();
    const double leaving = program.output.channels * scale * scale / kLeavingRate;
    const double computing = flops_per_pixel(program) / kBandFlops * kernels.pixel_seconds;
    const int most = std::max(
        1, static_cast<int>(std::min<double>(kernels.band_pixels, kMostBandSeconds / computing)));
    if (computing >= 2 * leaving) return most;
    return std::min(most, std::max(kBandPixels, kernels.band_pixels / kBandsForCopies));
}

class VulkanBackend : public Backend {
  public:
    // Without `kernels`: those of the kernel store.
    VulkanBackend(const FusedNetwork& network, int device, Storage storage, int threads,
                  const KernelSet* kernels) {
        const GpuActivityGuard use;
        network_.context = Context::open(device);
        network_.storage = storage;
        network_.threads = threads;
        network_.kernels = kernels != nullptr ? *kernels
                                              : network_.context->shared<KernelStore>().get(
                                                    network_.context, storage);
        upload_weights(network);
        model_.bytes_per_value = bytes_per_value(storage);
        if (storage == Storage::fp16) model_.full_precision_bytes_per_value = 4;
        model_.band = kBandRows;
        model_.band_pixels =
            useful_pixels(network.program, network_.kernels, network_.context->is_software());
        model_.bands_in_flight = kBandsInFlight;
        model_.staged_row_multiple = kResultRowMultiple;
        model_.fused_store = true;
        model_.max_binding_bytes = network_.context->max_buffer_bytes();
        model_.share_above = kShareAbove;
        model_.share_from_band = kShareFromBand;
        model_.share_skips = true;
        if (network_.kernels.pairs &&
            can_pair(*network_.context, storage, network_.kernels.narrow)) {
            model_.pair_outputs = kMostPairOutputs;
            model_.pair_from_band = kPairFromBand;
        }
        model_.copy_results_from = copy_results_from(*network_.context);
        model_.planes = true;
        model_.own_memory = !shares_host_memory(network_.context->ncnn_device());
        model_.weight_bytes = network_.weights->bytes();
    }

    VulkanBackend(const VulkanBackend&) = delete;
    VulkanBackend& operator=(const VulkanBackend&) = delete;

    ~VulkanBackend() override {
        if (gpu_of_parent()) return;
        const GpuActivityGuard use;
        network_.context->shared<SessionPool>().drop(network_);
    }

    const StorageModel& storage() const override { return model_; }

    std::uint64_t default_budget() const override {
        const GpuActivityGuard use;
        // What the pool holds for a next run makes room for this one.
        const std::uint64_t free =
            network_.context->free_bytes() + network_.context->shared<SessionPool>().bytes();
        return device_budget(network_.context->ncnn_device(), free);
    }

    std::vector<std::string> notices() const override {
        std::vector<std::string> all = network_.context->shared<KernelStore>().take_notices();
        for (std::string& notice : take_cache_notices()) all.push_back(std::move(notice));
        return all;
    }

    std::shared_ptr<Session> start(std::shared_ptr<const ExecutionPlan> plan) const override {
        const GpuActivityGuard use;
        SessionPool& pool = network_.context->shared<SessionPool>();
        auto session = pool.take(network_, *plan);
        if (!session) {
            pool.make_room(*network_.context, plan->memory().total());
            session = std::make_unique<VulkanSession>(network_, std::move(plan));
        }
        return lease(network_.context, std::move(session));
    }

  private:
    void upload_weights(const FusedNetwork& network) {
        const Program& program = network.program;
        network_.weights = std::make_unique<Weights>(network_.context, network_.storage);
        for (const ConvolutionShape& shape : program.convolutions) {
            network_.layers.push_back(network_.weights->place(shape));
        }
        const std::vector<const Op*> ops = convolution_ops(program);
        const bool fp16 = network_.storage == Storage::fp16;
        network_.weights->upload(
            [&](std::size_t i) {
                return LayerNumbers{network.weights(static_cast<int>(i), fp16), ops[i]->slope};
            },
            network_.threads);
    }

    DeviceNetwork network_;
    StorageModel model_;
};

}  // namespace

std::unique_ptr<Backend> make_vulkan_backend(const FusedNetwork& network, int device,
                                             Storage storage, const KernelSet& kernels) {
    return std::make_unique<VulkanBackend>(network, device, storage, thread_count(0), &kernels);
}

}  // namespace realesrgan::vulkan

namespace realesrgan {

std::unique_ptr<Backend> make_vulkan_backend(const FusedNetwork& network, int device, bool fp16,
                                             int threads) {
    const vulkan::Storage storage = fp16 ? vulkan::Storage::fp16 : vulkan::Storage::fp32;
    return std::make_unique<vulkan::VulkanBackend>(network, device, storage, threads, nullptr);
}

}  // namespace realesrgan
