#pragma once

#include "program.hpp"

namespace realesrgan {

// Which rows of its input an operation reads: the arithmetic that lags, rings and schedules rest
// on. Rows are those of an endless picture (-1 and below lie above it); callers clamp to the real
// one.

// First input row that output rows `row` and later need.
int first_input_row(const Op& op, int row);

// Output rows [0, result) can be computed once input rows [0, input_rows) exist.
int rows_possible(const Op& op, int input_rows);

// Input rows that `rows` output rows read, for a ledger of bytes.
int rows_read(const Op& op, int rows);

// The same for one skip of the epilogue.
int first_skip_row(const Skip& skip, int row);
int rows_possible(const Skip& skip, int skip_rows);

constexpr int floor_div(int value, int divisor) {
    return value >= 0 ? value / divisor : -((-value + divisor - 1) / divisor);
}

}  // namespace realesrgan
