#include "device_weights.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "commands.hpp"
#include "convolution_choice.hpp"
#include "half.hpp"

namespace realesrgan::vulkan {

namespace {

constexpr std::uint64_t kBlockBytes = std::uint64_t{32} << 20;
constexpr std::uint64_t kStagingBytes = std::uint64_t{8} << 20;

std::size_t index(int value) {
    return static_cast<std::size_t>(value);
}

// From [output][input][tap] (PyTorch's and ncnn's order) to [tap][input][output]; channels past the
// real ones stay zero.
template <typename Value>
void arrange(const ConvolutionWeights& layer, const std::vector<Value>& kernel,
             const LayerWeights& place, Value* arranged) {
    constexpr int kTaps = 9;
    // An input's nine taps share a cache line, which stays: the inner loop reads with a stride and
    // writes in a row. Rows of taps are often a power of two apart and would evict each other.
    for (int i = 0; i < layer.inputs; i++) {
        for (int t = 0; t < kTaps; t++) {
            const Value* from = kernel.data() + index(i * kTaps + t);
            Value* to = arranged + index(t * place.weight_rows + i) * index(place.weight_pitch);
            for (int o = 0; o < layer.outputs; o++) {
                to[index(o)] = from[index(o) * index(layer.inputs * kTaps)];
            }
        }
    }
}

}  // namespace

Weights::Weights(std::shared_ptr<Context> context, Storage storage)
    : context_(std::move(context)), storage_(storage) {}

// calloc's large blocks are fresh pages of the system: what is never written takes no memory.
Weights::HostBlock::HostBlock(std::uint64_t wanted)
    : bytes(static_cast<std::byte*>(std::calloc(1, wanted)), std::free), size(wanted) {
    if (bytes == nullptr) throw std::bad_alloc();
}

WeightRange Weights::place_bytes(std::uint64_t bytes) {
    const std::uint64_t alignment =
        std::max<std::uint64_t>(16, context_->limits().minStorageBufferOffsetAlignment);
    const auto padded = (bytes + alignment - 1) / alignment * alignment;
    if (host_.empty() || host_.back().used + padded > host_.back().size) {
        host_.emplace_back(std::max(padded, kBlockBytes));
    }
    HostBlock& block = host_.back();
    const std::uint64_t offset = block.used;
    block.used += padded;
    return {host_.size() - 1, offset, bytes};
}

template <typename Value>
Value* Weights::at(const WeightRange& range) const {
    return reinterpret_cast<Value*>(host_[range.block].bytes.get() + range.offset);
}

LayerWeights Weights::place(int inputs, int outputs) {
    LayerWeights place;
    place.weight_pitch = round_up(outputs, kChannelAlignment);
    place.weight_rows = round_up(inputs, kChannelAlignment);
    const auto pitch = static_cast<std::uint64_t>(place.weight_pitch);
    const auto rows = static_cast<std::uint64_t>(place.weight_rows);
    place.taps = place_bytes(9 * rows * pitch * static_cast<unsigned>(bytes_per_value(storage_)));
    // The matrix kernel reads whole matrices of them, perhaps past the last channel.
    place.epilogue = place_bytes((pitch * 2 + kMostMatrixChannels) * sizeof(float));
    return place;
}

void Weights::put(const LayerWeights& place, const ConvolutionWeights& layer, float slope) {
    if (storage_ == Storage::fp16) {
        std::vector<std::uint16_t> halves(layer.kernel.size());
        std::transform(layer.kernel.begin(), layer.kernel.end(), halves.begin(), float_to_half);
        arrange(layer, halves, place, at<std::uint16_t>(place.taps));
    } else {
        arrange(layer, layer.kernel, place, at<float>(place.taps));
    }
    auto* biases = at<float>(place.epilogue);
    std::copy(layer.bias.begin(), layer.bias.end(), biases);
    float* slopes = biases + place.weight_pitch;
    std::fill_n(slopes, layer.outputs, slope);
    std::copy(layer.slopes.begin(), layer.slopes.end(), slopes);
}

void Weights::upload() {
    const Buffer staging(context_, BufferKind::upload, kStagingBytes);
    Commands commands(context_);
    for (const HostBlock& block : host_) {
        blocks_.push_back(std::make_unique<Buffer>(context_, BufferKind::device, block.used));
        for (std::uint64_t at = 0; at < block.used; at += kStagingBytes) {
            const std::uint64_t bytes = std::min<std::uint64_t>(kStagingBytes, block.used - at);
            std::memcpy(staging.data(), block.bytes.get() + at, bytes);
            staging.flush();
            commands.begin();
            commands.copy(staging, *blocks_.back(), {{0, at, bytes}});
            commands.submit(QueueLease(*context_));
            commands.wait();
        }
    }
    host_.clear();
    host_.shrink_to_fit();
}

std::uint64_t Weights::bytes() const {
    std::uint64_t total = 0;
    for (const auto& block : blocks_) total += block->allocated_bytes();
    return total;
}

}  // namespace realesrgan::vulkan
