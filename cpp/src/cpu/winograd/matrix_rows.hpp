#pragma once

#include "cpu/winograd/simd.hpp"

namespace realesrgan::winograd::KERNEL_ISA {

// The scalar products of `Rows` rows of halves with a vector: `inputs` values each.
template <int Rows>
REALESRGAN_INLINE void multiply_row_group(const std::uint16_t* rows, int inputs,
                                          const float* vector, float* sums) {
    Vec<kLanes> sum[Rows];
    REALESRGAN_UNROLL
    for (int r = 0; r < Rows; ++r) sum[r] = splat<kLanes>(0.0f);
    const auto stride = static_cast<std::size_t>(inputs);
    const int whole = inputs / kLanes * kLanes;
    for (int i = 0; i < whole; i += kLanes) {
        const Vec<kLanes> value = load<kLanes>(vector + i);
        REALESRGAN_UNROLL
        for (int r = 0; r < Rows; ++r) {
            sum[r] += load<kLanes>(rows + static_cast<std::size_t>(r) * stride + i) * value;
        }
    }
    for (int r = 0; r < Rows; ++r) {
        if (whole < inputs) {
            std::uint16_t halves[kLanes] = {};
            float values[kLanes] = {};
            for (int i = whole; i < inputs; ++i) {
                halves[i - whole] = rows[static_cast<std::size_t>(r) * stride + i];
                values[i - whole] = vector[i];
            }
            sum[r] += load<kLanes>(halves) * load<kLanes>(values);
        }
        float lanes[kLanes];
        store<kLanes>(lanes, sum[r]);
        float total = 0.0f;
        for (int lane = 0; lane < kLanes; ++lane) total += lanes[lane];
        sums[r] = total;
    }
}

void multiply_rows(const std::uint16_t* rows, int count, int inputs, const float* vector,
                   float* sums) {
    constexpr int together = 4;  // each takes the vector's values from the registers
    int row = 0;
    for (; row + together <= count; row += together) {
        const std::size_t at = static_cast<std::size_t>(row) * static_cast<std::size_t>(inputs);
        multiply_row_group<together>(rows + at, inputs, vector, sums + row);
    }
    for (; row < count; ++row) {
        const std::size_t at = static_cast<std::size_t>(row) * static_cast<std::size_t>(inputs);
        multiply_row_group<1>(rows + at, inputs, vector, sums + row);
    }
}

}  // namespace realesrgan::winograd::KERNEL_ISA
