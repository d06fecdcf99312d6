#pragma once

#include "program/program.hpp"

namespace realesrgan {

// Gives the tensors whose rounding would reach the result in full a tensor that only additions
// read, so that a backend with 16-bit storage can keep just those in 32 bits. A residual dense
// block adds its input in full, but three of them together are added to the trunk times 0.2: the
// trunk is kept apart, the sums inside the three are not. Measured on x4plus-anime at 96x64: the
// trunk rounded to fp16 costs up to 3 steps of 255, kept in fp32 less than 1.
void keep_skips_apart(Program& program);

}  // namespace realesrgan
