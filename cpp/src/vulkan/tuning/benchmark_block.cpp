#include "vulkan/tuning/benchmark_block.hpp"

#include <cmath>
#include <utility>

#include "base/integers.hpp"
#include "vulkan/device/command_buffer.hpp"
#include "vulkan/tuning/timer.hpp"

namespace realesrgan::vulkan {

namespace {

constexpr int kFeatures = 64, kGrowth = 32;
constexpr int kBlockChannels = kFeatures + (DenseBlock::kLayers - 1) * kGrowth;

int inputs_of(int layer) {
    return kFeatures + layer * kGrowth;
}

int outputs_of(int layer) {
    return layer + 1 < DenseBlock::kLayers ? kGrowth : kFeatures;
}

Op layer_op(int layer) {
    Op op;
    op.input = {0, 0, inputs_of(layer)};
    op.convolution = layer;
    if (layer + 1 < DenseBlock::kLayers) {
        op.output = {0, kFeatures + layer * kGrowth, kGrowth};
        op.activation = Activation::leaky_relu;
        op.slope = 0.2F;
    } else {
        op.output = {1, 0, kFeatures};
        op.skips = {{{0, 0, kFeatures}, 0.2F, 1.0F, 1}};
    }
    return op;
}

LayerNumbers layer_numbers(int index) {
    ConvolutionWeights layer;
    layer.inputs = inputs_of(index);
    layer.outputs = outputs_of(index);
    // Not zeros: the values affect the power consumption of a GPU, and so its clock.
    layer.kernel.resize(static_cast<std::size_t>(9 * layer.inputs * layer.outputs));
    for (std::size_t w = 0; w < layer.kernel.size(); w++) {
        layer.kernel[w] = 0.02F * std::sin(static_cast<float>(w));
    }
    layer.bias.assign(static_cast<std::size_t>(layer.outputs), 0.1F);
    return {layer, 0.2F};
}

}  // namespace

DenseBlock::DenseBlock(std::shared_ptr<Context> context, Storage storage, int width, int rows)
    : context_(std::move(context)),
      storage_(storage),
      width_(width),
      rows_(rows),
      weights_(context_, storage) {
    add_ring(kBlockChannels);
    add_ring(kFeatures);
    for (int i = 0; i < kLayers; i++) {
        layers_.push_back(weights_.place({inputs_of(i), outputs_of(i)}));
    }
    weights_.upload([](std::size_t i) { return layer_numbers(static_cast<int>(i)); }, 1);
    CommandBuffer commands(context_);
    commands.begin();
    for (const auto& buffer : buffers_) commands.fill_zero(*buffer);
    commands.submit(QueueLease(*context_));
    commands.wait();
}

void DenseBlock::add_ring(int channels) {
    RingBuffer ring;
    ring.width = width_;
    ring.rows = ring.height = rows_ + 2;
    ring.channels = channels;
    buffers_.push_back(
        std::make_unique<Buffer>(context_, BufferKind::device, ring_bytes(ring, storage_)));
    ring.buffer = buffers_.back().get();
    rings_.push_back(ring);
}

std::vector<Operation> DenseBlock::layers(const KernelSet& kernels, int first, int end) const {
    std::vector<Operation> operations;
    for (int i = first; i < end; i++) {
        operations.emplace_back(*context_, storage_, kernels.of(outputs_of(i)), layer_op(i), rings_,
                                &layers_[idx(i)], rows_);
    }
    return operations;
}

DensePair DenseBlock::pair(const KernelConfig& choice, int first) const {
    return {*context_,
            choice,
            layer_op(first),
            layer_op(first + 1),
            rings_[0],
            layers_[idx(first)],
            layers_[idx(first + 1)],
            rows_};
}

double DenseBlock::time(const std::vector<Operation>& layers, int rows, double seconds) const {
    const auto record = [&](CommandBuffer& commands) {
        for (const Operation& layer : layers) layer.record(commands, weights_, {1, rows});
    };
    return time(record, rows, seconds);
}

double DenseBlock::time(const DensePair& pair, int rows, double seconds) const {
    const auto record = [&](CommandBuffer& commands) {
        pair.record(commands, weights_, {1, rows});
    };
    return time(record, rows, seconds);
}

double DenseBlock::time(const std::function<void(CommandBuffer&)>& record, int rows,
                        double seconds) const {
    CommandBuffer commands(context_);
    const double pixels = static_cast<double>(width_) * rows;
    const double rate = best_rate(seconds, pixels, [&](int rounds) {
        commands.begin();
        for (int i = 0; i < rounds; i++) record(commands);
        commands.submit(QueueLease(*context_));
        commands.wait();
    });
    return 1.0 / rate;
}

std::uint64_t DenseBlock::bytes_per_pixel(Storage storage) {
    return static_cast<std::uint64_t>(kBlockChannels + kFeatures) *
           static_cast<std::uint64_t>(bytes_per_value(storage));
}

}  // namespace realesrgan::vulkan
