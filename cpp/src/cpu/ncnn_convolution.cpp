#include <cpu.h>
#include <layer.h>
#include <layer_type.h>
#include <modelbin.h>
#include <option.h>
#include <paramdict.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "base/forks.hpp"
#include "cpu/arena.hpp"
#include "cpu/convolution.hpp"
#include "cpu/epilogue.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan::cpu {

namespace {

// Without hints about shapes, a layer keeps weights for F(4,3) alone, or for F(6,3) when it is this
// narrow.
constexpr int kWideWinograd = 32;

ncnn::Option make_option(int threads) {
    ncnn::Option option;
    option.num_threads = threads;  // the layers' weights are laid out for this number
    option.lightmode = true;       // the weights as given are dropped once they are transformed
    option.use_vulkan_compute = false;
    option.use_fp16_packed = false;
    option.use_fp16_storage = false;
    option.use_fp16_arithmetic = false;
    option.use_bf16_storage = false;
    option.use_int8_inference = false;
    return option;
}

// The channels ncnn puts side by side on this processor, from a layer that has them.
int find_group() {
    ncnn::Option option = make_option(1);
    std::unique_ptr<ncnn::Layer> layer(ncnn::create_layer_cpu(ncnn::LayerType::Convolution));
    ncnn::ParamDict parameters;
    parameters.set(0, kChannelAlignment);
    parameters.set(1, 1);
    parameters.set(6, kChannelAlignment);
    layer->load_param(parameters);
    ncnn::Mat weights[1] = {ncnn::Mat(kChannelAlignment)};
    weights[0].fill(0.0F);
    layer->load_model(ncnn::ModelBinFromMatArray(weights));
    layer->create_pipeline(option);
    ncnn::Mat input(1, 1, 1);
    input.fill(0.0F);
    ncnn::Mat output;
    layer->forward(input, output, option);
    layer->destroy_pipeline(option);
    return output.elempack == 16 || output.elempack == 8 || output.elempack == 4 ? output.elempack
                                                                                 : 1;
}

ncnn::Mat copy_of(const float* values, std::size_t count) {
    ncnn::Mat mat(static_cast<int>(count));
    if (mat.empty())
        throw OutOfMemoryError("the system has no memory left for the network's weights");
    std::memcpy(mat.data, values, count * sizeof(float));
    return mat;
}

// How ncnn cuts a product of so many rows (or columns) into tiles of at most `tile`.
int tile_of(int count, int tile, int step) {
    const int largest = std::max(step, tile / step * step);
    const int pieces = (count + largest - 1) / largest;
    return std::min(largest, round_up((count + pieces - 1) / pieces, step));
}

class NcnnConvolution final : public Convolution {
  public:
    // `simd`: the channels ncnn puts side by side where there are enough.
    NcnnConvolution(const Op& op, const ConvolutionWeights& weights, int in_group, int out_group,
                    int simd, const ncnn::Option& option)
        : op_(op), option_(option), in_group_(in_group), simd_(simd) {
        option_.use_packing_layout = out_group > 1;
        inputs_ = in_group > 1 ? round_up(weights.inputs, kChannelAlignment) : weights.inputs;
        outputs_ = out_group > 1 ? round_up(weights.outputs, kChannelAlignment) : weights.outputs;
        make_layer(weights);
        if (op.activation == Activation::leaky_relu) {
            slopes_.assign(static_cast<std::size_t>(outputs_), op.slope);
        } else if (op.activation == Activation::prelu) {
            slopes_ = weights.slopes;
            slopes_.resize(static_cast<std::size_t>(outputs_), 0.0F);
        }
    }

    ~NcnnConvolution() override { layer_->destroy_pipeline(option_); }

    void run(const Band& band, KernelScratch& scratch) const override {
        auto& arena = static_cast<Arena&>(scratch);
        ncnn::Option option = option_;
        option.blob_allocator = &arena;
        option.workspace_allocator = &arena;
        ncnn::Mat enlarged;
        ncnn::Mat result;
        const int failed = layer_->forward(input_of(band, arena, enlarged), result, option);
        if (failed != 0 || result.empty()) {
            throw OutOfMemoryError(
                "the system has no memory left for a convolution's temporary data");
        }
        const BareRows bare{static_cast<const float*>(result.data), result.elempack, result.w,
                            static_cast<std::ptrdiff_t>(result.cstep) * result.elempack};
        store_band(op_, slopes_, bare, band, option_.num_threads);
    }

