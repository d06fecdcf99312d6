#include "cpu/arena.hpp"

#include <algorithm>

#include "realesrgan/errors.hpp"

namespace realesrgan::cpu {

namespace {
// ncnn reads up to this much behind a matrix, and wants its start on such a boundary.
constexpr std::size_t kSlack = 64;
}  // namespace

void* Arena::fastMalloc(std::size_t size) {
    const std::size_t padded = (size + kSlack - 1) / kSlack * kSlack + kSlack;
    if (used_ + padded <= block_.size()) {
        void* pointer = block_.bytes() + used_;
        used_ += padded;
        ++live_;
        return pointer;
    }
    try {
        extra_.emplace_back(meter_, padded);
    } catch (const OutOfMemoryError&) {
        return nullptr;  // ncnn's own sign, which comes back as the layer's error
    }
    return extra_.back().bytes();
}

void Arena::fastFree(void* pointer) {
    const auto found = std::find_if(extra_.begin(), extra_.end(), [&](const Buffer& buffer) {
        return buffer.bytes() == pointer;
    });
    if (found != extra_.end()) {
        extra_.erase(found);
    } else if (--live_ == 0) {
        used_ = 0;
    }
}

}  // namespace realesrgan::cpu
