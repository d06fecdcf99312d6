#pragma once

#include <cstddef>
#include <vector>

#include "program/fuse.hpp"
#include "program/program.hpp"

namespace realesrgan {

// All rows of a tensor: values[(y * width + x) * channels + c].
struct FeatureMap {
    int width = 0;
    int height = 0;
    int channels = 0;
    std::vector<double> values;

    FeatureMap(int columns, int rows, int depth) : width(columns), height(rows), channels(depth) {
        values.resize(static_cast<std::size_t>(offset(0, height)));
    }
    double* pixel(int x, int y) { return values.data() + offset(x, y); }
    const double* pixel(int x, int y) const { return values.data() + offset(x, y); }

  private:
    std::ptrdiff_t offset(int x, int y) const { return (std::ptrdiff_t{y} * width + x) * channels; }
};

// What an operation means, in plain loops over whole feature maps and in double precision: the
// reference that backends are tested against. `maps` holds one for each of Program::tensors;
// `weights` are read for a convolution only.
void compute_reference(const Op& op, const ConvolutionWeights& weights,
                       std::vector<FeatureMap>& maps);

// The network's result for a picture, which has the same layout and is not clamped either. Sides
// are multiples of Program::alignment; nothing is cut off (Program::border).
FeatureMap compute_reference(const FusedNetwork& network, const FeatureMap& picture);

}  // namespace realesrgan
