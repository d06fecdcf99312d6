#include "tiles/cpu_layers.hpp"

#include <cpu.h>
#include <layer.h>

#include <algorithm>
#include <cmath>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/integers.hpp"
#include "base/thread_pool.hpp"
#include "cpu/convolution.hpp"
#include "cpu/winograd/instruction_set.hpp"
#include "realesrgan/errors.hpp"
#include "tiles/checked_net.hpp"

namespace realesrgan {
namespace {

using winograd::kGroup;
using winograd::kMostPixel;
using winograd::kTaps;

// ncnn's numbers of activations.
constexpr int kNoActivation = 0;
constexpr int kRelu = 1;
constexpr int kLeakyRelu = 2;

// The small tile: a network of many layers stays within the contract with it.
const winograd::Kernel& small_tiles() {
    return winograd::select_kernel({}, winograd::kSmallTile);
}

int inputs_of(const Layer& layer) {
    return layer.integer(6, 0) / kTaps / layer.integer(0, 1);
}

// The channels that ncnn, as it was built, keeps side by side on this processor where there are
// enough of them.
int packed_channels() {
#if defined(__x86_64__) || defined(_M_X64)
#if NCNN_AVX512
    if (ncnn::cpu_support_x86_avx512() != 0) return kMostPixel;
#endif
#if NCNN_AVX
    if (ncnn::cpu_support_x86_avx() != 0) return kGroup;
#endif
#endif
    return 1;
}

// How a blob of ncnn lies in memory, for the kernels.
winograd::GroupLayout layout_of(const ncnn::Mat& blob) {
    return {blob.cstep * static_cast<std::size_t>(blob.elempack), blob.elempack};
}

float* row_of(const ncnn::Mat& blob, int y) {
    const auto floats = static_cast<std::size_t>(blob.w) * static_cast<std::size_t>(blob.elempack);
    return static_cast<float*>(blob.data) + static_cast<std::size_t>(y) * floats;
}

class WinogradLayer final : public ncnn::Layer {
  public:
    WinogradLayer(const realesrgan::Layer& layer, winograd::WeightForm form)
        : inputs_(inputs_of(layer)),
          outputs_(layer.integer(0, 0)),
          has_bias_(layer.integer(5, 0) != 0),
          form_(form) {
        one_blob_only = true;
        support_packing = true;
        const int activation = layer.integer(9, kNoActivation);
        if (activation == kRelu) slopes_ = {0.0F};
        if (activation == kLeakyRelu) slopes_ = {layer.array(10).at(0)};
    }

    int load_model(const ncnn::ModelBin& file) override {
        const ncnn::Mat taps = file.load(outputs_ * inputs_ * kTaps, 0);
        if (taps.empty()) return CheckedNet::kNoMemory;
        const ncnn::Mat bias = has_bias_ ? file.load(outputs_, 1) : ncnn::Mat();
        if (has_bias_ && bias.empty()) return CheckedNet::kNoMemory;
        winograd::Description description;
        description.in_channels = inputs_;
        description.out_channels = outputs_;
        description.bias = has_bias_ ? static_cast<const float*>(bias.data) : nullptr;
        description.slopes = slopes_;
        try {
            const auto* values = static_cast<const float*>(taps.data);
            std::vector<std::uint16_t> halves;
            if (form_ == winograd::WeightForm::packed) {
                halves = cpu::as_fp16(values, static_cast<std::size_t>(taps.w));
            }
            if (halves.empty()) {
                description.taps = values;
            } else {
                description.fp16_taps = halves.data();
            }
            convolution_ =
                std::make_unique<winograd::Convolution>(description, form_, small_tiles());
        } catch (const std::bad_alloc&) {
            return CheckedNet::kNoMemory;
        }
        return 0;
    }

