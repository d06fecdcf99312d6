#include "bindings.hpp"
#include "realesrgan/errors.hpp"

namespace py = pybind11;

namespace realesrgan::bindings {

void bind_errors(py::module_& module) {
    // Base first: pybind11 asks the translators in the reverse order of their registration.
    const auto& base = py::register_exception<Error>(module, "RealesrganError", PyExc_RuntimeError);
    py::register_exception<ModelError>(module, "ModelError", base);
    py::register_exception<DeviceError>(module, "DeviceError", base);
    py::register_exception<OutOfMemoryError>(module, "OutOfMemoryError", base);
    py::register_exception<ImageError>(module, "ImageError", base);
    py::register_exception<Cancelled>(module, "Cancelled", base);
}

}  // namespace realesrgan::bindings
