#pragma once

#include <cstdint>
#include <vector>

#include "cpu/convolution.hpp"

namespace realesrgan::cpu {

// A layer norm's numbers in whole groups, zeros in lanes without a channel.
struct NormNumbers {
    std::vector<float> used;  // 1 for each channel
    std::vector<float> scale;
    std::vector<float> bias;

    NormNumbers() = default;
    explicit NormNumbers(const ConvolutionWeights& weights);

    std::uint64_t bytes() const {
        return (used.size() + scale.size() + bias.size()) * sizeof(float);
    }
};

// What is no convolution, with its skips, on bands as convolutions run on them.
void layer_norm(const Op& op, const NormNumbers& numbers, const RowBand& band, int threads);
// And unshuffle.
void pixel_shuffle(const Op& op, const RowBand& band, int threads);
void resize(const Op& op, const RowBand& band, int threads);

}  // namespace realesrgan::cpu
