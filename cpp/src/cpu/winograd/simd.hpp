#pragma once

// Included only by kernel.cpp, which is compiled once per instruction set and size of tile into the
// namespace KERNEL_ISA. Nothing here may have external linkage outside that namespace, and no
// standard template may be instantiated: the linker keeps one copy of an inline function, and that
// copy could hold instructions the running processor lacks.

#include <cstddef>
#include <cstdint>
#if !(defined(__GNUC__) || defined(__clang__)) || defined(REALESRGAN_NO_VECTOR_EXTENSION)
#include <math.h>  // C's, which has functions and no templates
#endif

#if defined(__GNUC__) || defined(__clang__)
#define REALESRGAN_INLINE inline __attribute__((always_inline))
#define REALESRGAN_PREFETCH(address) __builtin_prefetch(address)
#define REALESRGAN_LAMBDA_INLINE __attribute__((always_inline))
#define REALESRGAN_UNROLL _Pragma("GCC unroll 32")
#else
#define REALESRGAN_INLINE inline
#define REALESRGAN_PREFETCH(address) ((void)(address))
#define REALESRGAN_LAMBDA_INLINE
#define REALESRGAN_UNROLL
#endif
// Spares the loop's own instructions; Clang would hoist the loads of the copies and spill.
#if defined(__GNUC__) && !defined(__clang__)
#define REALESRGAN_UNROLL_BY_4 _Pragma("GCC unroll 4")
#else
#define REALESRGAN_UNROLL_BY_4
#endif

