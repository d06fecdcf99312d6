#include "vulkan/self_test.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "base/fault_injection.hpp"
#include "base/integers.hpp"
#include "image/array_rows.hpp"
#include "image/image_view.hpp"
#include "program/reference.hpp"
#include "stream/backend.hpp"
#include "stream/executor.hpp"
#include "vulkan/vulkan_backend.hpp"

namespace realesrgan::vulkan {

namespace {

// Odd sizes, wider than one tile and no multiple of it; the row band makes ring buffers wrap and
// leaves a partial last band.
constexpr int kWidth = 37, kHeight = 21, kBand = 8, kScale = 2;

// The mean error of kernels with fp16 storage and fp32 sums: 1.29e-4 with all of them, on both
// software drivers.
constexpr double kMeanError = 1.3e-4;
// How much larger it may be with sums in fp16. Official networks on photographs
// (docs/explanation/gpu.md) are within one step of 8 bits where their mean error is up to 3.7 times
// as large, and not where it is 4.3 times. Their factor f grows faster than this test's t: of the
// same kernels they are 2.5 and 2.9 against 1.7 and 1.9, so that f^2 - 1 is about 2.7 (t^2 - 1). It
// follows that t is 2.4 and 2.7 there.
constexpr double kMostRounding = 2.4;

// Deterministic numbers in -1..1: https://en.wikipedia.org/wiki/Xorshift
class Noise {
  public:
    explicit Noise(std::uint32_t seed) : state_(seed * 2654435761U + 1U) {}
    float next() {
        state_ ^= state_ << 13U;
        state_ ^= state_ >> 17U;
        state_ ^= state_ << 5U;
        return static_cast<float>(state_ >> 8U) / static_cast<float>(1U << 23U) - 1.0F;
    }

  private:
    std::uint32_t state_;
};

Op convolution(Program& program, ChannelSlice input, ChannelSlice output, Activation activation) {
    Op op;
    op.input = input;
    op.output = output;
    op.convolution = static_cast<int>(program.convolutions.size());
    op.activation = activation;
    op.slope = 0.2F;
    program.convolutions.push_back({input.channels, output.channels});
    return op;
}

// The kinds of layers of a residual dense network: first layer, two growth layers, layer with a
// skip, upsampling layer, last layer.
Program test_program() {
    Program program;
    program.tensors = {{3, 1}, {128, 1}, {64, 1}, {64, 1}, {64, kScale}, {3, kScale}};
    program.input = {0, 0, 3};
    program.picture_channels = 3;
    program.output = {5, 0, 3};
    Op first = convolution(program, {0, 0, 3}, {1, 0, 64}, Activation::none);
    first.duplicate_output = ChannelSlice{2, 0, 64};
    program.ops.push_back(first);
    program.ops.push_back(convolution(program, {1, 0, 64}, {1, 64, 32}, Activation::leaky_relu));
    program.ops.push_back(convolution(program, {1, 0, 96}, {1, 96, 32}, Activation::leaky_relu));
    Op block = convolution(program, {1, 0, 128}, {3, 0, 64}, Activation::none);
    block.skips = {{{2, 0, 64}, 0.5F, 1.0F, 1}};
    program.ops.push_back(block);
    Op enlarged = convolution(program, {3, 0, 64}, {4, 0, 64}, Activation::leaky_relu);
    enlarged.upsample = kScale;
    program.ops.push_back(enlarged);
    program.ops.push_back(convolution(program, {4, 0, 64}, {5, 0, 3}, Activation::none));
    return program;
}

FusedNetwork test_network() {
    FusedNetwork network;
    network.program = test_program();
    network.weights = [shapes = network.program.convolutions](int index, bool) {
        const ConvolutionShape shape = shapes[idx(index)];
        ConvolutionWeights weights;
        weights.inputs = shape.inputs;
        weights.outputs = shape.outputs;
        Noise noise(static_cast<std::uint32_t>(index) + 1);
        // Preserves the variance; the noise has a variance of 1/3.
        const float spread = std::sqrt(3.0F / (9.0F * static_cast<float>(shape.inputs)));
        weights.kernel.resize(static_cast<std::size_t>(9 * shape.inputs * shape.outputs));
        for (float& w : weights.kernel) w = spread * noise.next();
        weights.bias.resize(static_cast<std::size_t>(shape.outputs));
        for (float& b : weights.bias) b = 0.1F * noise.next();
        return weights;
    };
    return network;
}

FeatureMap test_picture() {
    FeatureMap picture(kWidth, kHeight, 3);
    Noise noise(99);
    for (double& sample : picture.values) sample = noise.next();
    return picture;
}

// A view of packed RGB floats.
template <typename Byte, typename Floats>
BasicImageView<Byte> view_of(Floats& samples, int width, int height) {
    return packed_view(reinterpret_cast<Byte*>(samples.data()), SampleType::f32, width, height, 3);
}

std::vector<float> result_of(const Backend& backend, const Program& program,
                             const FeatureMap& picture) {
    const std::vector<float> samples(picture.values.begin(), picture.values.end());
    std::vector<float> result(samples.size() * kScale * kScale);
    BandConfig config;
    config.width = kWidth;
    config.height = kHeight;
    config.band = kBand;
    config.format = {SampleType::f32, SampleType::f32, false};
    StorageModel storage = backend.storage();
    storage.pair_from_band = 1;
    const auto plan = std::make_shared<const ExecutionPlan>(program, config, storage);
    ArraySource source(view_of<const std::byte>(samples, kWidth, kHeight));
    ArraySink sink(view_of<std::byte>(result, kWidth * kScale, kHeight * kScale));
    StreamRecord record;
    run_plan(backend, plan, source, 0, sink, nullptr, record);
    return result;
}

}  // namespace

double self_test_limit(Storage storage) {
    // Measured on two software drivers, all kernels: 7.8e-4 and 2.4e-6.
    return storage == Storage::fp16 ? 2e-2 : 1e-4;
}

double fp16_sums_limit() {
    return kMeanError * kMostRounding;
}

bool rounds_too_often(const SelfTestError& error, const KernelSet& kernels) {
    const bool fp16_sums = kernels.narrow.half_products > 0 || kernels.wide.half_products > 0;
    return fp16_sums && error.mean > fp16_sums_limit();
}

SelfTestError self_test_error(int device, Storage storage, const KernelSet& kernels) {
    const FusedNetwork network = test_network();
    const FeatureMap picture = test_picture();
    static const FeatureMap expected = compute_reference(network, picture);
    std::vector<float> result = result_of(*make_vulkan_backend(network, device, storage, kernels),
                                          network.program, picture);
    if (faults().self_test.due()) result[result.size() / 2] += 1.0F;
    SelfTestError error;
    for (std::size_t i = 0; i < result.size(); i++) {
        const double off =
            std::abs(double{result[i]} - expected.values[i]) / (1.0 + std::abs(expected.values[i]));
        if (!std::isfinite(off)) {
            constexpr double kInfinite = std::numeric_limits<double>::infinity();
            return {kInfinite, kInfinite};
        }
        error.largest = std::max(error.largest, off);
        error.mean += off / static_cast<double>(result.size());
    }
    if (faults().rounding.due()) error.mean = 2 * fp16_sums_limit();
    return error;
}

}  // namespace realesrgan::vulkan
