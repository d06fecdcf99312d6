#include "device_weights.hpp"

#include <algorithm>
#include <cstring>
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
// real ones are zero.
std::vector<float> arrange(const ConvolutionWeights& layer, int weight_rows, int weight_pitch) {
    constexpr int kTaps = 9;
    std::vector<float> arranged(index(kTaps * weight_rows) * index(weight_pitch), 0.0F);
    // Inputs outside: the nine rows that are written stay in the nearest cache.
    for (int i = 0; i < layer.inputs; i++) {
        for (int o = 0; o < layer.outputs; o++) {
            const float* from = layer.kernel.data() + index(o * layer.inputs + i) * kTaps;
            for (int t = 0; t < kTaps; t++) {
                arranged[index(t * weight_rows + i) * index(weight_pitch) + index(o)] = from[t];
            }
        }
    }
    return arranged;
}

}  // namespace

Weights::Weights(std::shared_ptr<Context> context, Storage storage)
    : context_(std::move(context)), storage_(storage) {}

WeightRange Weights::add_bytes(const void* data, std::uint64_t bytes) {
    const std::uint64_t alignment =
        std::max<std::uint64_t>(16, context_->limits().minStorageBufferOffsetAlignment);
    if (host_.empty() || host_.back().size() + bytes > kBlockBytes) host_.emplace_back();
    std::vector<std::byte>& block = host_.back();
    const std::uint64_t offset = (block.size() + alignment - 1) / alignment * alignment;
    block.resize(offset + bytes);
    std::memcpy(block.data() + offset, data, bytes);
    return {host_.size() - 1, offset, bytes};
}

WeightRange Weights::add_values(const std::vector<float>& values, Storage storage) {
    if (storage == Storage::fp32) return add_bytes(values.data(), values.size() * sizeof(float));
    std::vector<std::uint16_t> halves(values.size());
    std::transform(values.begin(), values.end(), halves.begin(), float_to_half);
    return add_bytes(halves.data(), halves.size() * sizeof(halves[0]));
}

LayerWeights Weights::add(const ConvolutionWeights& layer, float slope) {
    LayerWeights added;
    added.weight_pitch = round_up(layer.outputs, kChannelAlignment);
    added.weight_rows = round_up(layer.inputs, kChannelAlignment);
    added.taps = add_values(arrange(layer, added.weight_rows, added.weight_pitch), storage_);
    const auto pitch = static_cast<std::size_t>(added.weight_pitch);
    // The matrix kernel reads whole matrices of them, perhaps past the last channel.
    std::vector<float> epilogue(pitch * 2 + kMostMatrixChannels, 0.0F);
    std::copy(layer.bias.begin(), layer.bias.end(), epilogue.begin());
    const auto slopes = epilogue.begin() + added.weight_pitch;
    std::fill(slopes, slopes + layer.outputs, slope);
    std::copy(layer.slopes.begin(), layer.slopes.end(), slopes);
    added.epilogue = add_values(epilogue, Storage::fp32);
    return added;
}

void Weights::upload() {
    const Buffer staging(context_, BufferKind::upload, kStagingBytes);
    Commands commands(context_);
    for (const std::vector<std::byte>& block : host_) {
        blocks_.push_back(std::make_unique<Buffer>(context_, BufferKind::device, block.size()));
        for (std::uint64_t at = 0; at < block.size(); at += kStagingBytes) {
            const std::uint64_t bytes = std::min<std::uint64_t>(kStagingBytes, block.size() - at);
            std::memcpy(staging.data(), block.data() + at, bytes);
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
