#pragma once

#include <Python.h>

#include <chrono>
#include <thread>

namespace realesrgan::bindings {

// Gives the interpreter's lock away while C++ works, and takes it back for a callback and at the
// end.
//
// A daemon thread that wants the lock while the interpreter shuts down is ended by Python
// (before 3.14) with pthread_exit, whose unwinding through a C++ destructor aborts the process.
// Such a thread is stopped here instead, and ends with the process.
class GilReleased {
  public:
    GilReleased() : state_(PyEval_SaveThread()) {}
    ~GilReleased() { restore(); }
    GilReleased(const GilReleased&) = delete;
    GilReleased& operator=(const GilReleased&) = delete;

    // Holds the lock again for as long as it lives.
    class Retaken {
      public:
        explicit Retaken(GilReleased& released) : released_(released) { released_.restore(); }
        ~Retaken() { released_.state_ = PyEval_SaveThread(); }
        Retaken(const Retaken&) = delete;
        Retaken& operator=(const Retaken&) = delete;

      private:
        GilReleased& released_;
    };

  private:
    void restore() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {  // the unwinding of pthread_exit: it must not go on from here
            for (;;) {
                std::this_thread::sleep_for(std::chrono::hours(1));
            }
        }
    }

    PyThreadState* state_;
};

}  // namespace realesrgan::bindings
