#include "stream/run_turns.hpp"

#include <chrono>

#include "base/interruption.hpp"

namespace realesrgan {

namespace {

constexpr auto kBetweenLooks = std::chrono::milliseconds(20);

thread_local RunTurns::Turn* innermost = nullptr;

}  // namespace

RunTurns::Turn::Turn(RunTurns& turns, bool alone)
    : turns_(turns), alone_(alone), outer_(innermost) {
    for (const Turn* held = innermost; held != nullptr; held = held->outer_) {
        if (&held->turns_ == &turns) nested_ = true;
    }
    if (nested_) {
        alone_ = false;
    } else {
        wait();
    }
    innermost = this;
}

RunTurns::Turn::~Turn() {
    innermost = outer_;
    if (nested_) return;
    {
        const std::lock_guard<std::mutex> lock(turns_.mutex_);
        --turns_.running_;
        turns_.one_alone_ = false;
    }
    turns_.changed_.notify_all();
}

bool RunTurns::Turn::is_next() const {
    return turns_.waiting_.front() == this && !turns_.one_alone_ &&
           (!alone_ || turns_.running_ == 0);
}

void RunTurns::Turn::wait() {
    std::unique_lock<std::mutex> lock(turns_.mutex_);
    turns_.waiting_.push_back(this);
    while (!turns_.changed_.wait_for(lock, kBetweenLooks, [this] { return is_next(); })) {
        lock.unlock();
        try {
            check_interruption();
        } catch (...) {
            lock.lock();
            turns_.waiting_.remove(this);
            turns_.changed_.notify_all();
            throw;
        }
        lock.lock();
    }
    turns_.waiting_.pop_front();
    ++turns_.running_;
    turns_.one_alone_ = alone_;
    turns_.changed_.notify_all();
}

}  // namespace realesrgan
