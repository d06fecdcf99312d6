#pragma once

#include "cpu/convolution.hpp"

namespace realesrgan::cpu {

// Op::pixel_shuffle with its skips, and Op::resize, on bands as convolutions run on them.
void pixel_shuffle(const Op& op, const RowBand& band, int threads);
void resize(const Op& op, const RowBand& band, int threads);

}  // namespace realesrgan::cpu
