#pragma once

#include <cstddef>
#include <vector>

#include "cpu/convolution.hpp"

namespace realesrgan::cpu {

// A convolution's bare result: rows without padding, `group` channels side by side.
struct BareRows {
    const float* data = nullptr;
    int group = 1;
    int width = 0;
    std::ptrdiff_t group_stride = 0;
};

// Activation and skips, from a bare result into the rings. `slopes`: one for each output channel
// and its padding, or empty for no activation.
void store_band(const Op& op, const std::vector<float>& slopes, const BareRows& bare,
                const Band& band, int threads);

}  // namespace realesrgan::cpu
