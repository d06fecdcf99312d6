#pragma once

#include "base/integers.hpp"
#include "program/program.hpp"

namespace realesrgan {

// Which rows of its input an operation reads: the arithmetic that lags, tensors and schedules rest
// on. Rows are those of an endless picture (-1 and below lie above it); callers clamp to the real
// one. Exact for rows up to kEndlessRows of the input tensor, times kMostScale.

// Rows of the endless picture: so many that no step near its middle reads beyond an end.
inline constexpr Row kEndlessRows = Row{1} << 40;

// First input row that output rows `row` and later need.
Row first_input_row(const Op& op, Row row);

// One more than the last input row that output rows before `end` need.
Row input_rows_end(const Op& op, Row end);

// Output rows [0, result) can be computed once input rows [0, input_rows) exist.
Row rows_possible(const Op& op, Row input_rows);

// Input rows that `rows` output rows read, for a ledger of bytes.
Row rows_read(const Op& op, Row rows);

// The same for one skip of the epilogue.
Row first_skip_row(const Skip& skip, Row row);
Row skip_rows_end(const Skip& skip, Row end);
Row rows_possible(const Skip& skip, Row skip_rows);

}  // namespace realesrgan
