#include "cpu/line_buffer.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace realesrgan::cpu {

LineBuffer::LineBuffer(float* memory, const RowLayout& layout, Row height, bool ring)
    : memory_(memory), layout_(layout), height_(height), ring_(ring) {}

void LineBuffer::reach(Row first, Row end, Row first_live_row) {
    if (first < 0 || end > height_ || first_live_row < -1) refuse(first, end);
    if (ring_) {
        if (end - std::max<Row>(std::min(first_live_row, first), 0) > layout_.rows)
            refuse(first_live_row, end);
        filled_ = std::max(filled_, end);
        return;
    }
    const Row last = end + (end == height_ ? 1 : 0);
    if (last - base_ > layout_.rows) {
        if (first_live_row < base_) refuse(first_live_row, end);
        move_window(first_live_row);
    }
    if (last - base_ > layout_.rows || first < base_) refuse(first, end);
    if (end == height_) zero_row(height_);
    filled_ = std::max(filled_, last);
}

void LineBuffer::expect(Row first, Row end) const {
    first = std::max<Row>(first, 0);
    end = std::min(end, height_);
    if (first >= end) return;
    const Row lowest = ring_ ? filled_ - layout_.rows : base_;
    const Row highest = ring_ ? filled_ : base_ + layout_.rows;
    if (first < lowest || end > highest) refuse(first, end);
}

void LineBuffer::refuse(Row first, Row end) const {
    throw std::logic_error("rows " + std::to_string(first) + " to " + std::to_string(end) +
                           " do not fit their planned ring of " + std::to_string(layout_.rows));
}

void LineBuffer::acquire(Row first_live_row) {
    if (first_live_row < -1) refuse(first_live_row, first_live_row);
    base_ = first_live_row;
    filled_ = first_live_row;
    if (first_live_row == -1) zero_row(-1);
    if (height_ >= first_live_row && height_ - first_live_row < layout_.rows) zero_row(height_);
}

void LineBuffer::zero_row(Row y) {
    for (int g = 0; g < layout_.groups; ++g) {
        float* start = row(g * kGroup, y) - kGroup;
        std::memset(start, 0, static_cast<std::size_t>(layout_.row_stride()) * sizeof(float));
    }
}

void LineBuffer::move_window(Row base) {
    const Row kept = filled_ - base;
    for (int g = 0; g < layout_.groups && kept > 0; ++g) {
        float* plane = memory_ + g * layout_.group_stride();
        const auto count = static_cast<std::size_t>(kept * layout_.row_stride());
        std::memmove(plane, plane + (base - base_) * layout_.row_stride(), count * sizeof(float));
    }
    base_ = base;
}

}  // namespace realesrgan::cpu
