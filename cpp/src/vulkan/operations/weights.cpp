#include "vulkan/operations/weights.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/half.hpp"
#include "base/integers.hpp"
#include "base/interruption.hpp"
#include "vulkan/device/command_buffer.hpp"
#include "vulkan/operations/convolution_kernels.hpp"

namespace realesrgan::vulkan {

namespace {

constexpr std::uint64_t kBlockBytes = std::uint64_t{32} << 20;
constexpr std::uint64_t kPartBytes = std::uint64_t{2} << 20;

// Double buffering: the host fills one while the device copies the other.
struct Staging {
    Staging(const std::shared_ptr<Context>& context, std::uint64_t bytes)
        : buffer(context, BufferKind::upload, bytes), commands(context) {}

    Buffer buffer;
    CommandBuffer commands;  // goes first, and waits for what it submitted
};

std::size_t index(int value) {
    return static_cast<std::size_t>(value);
}

// From [output][input][tap] (PyTorch's and ncnn's order) to [tap][input][output]; channels past the
// real ones are zero, and taps around a smaller kernel.
template <typename Value>
void arrange(const ConvolutionWeights& layer, const std::vector<Value>& kernel,
             const LayerWeights& place, Value* arranged) {
    const int taps = layer.side * layer.side;
    const int margin = (place.side - layer.side) / 2;
    if (place.weight_rows > layer.inputs || place.weight_pitch > layer.outputs || margin > 0) {
        std::fill_n(arranged,
                    index(place.side * place.side * place.weight_rows) * index(place.weight_pitch),
                    Value{0});
    }
    // The taps of an input channel are in one cache line: the inner loop reads with a stride
    // and writes contiguously. Rows of taps are often a power of two apart and would evict each
    // other.
    for (int i = 0; i < layer.inputs; i++) {
        for (int t = 0; t < taps; t++) {
            const Value* from = kernel.data() + index(i * taps + t);
            const int tap = (t / layer.side + margin) * place.side + t % layer.side + margin;
            Value* to = arranged + index(tap * place.weight_rows + i) * index(place.weight_pitch);
            for (int o = 0; o < layer.outputs; o++) {
                to[index(o)] = from[index(o) * index(layer.inputs * taps)];
            }
        }
    }
}

}  // namespace

Weights::Weights(std::shared_ptr<Context> context, Storage storage)
    : context_(std::move(context)), storage_(storage) {}

std::uint64_t Weights::padded(std::uint64_t bytes) const {
    const std::uint64_t alignment =
        std::max<std::uint64_t>(16, context_->limits().minStorageBufferOffsetAlignment);
    return round_up(bytes, alignment);
}

WeightRange Weights::place_bytes(std::uint64_t bytes) {
    const std::uint64_t offset = used_.back();
    used_.back() += padded(bytes);
    return {used_.size() - 1, offset, bytes};
}

LayerWeights Weights::place(const ConvolutionShape& shape) {
    LayerWeights place;
    place.weight_pitch = round_up(shape.outputs, kChannelAlignment);
    place.weight_rows = shape.depthwise ? 1 : round_up(shape.inputs, kChannelAlignment);
    // The fastest kernels are written for 3x3.
    place.side = shape.depthwise ? shape.kernel : std::max(shape.kernel, 3);
    const auto pitch = static_cast<std::uint64_t>(place.weight_pitch);
    const auto rows = static_cast<std::uint64_t>(place.weight_rows);
    const std::uint64_t taps =
        product(place.side, place.side, rows, pitch, bytes_per_value(storage_));
    // The matrix kernel reads whole matrices, possibly past the last channel.
    const std::uint64_t epilogue = (pitch * 2 + kMostMatrixChannels) * sizeof(float);
    // Both in one block, a larger one where it must be: a layer is put there as a whole.
    if (used_.empty() || used_.back() + padded(taps) + padded(epilogue) > kBlockBytes) {
        used_.push_back(0);
    }
    place.taps = place_bytes(taps);
    place.epilogue = place_bytes(epilogue);
    placed_.push_back(place);
    return place;
}

void Weights::put(const LayerWeights& place, const LayerNumbers& numbers, std::byte* part,
                  std::uint64_t begin_byte) const {
    const ConvolutionWeights& layer = numbers.weights;
    std::byte* taps = part + (place.taps.offset - begin_byte);
    if (storage_ == Storage::fp32) {
        arrange(layer, layer.kernel, place, reinterpret_cast<float*>(taps));
    } else if (!layer.fp16.empty()) {
        arrange(layer, layer.fp16, place, reinterpret_cast<std::uint16_t*>(taps));
    } else {
        std::vector<std::uint16_t> fp16(layer.kernel.size());
        std::transform(layer.kernel.begin(), layer.kernel.end(), fp16.begin(), float_to_half);
        arrange(layer, fp16, place, reinterpret_cast<std::uint16_t*>(taps));
    }
    auto* biases = reinterpret_cast<float*>(part + (place.epilogue.offset - begin_byte));
    std::fill_n(biases, place.epilogue.bytes / sizeof(float), 0.0F);
    std::copy(layer.bias.begin(), layer.bias.end(), biases);
    float* slopes = biases + place.weight_pitch;
    std::fill_n(slopes, layer.outputs, numbers.slope);
    std::copy(layer.slopes.begin(), layer.slopes.end(), slopes);
}

std::vector<Weights::Part> Weights::parts() const {
    std::vector<Part> parts;
    for (std::size_t i = 0; i < placed_.size(); i++) {
        const WeightRange& first = placed_[i].taps;
        const WeightRange& last = placed_[i].epilogue;
        const std::uint64_t end = last.offset + last.bytes;
        if (parts.empty() || parts.back().block != first.block ||
            end - parts.back().begin_byte > kPartBytes) {
            parts.push_back({i, i, first.block, first.offset, first.offset});
        }
        parts.back().end = i + 1;
        parts.back().end_byte = end;
    }
    return parts;
}

void Weights::upload(const std::function<LayerNumbers(std::size_t)>& numbers, int threads) {
    for (const std::uint64_t bytes : used_) {
        blocks_.push_back(std::make_unique<Buffer>(context_, BufferKind::device, bytes));
    }
    const std::vector<Part> all = parts();
    if (all.empty()) return;
    std::uint64_t most = 0;
    for (const Part& part : all) most = std::max(most, part.bytes());
    std::array<Staging, 2> stagings = {Staging(context_, most), Staging(context_, most)};
    for (std::size_t i = 0; i < all.size(); i++) {
        const Part& part = all[i];
        Staging& staging = stagings.at(i % stagings.size());
        staging.commands.wait();
        for_each_in_parallel(part.end - part.first, threads, [&](std::size_t layer) {
            layer += part.first;
            put(placed_[layer], numbers(layer), staging.buffer.data(), part.begin_byte);
        });
        staging.buffer.flush();
        staging.commands.begin();
        staging.commands.copy(staging.buffer, *blocks_[part.block],
                              {{0, part.begin_byte, part.bytes()}});
        staging.commands.submit(QueueLease(*context_));
    }
    for (Staging& staging : stagings) staging.commands.wait();
}

std::uint64_t Weights::bytes() const {
    std::uint64_t total = 0;
    for (const auto& block : blocks_) total += block->allocated_bytes();
    return total;
}

}  // namespace realesrgan::vulkan
