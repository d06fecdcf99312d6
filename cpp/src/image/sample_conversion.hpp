#pragma once

#include <cstdint>

#include "image/planes.hpp"
#include "realesrgan/image.hpp"

namespace realesrgan {

// Reads the rectangle of to.width x to.height pixels whose corner is (x, y) as floats, 0..1 for
// whole numbers. Positions past the picture's end mirror it, as networks that need even sides are
// fed. Returns the sum of the positive samples.
double load_samples(const ImageView& from, std::int64_t x, std::int64_t y, const Planes& to);

// Writes rows of floats to the picture's rows from `y` on: clamped to 0..1, whole numbers rounded
// to the nearest (halves up).
void store_samples(const ConstPlanes& from, const MutableImageView& to, std::int64_t y);

}  // namespace realesrgan
