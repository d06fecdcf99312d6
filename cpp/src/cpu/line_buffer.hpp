#pragma once

#include <cstddef>

#include "cpu/winograd/kernel.hpp"
#include "program/program.hpp"

namespace realesrgan::cpu {

using winograd::kGroup;

// How rows lie in memory: kGroup channels side by side for each pixel, a zero pixel at both ends
// of a row, all rows of the first group, then all rows of the next.
struct RowLayout {
    int groups = 0;
    int width = 0;  // pixels, the two zero ones not counted
    int rows = 0;   // slots

    std::ptrdiff_t row_stride() const { return static_cast<std::ptrdiff_t>(width + 2) * kGroup; }
    std::ptrdiff_t group_stride() const { return row_stride() * rows; }
    std::size_t floats() const {
        return static_cast<std::size_t>(group_stride()) * static_cast<std::size_t>(groups);
    }
};

// Some rows of a tensor: a window that starts at row `base` (rows that convolutions read must lie
// one after the other), or, for rows that are only ever read one by one, a ring. `reach` and
// `expect` throw std::logic_error for rows that it has no place for, so that a wrong plan ends a
// run and reads and writes no other memory.
class LineBuffer {
  public:
    // `memory`: layout.floats() zeros; `height`: rows of the whole tensor.
    LineBuffer(float* memory, const RowLayout& layout, Row height, bool ring);

    const RowLayout& layout() const { return layout_; }
    Row height() const { return height_; }

    // Pixel 0 of a row. `channel` is a multiple of kGroup.
    float* row(int channel, Row y) const {
        const Row slot = ring_ ? y % layout_.rows : y - base_;
        return memory_ + (channel / kGroup) * layout_.group_stride() + slot * layout_.row_stride() +
               kGroup;
    }

    // Pixel 0 of one channel in a row; the next pixel is kGroup floats on.
    float* channel_row(int channel, Row y) const {
        return row(channel / kGroup * kGroup, y) + channel % kGroup;
    }

    // Makes room for rows [first, end), which are written next; rows before `first_live_row` are
    // discarded. With the last row the zero row below the picture is written.
    void reach(Row first, Row end, Row first_live_row);

    // Checks that rows [first, end), clamped to the picture, can be read or saved.
    void expect(Row first, Row end) const;

    // Takes over shared memory: the buffer is empty and starts at `first_live_row`.
    void acquire(Row first_live_row);

  private:
    void zero_row(Row y);
    void move_window(Row base);
    [[noreturn]] void refuse(Row first, Row end) const;

    float* memory_;
    RowLayout layout_;
    Row height_;
    bool ring_;
    Row base_ = -1;
    Row filled_ = 0;  // rows before this one were written (or are the zero row below the picture)
};

}  // namespace realesrgan::cpu
