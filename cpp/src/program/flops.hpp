#pragma once

#include "program/program.hpp"

namespace realesrgan {

// Multiplications and additions of a direct convolution for so many pixels of its result.
inline double convolution_flops(const ConvolutionShape& shape, double pixels) {
    return 2.0 * shape.weights() * pixels;
}

}  // namespace realesrgan
