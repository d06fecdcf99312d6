#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/graph.hpp"

namespace realesrgan {

// A blob's size as ncnn has it: `dims` of width, height, depth and channels, the others 1. A `dims`
// of 0 stands for a size that is not known.
struct Shape {
    int dims = 0;
    std::int64_t w = 1;
    std::int64_t h = 1;
    std::int64_t d = 1;
    std::int64_t c = 1;

    static Shape picture(std::int64_t width, std::int64_t height, std::int64_t channels) {
        return {3, width, height, 1, channels};
    }
    std::int64_t total() const { return w * h * d * c; }
    // By ncnn's numbers: 0 is the outermost one, the last one the width.
    std::int64_t axis(int index) const;
};

// Why a checked layer (layer_kinds.hpp) must not compute inputs of these sizes, as the end of a
// sentence that begins with its name; empty where it may. ncnn takes them to fit, and reads and
// writes beyond its memory, or leaves some of it unwritten, where they do not.
std::string size_fault(const Layer& layer, const std::vector<Shape>& inputs);

}  // namespace realesrgan
