#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>

#include "base/interruption.hpp"
#include "base/memory_budget.hpp"
#include "cpu/session.hpp"
#include "cpu/winograd/instruction_set.hpp"
#include "stream/backend.hpp"

namespace realesrgan {

namespace {

// The height of a row band in rows of tiles; taller bands gain nothing, lower ones waste work at
// their edges. With more threads a band must have work for all of them.
constexpr int kBandTiles = 4;
constexpr int kThreadsPerBand = 4;
// Each layer's first and last band waste parts of tiles: narrow pictures are faster in fewer and
// higher bands, by 4 % at 64x64 and up to 9 % at 128x128. Higher ones leave the caches.
constexpr int kBandPixels = 4096;

// Networks with at most so many convolutions take the large tile: realesr-animevideov3, with 18 of
// them, stays within 4e-5 of full scale on random black and white pixels, where 1e-4 is allowed;
// the RRDB networks, with 96 and more, do not on noise.
constexpr std::ptrdiff_t kShallow = 20;

// Weights that are transformed once may take a third of the memory limit; otherwise they are kept
// untransformed and transformed for each row band, which costs a few percent of the time.
constexpr std::uint64_t kWeightDivisor = 3;

int tile_of(const Program& program, const CpuBackendOptions& options) {
    if (options.tile > 0) return options.tile;
    const auto layers =
        std::count_if(program.convolutions.begin(), program.convolutions.end(),
                      [](const ConvolutionShape& shape) { return !shape.depthwise; });
    return layers <= kShallow ? winograd::kLargeTile : winograd::kSmallTile;
}

std::uint64_t transformed_bytes(const Program& program, const winograd::Kernel& kernel) {
    std::uint64_t bytes = 0;
    for (const ConvolutionShape& shape : program.convolutions) {
        const bool transformed = shape.kernel == 3 && !shape.depthwise;
        const int each = transformed ? kernel.points : shape.kernel * shape.kernel;
        bytes += product(each, shape.inputs, shape.outputs, sizeof(float));
    }
    return bytes;
}

winograd::WeightForm form_of(const Program& program, const winograd::Kernel& kernel,
                             const CpuBackendOptions& options) {
    const bool packed = options.memory_limit > 0 &&
                        transformed_bytes(program, kernel) > options.memory_limit / kWeightDivisor;
    return packed ? winograd::WeightForm::packed : winograd::WeightForm::transformed;
}

class CpuBackend final : public Backend {
  public:
    CpuBackend(const FusedNetwork& network, const CpuBackendOptions& options) {
        const Program& program = network.program;
        const winograd::Kernel& kernel =
            winograd::select_kernel(options.instruction_set, tile_of(program, options));
        kernels_.threads = options.threads;
        storage_.narrow_multiple = winograd::kGroup;
        storage_.padding_columns = 2;
        storage_.border_rows = true;
        const int bands = std::max(1, options.threads / kThreadsPerBand);
        storage_.band = kBandTiles * kernel.tile * bands;
        storage_.band_pixels = kBandPixels * bands;
        storage_.band_step = kernel.tile;
        storage_.tail_band = kernel.tile / 2 * bands;  // at twice the size a row of tiles
        make_convolutions(network, form_of(program, kernel, options), kernel);
        storage_.scratch = [this](const Program&, const Op& op, int width, int rows) {
            if (op.kind != OpKind::convolution && op.kind != OpKind::depthwise)
                return std::uint64_t{0};
            const auto index = static_cast<std::size_t>(op.convolution);
            return kernels_.convolutions[index]->scratch_bytes(width, rows);
        };
    }

    const StorageModel& storage() const override { return storage_; }

    std::uint64_t default_budget() const override { return host_budget(); }

    std::shared_ptr<Session> start(std::shared_ptr<const ExecutionPlan> plan) const override {
        return std::make_shared<cpu::CpuSession>(kernels_, std::move(plan));
    }

  private:
    void make_convolutions(const FusedNetwork& network, winograd::WeightForm form,
                           const winograd::Kernel& kernel) {
        const std::vector<const Op*> ops = convolution_ops(network.program);
        kernels_.convolutions.resize(ops.size());
        kernels_.norms.resize(ops.size());
        for_each_in_parallel(ops.size(), kernels_.threads, [&](std::size_t i) {
            ConvolutionWeights weights = network.weights(static_cast<int>(i), false);
            if (ops[i]->kind == OpKind::layer_norm) {
                kernels_.norms[i] = cpu::NormNumbers(weights);
                return;
            }
            kernels_.convolutions[i] = std::make_unique<cpu::FusedConvolution>(
                *ops[i], weights, form, kernel, kernels_.threads);
        });
        for (const auto& made : kernels_.convolutions) {
            if (made) storage_.weight_bytes += made->weight_bytes();
        }
        for (const cpu::NormNumbers& norm : kernels_.norms) storage_.weight_bytes += norm.bytes();
    }

    cpu::Kernels kernels_;
    StorageModel storage_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const FusedNetwork& network,
                                          const CpuBackendOptions& options) {
    return std::make_unique<CpuBackend>(network, options);
}

}  // namespace realesrgan
