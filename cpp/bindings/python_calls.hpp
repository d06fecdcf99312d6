#pragma once

#include <pybind11/numpy.h>

#include <functional>

#include "base/interruption.hpp"
#include "gil.hpp"
#include "realesrgan/image.hpp"
#include "realesrgan/upscaler.hpp"

namespace realesrgan::bindings {

// Throws TypeError, which calls the value `name`, for a type the core does not take.
SampleType sample_type(const pybind11::dtype& type, const char* name);
pybind11::dtype dtype_of(SampleType type);

// A side of an array in pixels. Throws std::invalid_argument for more than 2^30.
int side(pybind11::ssize_t length);

// Calls back into Python, and lets Ctrl-C through when the run is on the main thread. An exception
// of either is carried through the core as it is.
Progress python_progress(const pybind11::object& callback, GilReleased& released);

// What long loops and waits outside a run call (interruption.hpp): lets Ctrl-C through in the same
// way.
std::function<void()> python_signals(GilReleased& released);

// For a call that may last: the interpreter's lock is given away, and Ctrl-C gets through.
class LongCall {
  public:
    LongCall() : interruptible_(python_signals(released_)) {}

  private:
    GilReleased released_;
    Interruptible interruptible_;
};

}  // namespace realesrgan::bindings
