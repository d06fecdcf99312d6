#include "program/layer_shapes.hpp"

#include <cmath>
#include <cstdint>
#include <vector>

#include "model/layer_kinds.hpp"
#include "program/lowering.hpp"

namespace realesrgan {

namespace {

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
    const KernelAxis axis = kernel_rows(layer);
    if (!(axis == kernel_columns(layer)) || axis.dilation != 1 ||
        axis.pad_before != axis.pad_after || layer.number(18, 0.0F) != 0.0F) {
        refuse(layer, "is dilated or padded unevenly");
    }
    ConvolutionLayer shape;
    shape.outputs = layer.integer(0, 1);
    shape.kernel = static_cast<int>(axis.kernel);
    shape.stride = static_cast<int>(axis.stride);
    shape.pad = static_cast<int>(axis.pad_before);
    // a whole number: layer_kinds.hpp
    shape.inputs =
        static_cast<int>(layer.integer(6, 0) / (axis.kernel * axis.kernel * shape.outputs));
    read_activation(layer, shape);
    return shape;
}

}  // namespace realesrgan
