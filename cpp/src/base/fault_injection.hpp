#pragma once

#include <atomic>

namespace realesrgan {

// For tests: makes the n-th call of a kind fail, or all from there on.
class Fault {
  public:
    void arm(int nth_call, bool forever = false) {
        forever_ = forever;
        remaining_ = nth_call;
    }
    void disarm() { remaining_ = 0; }
    bool armed() const { return remaining_ > 0; }
    int remaining() const { return remaining_; }
    bool due() {
        if (!armed()) return false;
        if (remaining_ == 1 && forever_) return true;
        return remaining_.fetch_sub(1) == 1;
    }

  private:
    std::atomic<int> remaining_{0};
    std::atomic<bool> forever_{false};
};

struct Faults {
    Fault host_allocation;  // of the CPU backend
    Fault allocation;       // as if the device had no memory left
    Fault creation;    // as if the host had none, when a buffer, a command pool or a fence is made
    Fault submission;  // as if the device was lost
    Fault wait;        // the same, but noticed when a band is waited for
    Fault hang;        // as if a submission did not end: each time that it is looked at
    Fault result;      // as if a band's result had a sample that is not a number
    Fault self_test;   // as if a kernel computed something else
    Fault rounding;    // as if a device rounded every sum
    std::atomic<bool> no_timestamps{false};       // as if the device's queues had none
    std::atomic<bool> no_copy_timestamps{false};  // as if those that copy results had none
    std::atomic<int> most_groups{
        0};  // of an axis of a dispatch, below the device's own limit; or 0
};

inline Faults& faults() {
    static Faults all;
    return all;
}

}  // namespace realesrgan
