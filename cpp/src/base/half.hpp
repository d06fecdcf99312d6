#pragma once

#include <cstdint>
#include <cstring>

namespace realesrgan {

// Selects without a branch, as does the code below, so that compilers vectorize loops over weights.
inline std::uint32_t choose(bool condition, std::uint32_t yes, std::uint32_t no) {
    const std::uint32_t mask = 0U - static_cast<std::uint32_t>(condition);
    return (yes & mask) | (no & ~mask);
}

inline std::uint32_t bits_of(float value) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
}

inline float float_of(std::uint32_t bits) {
    float value = 0.0F;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
}

// IEEE 754 binary16 to binary32, exact, subnormals and infinities included.
inline float half_to_float(std::uint16_t bits) {
    constexpr std::uint32_t kRebias = 112U << 23U;
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16U;
    const std::int32_t magnitude = bits & 0x7FFF;
    const std::uint32_t normal = (static_cast<std::uint32_t>(magnitude) << 13U) + kRebias;
    // Zero or subnormal: mantissa * 2^-24, exact in binary32.
    const float tiny = static_cast<float>(magnitude) * 0x1p-24F;
    std::uint32_t out = choose(magnitude >= 0x400, normal, bits_of(tiny));
    out = choose(magnitude >= 0x7C00, normal + kRebias, out);  // infinity, NaN
    return float_of(out | sign);
}

// bfloat16 is the upper half of binary32.
inline float bfloat16_to_float(std::uint16_t bits) {
    return float_of(static_cast<std::uint32_t>(bits) << 16U);
}

// IEEE 754 binary16, rounded to nearest even as the shaders round (ncnn's own conversion
// truncates).
inline std::uint16_t float_to_half(float value) {
    const std::uint32_t bits = bits_of(value);
    const std::uint32_t sign = bits >> 16U & 0x8000U;
    const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
    const std::uint32_t odd = magnitude >> 13U & 1U;
    const std::uint32_t normal = (magnitude - 0x38000000U + 0xFFFU + odd) >> 13U;
    // Subnormal: adding 0.5 leaves the rounded significand in the low bits.
    const std::uint32_t subnormal = bits_of(float_of(magnitude) + 0.5F) - 0x3F000000U;
    const auto ordered = static_cast<std::int32_t>(magnitude);
    std::uint32_t out = choose(ordered >= 0x38800000, normal, subnormal);
    out = choose(ordered >= 0x477FF000, 0x7C00U, out);  // rounds to infinity
    out = choose(ordered > 0x7F800000, 0x7E00U, out);   // NaN
    return static_cast<std::uint16_t>(sign | out);
}

}  // namespace realesrgan
