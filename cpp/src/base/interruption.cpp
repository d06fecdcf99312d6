#include "base/interruption.hpp"

#include <utility>

#include "base/thread_pool.hpp"

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

void for_each_in_parallel(std::size_t count, int threads,
                          const std::function<void(std::size_t)>& task) {
    ThreadPool::shared().run(static_cast<int>(count), threads, [&](int item, int) {
        check_interruption();
        task(static_cast<std::size_t>(item));
    });
}

}  // namespace realesrgan
