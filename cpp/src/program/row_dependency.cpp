#include "program/row_dependency.hpp"

#include <limits>

namespace realesrgan {

namespace {

// The largest product below: (2 * row + 1) * denominator, a row being at most kEndlessRows *
// kMostScale and a denominator the scale of a tensor.
static_assert(kEndlessRows <= std::numeric_limits<Row>::max() / (4 * kMostScale * kMostScale));

// The resampling filter's reach: rows before and after the one its centre falls into.
constexpr int taps_before(ResizeFilter filter) {
    return filter == ResizeFilter::bicubic ? 1 : 0;
}
constexpr int taps_after(ResizeFilter filter) {
    return filter == ResizeFilter::bicubic ? 2 : 1;
}

// floor((row + 0.5) * denominator / numerator - 0.5), exactly.
constexpr Row resize_centre(const Resize& resize, Row row) {
    return floor_div((2 * row + 1) * resize.denominator - resize.numerator, 2 * resize.numerator);
}

constexpr Resize kSmallest{ResizeFilter::bicubic, 1, kMostScale};
static_assert(resize_centre(kSmallest, kEndlessRows* kMostScale) ==
              kEndlessRows * kMostScale * kMostScale + kMostScale / 2 - 1);
static_assert(resize_centre(kSmallest, -1) == -kMostScale / 2 - 1);

}  // namespace

Row first_input_row(const Op& op, Row row) {
    switch (op.kind) {
        case OpKind::convolution:
            return floor_div(row - 1, op.upsample);
        case OpKind::pixel_shuffle:
            return floor_div(row, op.factor);
        case OpKind::resize:
            return resize_centre(op.resize, row) - taps_before(op.resize.filter);
    }
    return row;
}

Row input_rows_end(const Op& op, Row end) {
    switch (op.kind) {
        case OpKind::convolution:
            return floor_div(end, op.upsample) + 1;
        case OpKind::pixel_shuffle:
            return floor_div(end - 1, op.factor) + 1;
        case OpKind::resize:
            return resize_centre(op.resize, end - 1) + taps_after(op.resize.filter) + 1;
    }
    return end;
}

Row rows_possible(const Op& op, Row input_rows) {
    switch (op.kind) {
        case OpKind::convolution:
            return input_rows * op.upsample - 1;
        case OpKind::pixel_shuffle:
            return input_rows * op.factor;
        case OpKind::resize: {
            // The last row whose taps end before input_rows; centres grow with the row.
            const Row centre = input_rows - 1 - taps_after(op.resize.filter);
            Row row = floor_div((centre + 1) * op.resize.numerator, op.resize.denominator) + 1;
            while (resize_centre(op.resize, row - 1) > centre) --row;
            return row;
        }
    }
    return input_rows;
}

Row rows_read(const Op& op, Row rows) {
    switch (op.kind) {
        case OpKind::convolution:
            return (rows + op.upsample - 1) / op.upsample + 2;
        case OpKind::pixel_shuffle:
            return (rows + op.factor - 1) / op.factor;
        case OpKind::resize:
            return (rows * op.resize.denominator + op.resize.numerator - 1) / op.resize.numerator;
    }
    return rows;
}

Row first_skip_row(const Skip& skip, Row row) {
    return floor_div(row, skip.upsample);
}

Row skip_rows_end(const Skip& skip, Row end) {
    return floor_div(end - 1, skip.upsample) + 1;
}

Row rows_possible(const Skip& skip, Row skip_rows) {
    return skip_rows * skip.upsample;
}

}  // namespace realesrgan
