#include "row_reach.hpp"

namespace realesrgan {

namespace {

// The resampling filter's reach: rows before and after the one its centre falls into.
constexpr int taps_before(ResizeFilter filter) {
    return filter == ResizeFilter::bicubic ? 1 : 0;
}
constexpr int taps_after(ResizeFilter filter) {
    return filter == ResizeFilter::bicubic ? 2 : 1;
}

// floor((row + 0.5) * denominator / numerator - 0.5), exactly.
int resize_centre(const Resize& resize, int row) {
    return floor_div((2 * row + 1) * resize.denominator - resize.numerator, 2 * resize.numerator);
}

}  // namespace

int first_input_row(const Op& op, int row) {
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

int rows_possible(const Op& op, int input_rows) {
    switch (op.kind) {
        case OpKind::convolution:
            return input_rows * op.upsample - 1;
        case OpKind::pixel_shuffle:
            return input_rows * op.factor;
        case OpKind::resize: {
            // The last row whose taps end before input_rows; centres grow with the row.
            const int centre = input_rows - 1 - taps_after(op.resize.filter);
            int row = floor_div((centre + 1) * op.resize.numerator, op.resize.denominator) + 1;
            while (resize_centre(op.resize, row - 1) > centre) --row;
            return row;
        }
    }
    return input_rows;
}

int rows_read(const Op& op, int rows) {
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

int first_skip_row(const Skip& skip, int row) {
    return floor_div(row, skip.upsample);
}

int rows_possible(const Skip& skip, int skip_rows) {
    return skip_rows * skip.upsample;
}

}  // namespace realesrgan
