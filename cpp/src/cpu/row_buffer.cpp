#include "row_buffer.hpp"

#include <cstring>
#include <stdexcept>

namespace realesrgan::cpu {

RowBuffer::RowBuffer(float* memory, const RowLayout& layout, int height, bool ring)
    : memory_(memory), layout_(layout), height_(height), ring_(ring) {}

void RowBuffer::reach(int end, int keep) {
    if (ring_) return;
    const int last = end + (end == height_ ? 1 : 0);
    if (last - base_ > layout_.rows) move_window(keep);
    if (last - base_ > layout_.rows) throw std::logic_error("a row does not fit its planned ring");
    if (end == height_) zero_row(height_);
    filled_ = last > filled_ ? last : filled_;
}

void RowBuffer::open(int keep) {
    base_ = keep;
    filled_ = keep;
    if (keep == -1) zero_row(-1);
    if (height_ >= keep && height_ - keep < layout_.rows) zero_row(height_);
}

void RowBuffer::zero_row(int y) {
    for (int g = 0; g < layout_.groups; ++g) {
        float* start = row(g * layout_.group, y) - layout_.group;
        std::memset(start, 0, static_cast<std::size_t>(layout_.row_stride()) * sizeof(float));
    }
}

void RowBuffer::move_window(int base) {
    const int kept = filled_ - base;
    for (int g = 0; g < layout_.groups && kept > 0; ++g) {
        float* plane = memory_ + g * layout_.group_stride();
        const auto count = static_cast<std::size_t>(kept * layout_.row_stride());
        std::memmove(plane, plane + (base - base_) * layout_.row_stride(), count * sizeof(float));
    }
    base_ = base;
}

}  // namespace realesrgan::cpu
