#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "image/planes.hpp"
#include "realesrgan/image.hpp"

namespace realesrgan {

// The value of white: 255, 65535, or 1 for floats.
template <typename Sample>
inline constexpr float kWhite =
    std::is_same_v<Sample, float> ? 1.0F : static_cast<float>(std::numeric_limits<Sample>::max());

// A value clamped to 0..1 (floats only where `clamp`), scaled, and rounded half up; NaN becomes 0
// in whole numbers.
template <typename Sample>
Sample to_sample(float value, [[maybe_unused]] bool clamp = true) {
    if constexpr (std::is_same_v<Sample, float>) {
        return clamp ? std::clamp(value, 0.0F, 1.0F) : value;
    } else {
        const float scaled = std::clamp(value, 0.0F, 1.0F) * kWhite<Sample> + 0.5F;
        return static_cast<Sample>(std::isnan(scaled) ? 0.0F : scaled);
    }
}

// Reads the rectangle of to.width x to.height pixels whose corner is (x, y) as floats, 0..1 for
// whole numbers. Positions beyond the picture mirror it (padding for networks that need even
// sides or lose a border). Returns the sum of the positive samples.
double load_samples(const ImageView& from, std::int64_t x, std::int64_t y, const Planes& to);

// Writes rows of floats to the picture's rows from `y` on: clamped to 0..1, whole numbers rounded
// to the nearest (halves up).
void store_samples(const ConstPlanes& from, const MutableImageView& to, std::int64_t y);

}  // namespace realesrgan
