#include "base/interruption.hpp"

#include <utility>

namespace realesrgan {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kBetweenPolls = std::chrono::milliseconds(50);

thread_local Interruptible* innermost = nullptr;

}  // namespace

Interruptible::Interruptible(std::function<void()> poll)
    : poll_(std::move(poll)), outer_(std::exchange(innermost, this)), last_(Clock::now()) {}

Interruptible::~Interruptible() {
    innermost = outer_;
}

void check_interruption() {
    Interruptible* const here = innermost;
    if (here == nullptr || Clock::now() - here->last_ < kBetweenPolls) return;
    here->last_ = Clock::now();
    here->poll_();
}

}  // namespace realesrgan