    int forward(const ncnn::Mat& in, ncnn::Mat& out, const ncnn::Option& option) const override {
        ncnn::Mat input = in;
        if (in.elempack != kGroup && in.elempack != kMostPixel) {
            ncnn::Option own = option;  // an ncnn without code for this processor
            own.blob_allocator = option.workspace_allocator;
            ncnn::convert_packing(in, input, kGroup, own);
            if (input.empty()) return CheckedNet::kNoMemory;
        }
        const int packed = outputs_ % packed_channels() == 0 ? packed_channels() : kGroup;
        out.create(input.w, input.h, outputs_ / packed, sizeof(float) * idx(packed), packed,
                   option.blob_allocator);
        if (out.empty()) return CheckedNet::kNoMemory;
        const std::size_t bytes =
            convolution_->workspace_bytes(input.w, input.h, option.num_threads);
        const ncnn::Mat memory(static_cast<int>(bytes / sizeof(float)), sizeof(float),
                               option.workspace_allocator);
        if (memory.empty()) return CheckedNet::kNoMemory;
        try {
            run(input, out, memory, bytes, option.num_threads);
        } catch (const std::bad_alloc&) {
            return CheckedNet::kNoMemory;
        }
        return 0;
    }

  private:
    void run(const ncnn::Mat& input, const ncnn::Mat& output, const ncnn::Mat& memory,
             std::size_t bytes, int threads) const {
        std::vector<const float*> from{nullptr};
        std::vector<float*> to;
        for (int y = 0; y < input.h; ++y) {
            from.push_back(row_of(input, y));
            to.push_back(row_of(output, y));
        }
        from.push_back(nullptr);
        winograd::OutputRows rows;
        rows.width = input.w;
        rows.height = input.h;
        rows.input = {from.data(), layout_of(input)};
        rows.output = {to.data(), layout_of(output)};
        winograd::Workspace workspace(threads, static_cast<float*>(memory.data), bytes);
        convolution_->run(rows, workspace);
    }

    int inputs_;
    int outputs_;
    bool has_bias_;
    winograd::WeightForm form_;
    std::vector<float> slopes_;
    std::unique_ptr<const winograd::Convolution> convolution_;
};

class StreamedMatrixLayer final : public ncnn::Layer {
  public:
    StreamedMatrixLayer(const realesrgan::Layer& layer, StoredHalves weights)
        : outputs_(layer.integer(0, 0)),
          inputs_(layer.integer(2, 0) / outputs_),
          has_bias_(layer.integer(1, 0) != 0),
          weights_(std::move(weights)) {
        one_blob_only = true;
    }

    int load_model(const ncnn::ModelBin& file) override {
        const ncnn::Mat weights = file.load(outputs_ * inputs_, 0);  // for its check alone
        if (weights.empty()) return CheckedNet::kNoMemory;
        const auto* values = static_cast<const float*>(weights.data);
        if (!std::all_of(values, values + weights.w, [](float v) { return std::isfinite(v); })) {
            return -1;
        }
        if (has_bias_) bias_ = file.load(outputs_, 1);
        return has_bias_ && bias_.empty() ? CheckedNet::kNoMemory : 0;
    }

    int forward(const ncnn::Mat& in, ncnn::Mat& out, const ncnn::Option& option) const override {
        const bool rows = in.dims == 2 && in.w == inputs_;
        const int vectors = rows ? in.h : 1;
        const ncnn::Mat input =
            rows ? in : in.reshape(inputs_, option.workspace_allocator);  // without gaps
        if (rows) {
            out.create(outputs_, vectors, sizeof(float), option.blob_allocator);
        } else {
            out.create(outputs_, sizeof(float), option.blob_allocator);
        }
        if (input.empty() || out.empty()) return CheckedNet::kNoMemory;
        try {
            run(static_cast<const float*>(input.data), static_cast<float*>(out.data), vectors,
                option.num_threads);
        } catch (const std::bad_alloc&) {
            return CheckedNet::kNoMemory;
        } catch (const ModelError& error) {
            return CheckedNet::fail(error.what());
        }
        return 0;
    }

