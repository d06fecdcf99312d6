#pragma once

#include <string>

#include "model/graph.hpp"
#include "program/program.hpp"

namespace realesrgan {

// Throws NotStreamable with the layer's name.
[[noreturn]] void refuse(const Layer& layer, const std::string& why);

inline constexpr int kMostFactor = 16;  // of a shuffle or an enlargement

// A size parameter as a whole number from 1 to kMostFactor, or 0.
int whole(float value);

// A convolution's parameters, square and plain; which of them make sense is for the reader to say.
struct ConvolutionLayer {
    int outputs = 0;
    int kernel = 0;
    int stride = 1;
    int pad = 0;
    Activation activation = Activation::none;  // its own, none or leaky_relu
    float slope = 0.0F;
    int inputs = 0;  // from the count of weights
};

// Throws NotStreamable.
ConvolutionLayer read_convolution(const Layer& layer);

}  // namespace realesrgan
