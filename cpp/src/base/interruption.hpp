#pragma once

#include <chrono>
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

}  // namespace realesrgan
