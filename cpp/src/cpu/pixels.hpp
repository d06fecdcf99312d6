#pragma once

#include <cstdint>

#include "cpu/line_buffer.hpp"
#include "stream/backend.hpp"

namespace realesrgan::cpu {

// Loads packed picture rows into rows [first, first + count) of the input tensor, with pixel
// unshuffle.
void load_rows(const Program& program, SampleType type, const std::byte* packed,
               const LineBuffer& ring, int first, int count, int threads);

// Stores rows [first, first + count) of the result as packed samples. Returns how many were not
// finite.
std::uint64_t store_rows(const Program& program, const SessionFormat& format,
                         const LineBuffer& ring, int first, int count, std::byte* packed,
                         int threads);

}  // namespace realesrgan::cpu
