#pragma once

#include <cstdint>
#include <cstring>

namespace realesrgan {

// IEEE 754 binary16 to binary32, exact, subnormals and infinities included.
inline float half_to_float(std::uint16_t bits) {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16U;
    const std::uint32_t exponent = (bits >> 10U) & 0x1FU;
    const std::uint32_t mantissa = bits & 0x3FFU;
    std::uint32_t out = 0;
    if (exponent == 0) {
        // Zero or subnormal: mantissa * 2^-24, exact in binary32.
        float value = static_cast<float>(mantissa) * 5.9604644775390625e-8F;
        std::memcpy(&out, &value, sizeof(out));
    } else if (exponent == 31) {
        out = 0x7F800000U | (mantissa << 13U);
    } else {
        out = ((exponent + 112U) << 23U) | (mantissa << 13U);
    }
    out |= sign;
    float result = 0.0F;
    std::memcpy(&result, &out, sizeof(result));
    return result;
}

// IEEE 754 binary16, rounded to nearest even as the shaders round (ncnn's own conversion
// truncates).
inline std::uint16_t float_to_half(float value) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000U);
    const std::uint32_t magnitude = bits & 0x7fffffffU;
    if (magnitude > 0x7f800000U) return static_cast<std::uint16_t>(sign | 0x7e00U);  // NaN
    if (magnitude >= 0x477ff000U)
        return static_cast<std::uint16_t>(sign | 0x7c00U);  // rounds to infinity
    if (magnitude <
        0x38800000U) {  // subnormal: adding 0.5 leaves the rounded significand in the low bits
        float shifted = 0.0F;
        std::memcpy(&shifted, &magnitude, sizeof(shifted));
        shifted += 0.5F;
        std::memcpy(&bits, &shifted, sizeof(bits));
        return static_cast<std::uint16_t>(sign | (bits - 0x3f000000U));
    }
    const std::uint32_t odd = magnitude >> 13 & 1U;
    return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000U + 0xfffU + odd) >> 13));
}

}  // namespace realesrgan
