#pragma once

#include <array>

#include "program/program.hpp"

namespace realesrgan {

// One result position of a resize: value = sum of weight[i] * input[first + i] over `count` taps,
// all inside the axis and inside the rows that the operation's RowDependency names.
struct ResizeTaps {
    int first = 0;
    int count = 0;
    std::array<float, 4> weight{};
};

// Position `at` of the result along an axis of `length` input positions, as ncnn's Interp computes
// it: half-pixel centres, the cubic with a = -0.75, taps beyond an end folded onto the end.
ResizeTaps resize_taps(const Resize& resize, int length, int at);

}  // namespace realesrgan
