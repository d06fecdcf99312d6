#pragma once

#include "cpu/winograd/simd.hpp"

// Winograd's F(m x m, 3x3) after Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks" (CVPR 2016): Y = A' [(G g G') . (B' d B)] A, each function below applying one of B',
// A', G along one dimension; m is told by the arrays' sizes.
namespace realesrgan::winograd::KERNEL_ISA {

inline constexpr int kTile = KERNEL_TILE;        // m, an output tile's side
inline constexpr int kPatch = kTile + 2;         // the side of the input patch that a tile needs
inline constexpr int kPoints = kPatch * kPatch;  // products per tile and channel pair

inline constexpr float kSqrt2 = 1.41421356237309504880f;
inline constexpr float kSqrtHalf = 0.70710678118654752440f;

// F(4x4, 3x3), with the interpolation points 0, +-1/sqrt(2), +-sqrt(2), infinity instead of their
// 0, +-1, +-2, infinity: products of reciprocal points keep the entries near one, which halves the
// rounding error.

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

// F(6x6, 3x3), with the usual points 0, +-1, +-1/2, +-2, infinity: no others were found to round
// less.

template <class V>
REALESRGAN_INLINE void transform_data(const V (&d)[8], V (&r)[8]) {
    r[0] = d[0] - d[6] + (d[4] - d[2]) * 5.25f;
    const V even_one = d[2] + d[6] - d[4] * 4.25f;
    const V odd_one = d[1] + d[5] - d[3] * 4.25f;
    r[1] = even_one + odd_one;
    r[2] = even_one - odd_one;
    const V even_half = d[6] - d[4] * 5.0f + d[2] * 4.0f;
    const V odd_half = d[5] * 0.5f - d[3] * 2.5f + d[1] * 2.0f;
    r[3] = even_half + odd_half;
    r[4] = even_half - odd_half;
    const V even_two = d[6] - d[4] * 1.25f + d[2] * 0.25f;
    const V odd_two = d[5] * 2.0f - d[3] * 2.5f + d[1] * 0.5f;
    r[5] = even_two + odd_two;
    r[6] = even_two - odd_two;
    r[7] = d[7] - d[1] + (d[3] - d[5]) * 5.25f;
}

template <class V>
REALESRGAN_INLINE void transform_product(const V (&r)[8], V (&y)[6]) {
    const V sum_one = r[1] + r[2];
    const V difference_one = r[1] - r[2];
    const V sum_half = r[3] + r[4];
    const V difference_half = r[3] - r[4];
    const V sum_two = r[5] + r[6];
    const V difference_two = r[5] - r[6];
    y[0] = r[0] + sum_one + sum_half + sum_two;
    y[1] = difference_one + difference_half * 0.5f + difference_two * 2.0f;
    y[2] = sum_one + sum_half * 0.25f + sum_two * 4.0f;
    y[3] = difference_one + difference_half * 0.125f + difference_two * 8.0f;
    y[4] = sum_one + sum_half * 0.0625f + sum_two * 16.0f;
    y[5] = r[7] + difference_one + difference_half * 0.03125f + difference_two * 32.0f;
}

template <class V>
REALESRGAN_INLINE void transform_weights(const V (&g)[3], V (&u)[8]) {
    const V one_even = (g[0] + g[2]) * (-2.0f / 9.0f);
    const V one_odd = g[1] * (-2.0f / 9.0f);
    const V half_even = g[0] * (32.0f / 45.0f) + g[2] * (8.0f / 45.0f);
    const V half_odd = g[1] * (16.0f / 45.0f);
    const V two_even = g[0] * (1.0f / 90.0f) + g[2] * (4.0f / 90.0f);
    const V two_odd = g[1] * (2.0f / 90.0f);
    u[0] = g[0];
    u[1] = one_even + one_odd;
    u[2] = one_even - one_odd;
    u[3] = half_even + half_odd;
    u[4] = half_even - half_odd;
    u[5] = two_even + two_odd;
    u[6] = two_even - two_odd;
    u[7] = g[2];
}

}  // namespace realesrgan::winograd::KERNEL_ISA