  private:
    void run(const float* input, float* output, int vectors, int threads) const {
        constexpr int kBlockValues = 1 << 18;
        const int rows = std::max(1, kBlockValues / inputs_);
        std::vector<std::vector<std::uint16_t>> blocks(idx(threads));
        ThreadPool::shared().run(ceil_div(outputs_, rows), threads, [&](int item, int slot) {
            const int first = item * rows;
            const int count = std::min(rows, outputs_ - first);
            std::vector<std::uint16_t>& block = blocks[idx(slot)];
            block.resize(idx(count) * idx(inputs_));
            weights_.read(idx(first) * idx(inputs_), block);
            for (int v = 0; v < vectors; ++v) {
                float* const sums = output + idx(v) * idx(outputs_) + first;
                small_tiles().multiply_rows(block.data(), count, inputs_,
                                            input + idx(v) * idx(inputs_), sums);
                if (!has_bias_) continue;
                const float* bias = static_cast<const float*>(bias_.data) + first;
                for (int i = 0; i < count; ++i) sums[i] += bias[i];
            }
        });
    }

    int outputs_;
    int inputs_;
    bool has_bias_;
    StoredHalves weights_;
    ncnn::Mat bias_;
};

bool is_streamed_matrix(const Layer& layer, bool fp16) {
    constexpr int kManyWeights = 1 << 20;
    return layer.type == "InnerProduct" && fp16 && layer.integer(2, 0) >= kManyWeights &&
           layer.integer(8, 0) == 0 && layer.integer(9, kNoActivation) == kNoActivation;
}

}  // namespace

CpuLayers::CpuLayers(const Graph& graph, std::uint64_t most_transformed) {
    std::uint64_t weights = 0;
    for (const Layer& layer : graph.layers) {
        if (has_convolution(layer)) weights += static_cast<unsigned>(layer.integer(6, 0));
    }
    const auto points = static_cast<std::uint64_t>(small_tiles().points);
    if (weights / kTaps * points * sizeof(float) > most_transformed) {
        form_ = winograd::WeightForm::packed;
    }
}

bool CpuLayers::has_convolution(const Layer& layer) const {
    if (layer.type != "Convolution" || packed_channels() < kGroup) return false;
    const auto both = [&](int across, int down, int fallback, int wanted) {
        const int value = layer.integer(across, fallback);
        return value == wanted && layer.integer(down, value) == wanted;
    };
    const bool keeps_size = both(1, 11, 0, 3) && both(2, 12, 1, 1) && both(3, 13, 1, 1) &&
                            both(4, 15, 0, 1) && both(14, 16, layer.integer(4, 0), 1) &&
                            layer.number(18, 0.0F) == 0.0F;
    const int activation = layer.integer(9, kNoActivation);
    const bool known =
        activation == kNoActivation || activation == kRelu || activation == kLeakyRelu;
    const bool plain = layer.integer(8, 0) == 0 && layer.integer(19, 0) == 0;
    if (!keeps_size || !known || !plain || layer.inputs.size() != 1) return false;
    return layer.integer(0, 0) % kGroup == 0 && inputs_of(layer) % kGroup == 0;
}

std::size_t CpuLayers::workspace_bytes(int inputs, int outputs, double width, double height,
                                       int threads) const {
    constexpr double kLarge = 1 << 14;  // above this side the workspace grows no more
    return winograd::Convolution::workspace_bytes(
        inputs, outputs, form_, small_tiles(), static_cast<int>(std::min(width, kLarge)),
        static_cast<int>(std::min(height, kLarge)), threads);
}

std::unique_ptr<ncnn::Layer> CpuLayers::make(const Graph& graph, std::size_t index,
                                             const WeightFile& weights) const {
    const Layer& layer = graph.layers[index];
    if (has_convolution(layer)) return std::make_unique<WinogradLayer>(layer, form_);
    if (layer.type == "InnerProduct" && is_streamed_matrix(layer, weights.has_fp16(index))) {
        return std::make_unique<StreamedMatrixLayer>(layer, weights.stored_halves(index));
    }
    return nullptr;
}

}  // namespace realesrgan
