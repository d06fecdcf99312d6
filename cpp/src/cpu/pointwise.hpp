#pragma once

#include "cpu/convolution.hpp"

namespace realesrgan::cpu {

// What is no convolution, with its skips, on bands as convolutions run on them.
void layer_norm(const Op& op, const ConvolutionWeights& weights, const RowBand& band, int threads);
void pixel_shuffle(const Op& op, const RowBand& band, int threads);
void resize(const Op& op, const RowBand& band, int threads);

}  // namespace realesrgan::cpu
