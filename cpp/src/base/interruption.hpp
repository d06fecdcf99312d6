#pragma once

#include <chrono>
#include <cstddef>
#include <functional>

namespace realesrgan {

// While an object exists, long loops and waits of its thread call `poll` from time to time. An
// exception from it ends them. Of nested objects the innermost is used.
class Interruptible {
  public:
    explicit Interruptible(std::function<void()> poll);
    ~Interruptible();
    Interruptible(const Interruptible&) = delete;
    Interruptible& operator=(const Interruptible&) = delete;

  private:
    friend void check_interruption();

    std::function<void()> poll_;
    Interruptible* outer_;
    std::chrono::steady_clock::time_point last_;  // call, or the beginning
};

// To be called in loops that may last: polls at most 20 times a second.
void check_interruption();

// Calls `task` for 0..count-1 on up to `threads` threads, including the calling one, which checks
// for an interruption before each call. After an exception no more calls are started, and the first
// exception is rethrown.
void for_each_in_parallel(std::size_t count, int threads,
                          const std::function<void(std::size_t)>& task);

}  // namespace realesrgan
