#pragma once

#include "program.hpp"

namespace realesrgan {

// Gives every tensor that is added somewhere a ring that nothing else reads, so that a backend with
// 16-bit storage can keep just those in 32 bits. Measured on x4plus-anime at 96x64: the sums along
// its residual blocks rounded to fp16 cost up to 3 steps of 255, kept in fp32 less than 1.
void keep_skips_apart(Program& program);

}  // namespace realesrgan
