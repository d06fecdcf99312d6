#pragma once

#include <array>
#include <cstdint>

#include "image/yuv_conversion.hpp"
#include "model/row_dependency.hpp"
#include "realesrgan/yuv.hpp"

namespace realesrgan {

// Rows [first, first + count).
struct RowRange {
    Row first = 0;
    Row count = 0;
    Row end() const { return first + count; }
};

// A planar picture without its samples.
struct PlaneShape {
    PlaneFormat planes;
    int width = 0;
    int height = 0;

    int sample_bytes() const { return planes.format.bits > 8 ? 2 : 1; }
    ChromaAxis columns() const { return chroma_columns(planes.format, width); }
    ChromaAxis rows() const { return chroma_rows(planes.format, height); }

    bool operator==(const PlaneShape& other) const {
        return planes == other.planes && width == other.width && height == other.height;
    }
};

// The rows of the planes that one step of a run takes or gives, and where they lie in its staging
// memory: the planes one after the other, each from a multiple of four bytes on, their rows and
// samples without a gap.
struct PlaneWindow {
    RowRange luma;
    RowRange chroma;  // of both other planes
    std::array<std::uint64_t, 3> offsets{};
    std::uint64_t bytes = 0;
};

// What the values of rows [rows.first, rows.end()) are made of; rows beyond the picture's end,
// fewer than those before it, mirror it. Chroma rows around the first and the last row are in the
// windows of both steps that need them.
PlaneWindow window_to_load(const PlaneShape& shape, RowRange rows);

// The rows of the planes that these rows of the result complete, after those before them. Rows
// beyond the picture's end are not stored.
PlaneWindow window_to_store(const PlaneShape& shape, RowRange rows);

// The most bytes of any window of so many rows.
std::uint64_t most_bytes_to_load(const PlaneShape& shape, int rows);
std::uint64_t most_bytes_to_store(const PlaneShape& shape, int rows);

// How many rows before rows.first the chroma rows of window_to_store() are made of.
Row rows_kept_for_chroma(const PlaneShape& shape);

// Copies a window's samples into staging memory, and out of it. `load_planes` returns the sum of
// the luma values that are positive, 0..1 each.
double load_planes(const YuvView& from, const PlaneWindow& window, std::byte* to);
void store_planes(const std::byte* from, const PlaneWindow& window, const MutableYuvView& to);

// Whether all samples of a window are those of black.
bool is_black(const std::byte* from, const PlaneWindow& window, const PlaneShape& shape);

}  // namespace realesrgan