    std::uint64_t weight_bytes() const override {
        const std::uint64_t points = winograd() ? (tile() + 2) * (tile() + 2) : 9;
        return points * 4 * static_cast<std::uint64_t>(inputs_) *
               static_cast<std::uint64_t>(outputs_);
    }

    // ncnn's Winograd keeps the whole transformed input, and for each thread a tile of it as it is
    // made and a tile of the product.
    std::uint64_t scratch_bytes(int width, int rows) const override {
        const auto size = [](int a, int b, int c) {
            return static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b) *
                   static_cast<std::uint64_t>(c) * sizeof(float);
        };
        constexpr std::uint64_t kBlocks = 5 * 128;  // rounding of every block
        std::uint64_t bytes = size(width, rows, outputs_) + kBlocks;
        if (op_.upsample > 1) bytes += size(width + 2, rows + 2, inputs_);
        if (!winograd()) return bytes;
        const int threads = option_.num_threads;
        const int points = static_cast<int>((tile() + 2) * (tile() + 2));
        const int side = static_cast<int>(tile());
        const int tiles = ((width + side - 1) / side) * ((rows + side - 1) / side);
        const int cache = ncnn::get_cpu_level2_cache_size() / static_cast<int>(sizeof(float));
        const int step = std::max(simd_, 4);  // whatever the layer's own channels are
        int m = tile_of(outputs_,
                        static_cast<int>(std::sqrt(cache / 3.0)) *
                            std::min(threads, ncnn::get_physical_cpu_count()),
                        step);
        if (threads > 1) m = std::min(m, round_up(std::max(1, m / threads), step));
        const int k = tile_of(inputs_, static_cast<int>(std::sqrt(cache)) - m, step);
        const int n = tile_of(tiles, (cache - m * k) / (m + k), step == 8 ? 12 : step);
        const int k_tiles = (inputs_ + k - 1) / k;
        const int n_tiles = (tiles + n - 1) / n;
        const int in_tiles = k_tiles * n_tiles < threads ? 1 : threads;
        return bytes + size(k * k_tiles, n * n_tiles, points) + size(n * k, points, in_tiles) +
               size(n * m, points, threads);
    }

  private:
    bool winograd() const { return inputs_ > 8 || outputs_ > 8; }
    std::uint64_t tile() const {
        return inputs_ <= kWideWinograd && outputs_ <= kWideWinograd ? 6 : 4;
    }

    void make_layer(const ConvolutionWeights& weights) {
        layer_.reset(ncnn::create_layer_cpu(ncnn::LayerType::Convolution));
        std::vector<float> kernel(static_cast<std::size_t>(outputs_) *
                                  static_cast<std::size_t>(inputs_) * 9);
        for (int o = 0; o < weights.outputs; ++o) {
            const auto from =
                static_cast<std::size_t>(o) * static_cast<std::size_t>(weights.inputs) * 9;
            const auto to = static_cast<std::size_t>(o) * static_cast<std::size_t>(inputs_) * 9;
            std::copy_n(&weights.kernel[from], static_cast<std::size_t>(weights.inputs) * 9,
                        &kernel[to]);
        }
        std::vector<float> bias = weights.bias;
        bias.resize(static_cast<std::size_t>(outputs_), 0.0F);
        ncnn::ParamDict parameters;
        parameters.set(0, outputs_);
        parameters.set(1, 3);
        parameters.set(4, 0);  // rows and columns are padded by us
        parameters.set(5, 1);
        parameters.set(6, static_cast<int>(kernel.size()));
        ncnn::Mat mats[2] = {copy_of(kernel.data(), kernel.size()),
                             copy_of(bias.data(), bias.size())};
        const bool made = layer_->load_param(parameters) == 0 &&
                          layer_->load_model(ncnn::ModelBinFromMatArray(mats)) == 0 &&
                          layer_->create_pipeline(option_) == 0;
        if (!made)
            throw ModelError("ncnn cannot make the convolution " + std::to_string(op_.convolution));
    }

