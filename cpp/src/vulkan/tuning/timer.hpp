#pragma once

#include <algorithm>
#include <chrono>
#include <functional>

#include "base/interruption.hpp"

namespace realesrgan::vulkan {

inline double seconds_of(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Work a second, where `submit(rounds)` does `each` units of work in a round. The number of rounds
// grows until a submission takes its part of the time; then the fastest submission counts, because
// other load only slows down.
inline double best_rate(double seconds, double each, const std::function<void(int)>& submit) {
    constexpr int kSubmissions = 8;  // of about the same length, in the time given
    constexpr int kMostRounds = 1 << 24;
    int rounds = 1;
    double taken = seconds_of([&] { submit(rounds); });
    double total = taken;
    double best = 0.0;
    while (total < seconds || best == 0.0) {
        check_interruption();
        taken = seconds_of([&] { submit(rounds); });
        total += taken;
        best = std::max(best, each * rounds / std::max(taken, 1e-9));
        if (taken < seconds / kSubmissions && rounds < kMostRounds) rounds *= 2;
    }
    return best;
}

}  // namespace realesrgan::vulkan
