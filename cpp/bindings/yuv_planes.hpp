#pragma once

#include <pybind11/numpy.h>

#include <vector>

#include "realesrgan/yuv.hpp"

namespace realesrgan::bindings {

// One plane or three of H x W samples, uint8 for 8 bits, else uint16, with any strides; `name` is
// what messages call them. Throws TypeError for another type of sample, std::invalid_argument for
// sizes that do not fit each other.
YuvView yuv_view(const std::vector<pybind11::array>& planes, const YuvFormat& format,
                 const char* name);
// The same for planes that are written to. Throws ValueError (Python's) for those that cannot be.
MutableYuvView mutable_yuv_view(std::vector<pybind11::array>& planes, const YuvFormat& format,
                                const char* name);

}  // namespace realesrgan::bindings
