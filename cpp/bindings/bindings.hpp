#pragma once

#include <pybind11/pybind11.h>

namespace realesrgan::bindings {

void bind_errors(pybind11::module_& module);
void bind_device(pybind11::module_& module);
void bind_kernels(pybind11::module_& module);
void bind_network(pybind11::module_& module);
void bind_upscaler(pybind11::module_& module);
void bind_yuv(pybind11::module_& module);

}  // namespace realesrgan::bindings
