#pragma once

#include <condition_variable>
#include <list>
#include <mutex>

namespace realesrgan {

// Which runs of one network on one device go on at a time: several that divide its memory, or one
// that needs more than its part. In the order in which they come, so that none waits for ever.
class RunTurns {
  public:
    // Waits for its turn, which ends with the object; can be interrupted (interruption.hpp). A run
    // that a callback of another one starts has that one's turn.
    class Turn {
      public:
        Turn(RunTurns& turns, bool alone);
        ~Turn();
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

        bool alone() const { return alone_; }

      private:
        bool is_next() const;
        void wait();

        RunTurns& turns_;
        bool alone_;
        Turn* outer_;  // of this thread
        bool nested_ = false;
    };

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::list<const Turn*> waiting_;  // in the order in which they came
    int running_ = 0;
    bool one_alone_ = false;  // of them
};

}  // namespace realesrgan
