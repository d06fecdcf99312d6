#include <pybind11/gil_safe_call_once.h>

#include <exception>

#include "base/escape.hpp"
#include "bindings.hpp"
#include "realesrgan/errors.hpp"

namespace py = pybind11;

namespace realesrgan::bindings {
namespace {

template <typename E>
py::handle bind_error(py::module_& module, const char* name, py::handle base) {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> type;
    type.call_once_and_store_result(
        [&] { return py::object(py::exception<E>(module, name, base)); });
    py::register_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const E& error) {
            // Messages may quote any bytes, such as a driver's name of a device.
            py::set_error(type.get_stored(), shown_path(error.what()).c_str());
        }
    });
    return type.get_stored();
}

}  // namespace

void bind_errors(py::module_& module) {
    // Base first: pybind11 asks the translators in the reverse order of their registration.
    const py::handle base = bind_error<Error>(module, "RealesrganError", PyExc_RuntimeError);
    bind_error<ModelError>(module, "ModelError", base);
    bind_error<DeviceError>(module, "DeviceError", base);
    bind_error<OutOfMemoryError>(module, "OutOfMemoryError", base);
    bind_error<ImageError>(module, "ImageError", base);
    bind_error<Cancelled>(module, "Cancelled", base);
}

}  // namespace realesrgan::bindings
