// Weights on a device: where each layer lies, and that all of it arrives there.

#include <cstring>

#include "base/half.hpp"
#include "support/check.hpp"
#include "support/vulkan_fixture.hpp"
#include "vulkan/operations/weights.hpp"

using namespace realesrgan;
namespace vk = realesrgan::vulkan;

namespace {

struct Shape {
    int inputs, outputs;
};

// Small whole numbers, which 16 bits hold, too.
float number(std::size_t layer, int position) {
    return static_cast<float>((position + static_cast<int>(layer) * 7) % 251 - 125);
}

vk::LayerNumbers numbers_of(std::size_t index, const Shape& shape, bool fp16) {
    vk::LayerNumbers numbers;
    ConvolutionWeights& layer = numbers.weights;
    layer.inputs = shape.inputs;
    layer.outputs = shape.outputs;
    for (int i = 0; i < shape.outputs * shape.inputs * 9; i++) {
        if (fp16) layer.fp16.push_back(float_to_half(number(index, i)));
        if (!fp16) layer.kernel.push_back(number(index, i));
    }
    for (int o = 0; o < shape.outputs; o++) layer.bias.push_back(number(index, o + 1));
    numbers.slope = 0.25F * static_cast<float>(index);
    return numbers;
}

class Fetched {
  public:
    Fetched(const vk::Weights& weights, const vk::WeightRange& range)
        : buffer_(fixture::context(), vk::BufferKind::download, range.bytes) {
        vk::CommandBuffer commands(fixture::context());
        commands.begin();
        commands.copy(weights.buffer(range), buffer_, {{range.offset, 0, range.bytes}});
        commands.submit(vk::QueueLease(*fixture::context()));
        commands.wait();
        buffer_.invalidate();
    }

    float at(int index, vk::Storage storage) const {
        float value = 0.0F;
        std::uint16_t half = 0;
        if (storage == vk::Storage::fp32) std::memcpy(&value, buffer_.data() + index * 4, 4);
        if (storage == vk::Storage::fp16) std::memcpy(&half, buffer_.data() + index * 2, 2);
        return storage == vk::Storage::fp16 ? half_to_float(half) : value;
    }

  private:
    vk::Buffer buffer_;
};

void check_layer(const vk::Weights& weights, const vk::LayerWeights& place, std::size_t index,
                 const Shape& shape, vk::Storage storage) {
    CHECK_EQUAL(place.taps.block, place.epilogue.block);
    const Fetched taps(weights, place.taps), epilogue(weights, place.epilogue);
    for (int t = 0; t < 9; t++) {
        for (int i = 0; i < place.weight_rows; i++) {
            for (int o = 0; o < place.weight_pitch; o++) {
                const bool real = i < shape.inputs && o < shape.outputs;
                const float expected = real ? number(index, (o * shape.inputs + i) * 9 + t) : 0.0F;
                const float got =
                    taps.at((t * place.weight_rows + i) * place.weight_pitch + o, storage);
                if (got != expected)
                    throw check::Failure("a tap of layer " + std::to_string(index));
            }
        }
    }
    for (int o = 0; o < place.weight_pitch; o++) {
        const bool real = o < shape.outputs;
        CHECK_EQUAL(epilogue.at(o, vk::Storage::fp32), real ? number(index, o + 1) : 0.0F);
        CHECK_EQUAL(epilogue.at(place.weight_pitch + o, vk::Storage::fp32),
                    real ? 0.25F * static_cast<float>(index) : 0.0F);
    }
}

void check_layers(const std::vector<Shape>& shapes, vk::Storage storage, bool fp16) {
    vk::Weights weights(fixture::context(), storage);
    std::vector<vk::LayerWeights> places;
    for (const Shape& shape : shapes)
        places.push_back(weights.place({shape.inputs, shape.outputs}));
    weights.upload([&](std::size_t i) { return numbers_of(i, shapes[i], fp16); }, 2);
    for (std::size_t i = 0; i < shapes.size(); i++) {
        check_layer(weights, places[i], i, shapes[i], storage);
    }
}

}  // namespace

TEST_CASE("all weights are uploaded, in fp32, in fp16, and from fp16") {
    const std::vector<Shape> shapes = {{3, 64}, {64, 32}, {96, 32}, {160, 7}, {7, 3}};
    check_layers(shapes, vk::Storage::fp32, false);
    check_layers(shapes, vk::Storage::fp16, false);
    check_layers(shapes, vk::Storage::fp16, true);
}

TEST_CASE("a layer is not cut where a block of 32 MiB ends: its taps would fit, its biases not") {
    std::vector<Shape> shapes(25, {192, 192});
    shapes.push_back({192, 48});
    check_layers(shapes, vk::Storage::fp32, false);
}

TEST_CASE("a layer of more than 32 MiB has a block of its own") {
    check_layers({{16, 16}, {1024, 1024}, {16, 16}}, vk::Storage::fp32, false);
}

TEST_CASE("a network without layers has no weights") {
    vk::Weights weights(fixture::context(), vk::Storage::fp32);
    weights.upload([](std::size_t) { return vk::LayerNumbers(); }, 1);
    CHECK_EQUAL(weights.bytes(), std::uint64_t{0});
}

int main() {
    return check::run_all();
}
