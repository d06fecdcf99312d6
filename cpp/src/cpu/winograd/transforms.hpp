#pragma once

#include "cpu/winograd/simd.hpp"

// Winograd's F(4x4, 3x3) after Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks"
// (CVPR 2016), but with the interpolation points 0, +-1/sqrt(2), +-sqrt(2), infinity instead of
// their 0,
// +-1, +-2, infinity: products of reciprocal points keep the entries near one, which halves the
// rounding error. Y = A' [(G g G') . (B' d B)] A, each function below applying one of B', A', G
// along one dimension.
namespace realesrgan::winograd::KERNEL_ISA {

inline constexpr float kSqrt2 = 1.41421356237309504880f;
inline constexpr float kSqrtHalf = 0.70710678118654752440f;

template <class V>
REALESRGAN_INLINE void transform_data(const V (&d)[6], V (&r)[6]) {
    r[0] = d[0] + d[4] - d[2] * 2.5f;
    const V even_small = d[4] - d[2] * 2.0f;
    const V odd_small = d[3] * kSqrtHalf - d[1] * kSqrt2;
    r[1] = even_small + odd_small;
    r[2] = even_small - odd_small;
    const V even_large = d[4] - d[2] * 0.5f;
    const V odd_large = d[3] * kSqrt2 - d[1] * kSqrtHalf;
    r[3] = even_large + odd_large;
    r[4] = even_large - odd_large;
    r[5] = d[1] + d[5] - d[3] * 2.5f;
}

template <class V>
REALESRGAN_INLINE void transform_product(const V (&r)[6], V (&y)[4]) {
    const V sum_small = r[1] + r[2];
    const V difference_small = r[1] - r[2];
    const V sum_large = r[3] + r[4];
    const V difference_large = r[3] - r[4];
    y[0] = r[0] + sum_small + sum_large;
    y[1] = difference_small * kSqrtHalf + difference_large * kSqrt2;
    y[2] = sum_small * 0.5f + sum_large * 2.0f;
    y[3] = r[5] + difference_small * (0.5f * kSqrtHalf) + difference_large * (2.0f * kSqrt2);
}

template <class V>
REALESRGAN_INLINE void transform_weights(const V (&g)[3], V (&u)[6]) {
    const V small_even = g[0] * (-2.0f / 3.0f) - g[2] * (1.0f / 3.0f);
    const V small_odd = g[1] * (kSqrt2 / 3.0f);
    const V large_even = g[0] * (1.0f / 6.0f) + g[2] * (1.0f / 3.0f);
    const V large_odd = g[1] * (kSqrt2 / 6.0f);
    u[0] = g[0];
    u[1] = small_even - small_odd;
    u[2] = small_even + small_odd;
    u[3] = large_even + large_odd;
    u[4] = large_even - large_odd;
    u[5] = g[2];
}

}  // namespace realesrgan::winograd::KERNEL_ISA
