#pragma once

#include <atomic>

namespace realesrgan::winograd {

// For tests: the n-th allocation of the CPU backend from now on fails, once. 0: none does.
inline std::atomic<int>& failing_allocation() {
    static std::atomic<int> countdown{0};
    return countdown;
}

inline bool allocation_fails() {
    std::atomic<int>& countdown = failing_allocation();
    return countdown.load(std::memory_order_relaxed) > 0 && countdown.fetch_sub(1) == 1;
}

}  // namespace realesrgan::winograd
