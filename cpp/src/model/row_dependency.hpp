#pragma once

#include <cstdint>

#include "base/integers.hpp"

namespace realesrgan {

// A row of a tensor's picture. Products of rows and scales are larger than 32 bits hold.
using Row = std::int64_t;

// Which rows of its input an operation reads, and as many columns. Output row y reads rows
// floor((2 * down * y + first) / (2 * up)) to floor((2 * down * y + last) / (2 * up)); the output
// has up / down times the rows of the input. `first` and `last` count half rows, because the centre
// of a resized row can lie between two. Rows are those of an endless picture (-1 and below lie
// above it); callers clamp to the real one.
struct RowDependency {
    std::int64_t up = 1;
    std::int64_t down = 1;
    std::int64_t first = 0;
    std::int64_t last = 0;

    // A resampling with half-pixel centres whose filter reads `before` rows above the one that the
    // centre falls into, and `after` below.
    static constexpr RowDependency resampling(std::int64_t up, std::int64_t down,
                                              std::int64_t before, std::int64_t after) {
        return {up, down, down - up - 2 * up * before, down - up + 2 * up * after};
    }

    // First input row that output rows `row` and later read.
    constexpr Row first_row(Row row) const { return floor_div(2 * down * row + first, 2 * up); }
    // One more than the last input row that output rows before `end` read.
    constexpr Row rows_end(Row end) const {
        return floor_div(2 * down * (end - 1) + last, 2 * up) + 1;
    }
    // Output rows [0, result) can be computed once input rows [0, input_rows) exist.
    constexpr Row rows_possible(Row input_rows) const {
        return floor_div(2 * up * input_rows - last - 1, 2 * down) + 1;
    }
};

}  // namespace realesrgan
