#pragma once

#include <cstdint>

namespace realesrgan {

// Positions [begin, end) along one axis, in input pixels.
struct Span {
    std::int64_t begin = 0;
    std::int64_t end = 0;

    std::int64_t size() const { return end - begin; }
};

// A rectangle of the input picture, in pixels.
struct Region {
    Span x, y;
};

}  // namespace realesrgan
