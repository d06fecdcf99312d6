#pragma once

#include <cstdint>
#include <vector>

#include "model/graph.hpp"

namespace realesrgan {

// One block of a layer's numbers in a .bin file.
struct WeightBlock {
    std::int64_t count = 0;
    bool tagged = false;  // begins with a tag that says how the numbers are stored; else bare fp32
};

// The blocks of a checked layer (layer_kinds.hpp), in the order that ncnn reads them.
std::vector<WeightBlock> weight_blocks(const Layer& layer);

}  // namespace realesrgan
