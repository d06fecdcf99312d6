#pragma once

#include <cstddef>

namespace realesrgan {

// Position `i` of an axis continued by mirroring without repeating the edge.
inline std::ptrdiff_t mirrored(std::ptrdiff_t i, std::ptrdiff_t length) {
    if (length == 1) return 0;
    const std::ptrdiff_t phase = i % (2 * (length - 1));
    return phase < length ? phase : 2 * (length - 1) - phase;
}

}  // namespace realesrgan
