#include "program/layer_shapes.hpp"

#include <cmath>
#include <cstdint>
#include <vector>

#include "model/layer_kinds.hpp"
#include "program/lowering.hpp"

namespace realesrgan {

namespace {

constexpr int kMostKernel = 3 * kMostFactor;
constexpr int kMostChannels = 1 << 16;

// One number for rows and columns alike, and the same on all sides.
bool square(const Layer& layer, const ConvolutionLayer& shape) {
    return layer.integer(11, shape.kernel) == shape.kernel &&
           layer.integer(13, shape.stride) == shape.stride &&
           layer.integer(14, shape.pad) == shape.pad && layer.integer(15, shape.pad) == shape.pad &&
           layer.integer(16, layer.integer(14, shape.pad)) == shape.pad;
}

void read_activation(const Layer& layer, ConvolutionLayer& shape) {
    const int type = layer.integer(9, 0);
    if (type == 0) return;
    if (type != 1 && type != 2) refuse(layer, "has an activation the row stream does not know");
    const std::vector<float> parameters = layer.array(10);
    shape.activation = Activation::leaky_relu;
    shape.slope = type == 2 && !parameters.empty() ? parameters[0] : 0.0F;
}

}  // namespace

void refuse(const Layer& layer, const std::string& why) {
    throw NotStreamable(layer_title(layer) + " " + why);
}

int whole(float value) {
    const float rounded = std::round(value);
    const bool fits = rounded >= 1.0F && rounded <= static_cast<float>(kMostFactor) &&
                      std::abs(value - rounded) < 1e-6F;
    return fits ? static_cast<int>(rounded) : 0;
}

ConvolutionLayer read_convolution(const Layer& layer) {
    ConvolutionLayer shape;
    shape.outputs = layer.integer(0, 0);
    shape.kernel = layer.integer(1, 0);
    shape.stride = layer.integer(3, 1);
    shape.pad = layer.integer(4, 0);
    if (!square(layer, shape) || layer.integer(2, 1) != 1 || layer.integer(12, 1) != 1 ||
        layer.integer(8, 0) != 0 || layer.integer(19, 0) != 0 || layer.number(18, 0.0F) != 0.0F) {
        refuse(layer, "is dilated, quantized, dynamic or padded unevenly");
    }
    const int count = layer.integer(6, 0);
    const bool sane = shape.outputs > 0 && shape.outputs <= kMostChannels && shape.kernel > 0 &&
                      shape.kernel <= kMostKernel && count > 0;
    const std::int64_t taps = sane ? std::int64_t{shape.outputs} * shape.kernel * shape.kernel : 0;
    if (!sane || count % taps != 0) {
        refuse(layer, "has a count of weights that does not fit its shape");
    }
    shape.inputs = static_cast<int>(count / taps);
    read_activation(layer, shape);
    return shape;
}

}  // namespace realesrgan