    // The rows above to the row below the band, with a zero column at both sides.
    ncnn::Mat input_of(const Band& band, Arena& arena, ncnn::Mat& enlarged) const {
        if (op_.upsample > 1) {
            enlarge(band, arena, enlarged);
            return enlarged;
        }
        const RowLayout& layout = band.input->layout();
        float* first = band.input->row(op_.input.channel, band.first - 1) - in_group_;
        ncnn::Mat view(layout.width + 2, band.count + 2, inputs_ / in_group_, first,
                       sizeof(float) * static_cast<std::size_t>(in_group_), in_group_);
        view.cstep = static_cast<std::size_t>(layout.group_stride() / in_group_);
        return view;
    }

    void enlarge(const Band& band, Arena& arena, ncnn::Mat& enlarged) const {
        const int width = band.input->layout().width * op_.upsample;
        const int height = band.input->height() * op_.upsample;
        const int rows = band.count + 2;
        const int groups = inputs_ / in_group_;
        enlarged.create(width + 2, rows, groups,
                        sizeof(float) * static_cast<std::size_t>(in_group_), in_group_, &arena);
        if (enlarged.empty()) {
            throw OutOfMemoryError("the system has no memory left for an enlarged band");
        }
        float* data = static_cast<float*>(enlarged.data);
        const std::ptrdiff_t group_stride = static_cast<std::ptrdiff_t>(enlarged.cstep) * in_group_;
        const std::ptrdiff_t row_stride = static_cast<std::ptrdiff_t>(width + 2) * in_group_;
#pragma omp parallel for num_threads(option_.num_threads)
        for (int i = 0; i < groups * rows; ++i) {
            const int y = band.first - 1 + i % rows;
            float* to = data + i / rows * group_stride + i % rows * row_stride;
            if (y < 0 || y >= height) {
                std::memset(to, 0, static_cast<std::size_t>(row_stride) * sizeof(float));
                continue;
            }
            const float* from =
                band.input->row(op_.input.channel + i / rows * in_group_, y / op_.upsample);
            enlarge_row(from, to, width);
        }
    }

    void enlarge_row(const float* from, float* to, int width) const {
        const std::size_t pixel = static_cast<std::size_t>(in_group_) * sizeof(float);
        std::memset(to, 0, pixel);
        to += in_group_;
        for (int x = 0; x < width / op_.upsample; ++x) {
            for (int i = 0; i < op_.upsample; ++i) {
                std::memcpy(to, from, pixel);
                to += in_group_;
            }
            from += in_group_;
        }
        std::memset(to, 0, pixel);
    }

    const Op& op_;
    ncnn::Option option_;
    int in_group_;
    int simd_;
    int inputs_ = 0;  // with padding
    int outputs_ = 0;
    std::unique_ptr<ncnn::Layer> layer_;
    std::vector<float> slopes_;
};

class NcnnKernel final : public ConvolutionKernel {
  public:
    explicit NcnnKernel(int threads) : option_(make_option(threads)), group_(find_group()) {}

    int group(int ring_channels) const override {
        return ring_channels < kChannelAlignment ? 1 : group_;
    }

    std::unique_ptr<Convolution> make(const Program& program, const Op& op,
                                      const ConvolutionWeights& weights) const override {
        const int in_group = group(program.tensor(op.input).channels);
        const int out_group = group(program.tensor(op.output).channels);
        return std::make_unique<NcnnConvolution>(op, weights, in_group, out_group, group_, option_);
    }

    std::unique_ptr<KernelScratch> make_scratch(Meter& meter, std::uint64_t bytes) const override {
        return std::make_unique<Arena>(meter, static_cast<std::size_t>(bytes));
    }

  private:
    ncnn::Option option_;
    int group_;
};

}  // namespace

std::unique_ptr<ConvolutionKernel> make_ncnn_kernel(int threads) {
    end_openmp_team_at_fork();
    return std::make_unique<NcnnKernel>(threads);
}

}  // namespace realesrgan::cpu