namespace realesrgan::winograd::KERNEL_ISA {

// kLanes: floats in a register. kTiles: tiles a microkernel multiplies at once. kPanel: output
// channels it produces at once. kTiles * kPanel / kLanes accumulators fill the register file but
// for a few.
#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
inline constexpr int kTiles = 12;
inline constexpr int kPanel = 32;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
inline constexpr int kTiles = 6;
inline constexpr int kPanel = 16;
#elif defined(__aarch64__) || defined(_M_ARM64)
inline constexpr int kLanes = 4;
inline constexpr int kTiles = 6;
inline constexpr int kPanel = 16;
#else
inline constexpr int kLanes = 4;
inline constexpr int kTiles = 6;
inline constexpr int kPanel = 8;
#endif

constexpr int least(int a, int b) {
    return a < b ? a : b;
}

#if (defined(__GNUC__) || defined(__clang__)) && !defined(REALESRGAN_NO_VECTOR_EXTENSION)

template <int N>
struct Lanes {
    typedef float Float __attribute__((vector_size(N * 4)));
    typedef std::uint32_t Bits __attribute__((vector_size(N * 4)));
    typedef std::uint16_t Half __attribute__((vector_size(N * 2)));
};
template <int N>
using Vec = typename Lanes<N>::Float;

template <int N>
REALESRGAN_INLINE Vec<N> load(const float* p) {
    Vec<N> v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <int N>
REALESRGAN_INLINE void store(float* p, Vec<N> v) {
    __builtin_memcpy(p, &v, sizeof v);
}

template <int N>
REALESRGAN_INLINE Vec<N> splat(float x) {
    return x - Vec<N>{};  // x - 0 and not x + 0: exact for -0, and folded into a broadcast
}

template <int N>
REALESRGAN_INLINE Vec<N> positive_part(Vec<N> v) {
    return v > Vec<N>{} ? v : Vec<N>{};
}

// e^v, to about 2e-7 of the result, for v from -87 to 87 (e^87 is near float's largest number);
// beyond that of those. e^x = 2^n e^r with |r| at most half of ln 2, and e^r by its Taylor
// polynomial of degree 7 (error below 1e-8); adding and taking off 1.5 * 2^23 rounds.
template <int N>
REALESRGAN_INLINE Vec<N> exponential(Vec<N> x) {
    constexpr float most = 87.0f;
    const Vec<N> low = splat<N>(-most);
    const Vec<N> high = splat<N>(most);
    x = x < low ? low : x;
    x = x > high ? high : x;
    const Vec<N> shifted = x * 1.44269504f + 12582912.0f;  // of log2 e
    const Vec<N> whole = shifted - 12582912.0f;
    const Vec<N> rest = x - whole * 0.693359375f - whole * -2.12194440e-4f;  // ln 2 in two parts
    Vec<N> power = rest * (1.0f / 5040) + 1.0f / 720;
    power = power * rest + 1.0f / 120;
    power = power * rest + 1.0f / 24;
    power = power * rest + 1.0f / 6;
    power = power * rest + 0.5f;
    power = power * rest + 1.0f;
    power = power * rest + 1.0f;
    typename Lanes<N>::Bits bits;
    __builtin_memcpy(&bits, &shifted, sizeof bits);
    bits = (bits - 0x4b400000u + 127u) << 23;  // 12582912 has the bits 0x4b400000
    Vec<N> scale;
    __builtin_memcpy(&scale, &bits, sizeof scale);
    return power * scale;
}

// 1 / (1 + e^-v)
template <int N>
REALESRGAN_INLINE Vec<N> sigmoid(Vec<N> v) {
    return 1.0f / (exponential<N>(-v) + 1.0f);
}

// v * tanh(ln(1 + e^v)) = v * n / (n + 2) with n = e^v (e^v + 2), which is 1 in 32 bits from v = 40
// on, where n is still finite.
template <int N>
REALESRGAN_INLINE Vec<N> mish(Vec<N> v) {
    const Vec<N> most = splat<N>(40.0f);
    const Vec<N> power = exponential<N>(v > most ? most : v);
    const Vec<N> n = power * (power + 2.0f);
    return v * (n / (n + 2.0f));
}

// v / 2 * (1 + erf(v / sqrt(2))), erf by formula 7.1.26 of Abramowitz and Stegun's Handbook of
// Mathematical Functions, whose error is at most 1.5e-7.
template <int N>
REALESRGAN_INLINE Vec<N> gelu(Vec<N> v) {
    const Vec<N> x = (v > Vec<N>{} ? v : -v) * 0.70710678f;
    const Vec<N> t = 1.0f / (x * 0.3275911f + 1.0f);
    Vec<N> sum = t * 1.061405429f - 1.453152027f;
    sum = sum * t + 1.421413741f;
    sum = sum * t - 0.284496736f;
    sum = sum * t + 0.254829592f;
    const Vec<N> rest = sum * t * exponential<N>(-x * x);  // 1 - erf(x)
    return v * 0.5f * (v > Vec<N>{} ? 2.0f - rest : rest);
}

// Exact for every finite half, subnormal ones included: the exponent is moved into place as if the
// half were a tiny float, and a multiplication by 2^112 corrects the bias.
template <int N>
REALESRGAN_INLINE Vec<N> load(const std::uint16_t* p) {
    using Bits = typename Lanes<N>::Bits;
    typename Lanes<N>::Half half;
    __builtin_memcpy(&half, p, sizeof half);
    const Bits bits = __builtin_convertvector(half, Bits);
    const Bits magnitude = (bits & 0x7fffu) << 13;
    const Bits sign = (bits & 0x8000u) << 16;
    Vec<N> value;
    __builtin_memcpy(&value, &magnitude, sizeof value);
    value *= 0x1p112f;
    Bits result;
    __builtin_memcpy(&result, &value, sizeof result);
    result |= sign;
    __builtin_memcpy(&value, &result, sizeof value);
    return value;
}

#else  // A compiler without vector types (MSVC): plain loops, which it vectorises itself.

template <int N>
struct Vec {
    float lane[N];
};

template <int N>
inline Vec<N> load(const float* p) {
    Vec<N> v;
    for (int i = 0; i < N; ++i) v.lane[i] = p[i];
    return v;
}

template <int N>
inline void store(float* p, Vec<N> v) {
    for (int i = 0; i < N; ++i) p[i] = v.lane[i];
}

template <int N>
inline Vec<N> splat(float x) {
    Vec<N> v;
    for (int i = 0; i < N; ++i) v.lane[i] = x;
    return v;
}

#define REALESRGAN_LANEWISE(op)                                         \
    template <int N>                                                    \
    inline Vec<N> operator op(Vec<N> a, Vec<N> b) {                     \
        for (int i = 0; i < N; ++i) a.lane[i] = a.lane[i] op b.lane[i]; \
        return a;                                                       \
    }                                                                   \
    template <int N>                                                    \
    inline Vec<N> operator op(Vec<N> a, float b) {                      \
        for (int i = 0; i < N; ++i) a.lane[i] = a.lane[i] op b;         \
        return a;                                                       \
    }
REALESRGAN_LANEWISE(+)
REALESRGAN_LANEWISE(-)
REALESRGAN_LANEWISE(*)
#undef REALESRGAN_LANEWISE

template <int N>
inline Vec<N>& operator+=(Vec<N>& a, Vec<N> b) {
    return a = a + b;
}

template <int N>
inline Vec<N> positive_part(Vec<N> v) {
    for (int i = 0; i < N; ++i) v.lane[i] = v.lane[i] > 0.0f ? v.lane[i] : 0.0f;
    return v;
}

constexpr float least_of(float a, float b) {
    return a < b ? a : b;
}

template <int N>
inline Vec<N> sigmoid(Vec<N> v) {
    for (int i = 0; i < N; ++i) v.lane[i] = 1.0f / (1.0f + expf(-v.lane[i]));
    return v;
}

template <int N>
inline Vec<N> mish(Vec<N> v) {
    for (int i = 0; i < N; ++i) v.lane[i] *= tanhf(log1pf(expf(least_of(v.lane[i], 40.0f))));
    return v;
}

template <int N>
inline Vec<N> gelu(Vec<N> v) {
    for (int i = 0; i < N; ++i) v.lane[i] *= 0.5f * erfcf(v.lane[i] * -0.70710678f);
    return v;
}

template <int N>
inline Vec<N> load(const std::uint16_t* p) {
    Vec<N> v;
    for (int i = 0; i < N; ++i) {
        union {
            std::uint32_t bits;
            float value;
        } half{(p[i] & 0x7fffu) << 13};
        half.value *= 5.192296858534828e33f;  // 2^112
        half.bits |= (p[i] & 0x8000u) << 16;
        v.lane[i] = half.value;
    }
    return v;
}

#endif

}  // namespace realesrgan::winograd::KERNEL_ISA
