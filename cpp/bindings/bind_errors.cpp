#include <pybind11/gil_safe_call_once.h>

#include <exception>
#include <string>

#include "bindings.hpp"
#include "realesrgan/errors.hpp"

namespace py = pybind11;

namespace realesrgan::bindings {
namespace {

// Messages quote paths, layer names and blob names, which may hold any bytes: control characters
// and bytes that are not UTF-8 are written as \xNN, so that a message is one line of valid text.
py::str message_of(const char* what) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string printable;
    for (const char* at = what; *at != '\0'; ++at) {
        const auto byte = static_cast<unsigned char>(*at);
        if (byte >= 0x20 && byte != 0x7f) {
            printable += *at;
        } else {
            printable += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
        }
    }
    return py::reinterpret_steal<py::str>(PyUnicode_DecodeUTF8(
        printable.data(), static_cast<py::ssize_t>(printable.size()), "backslashreplace"));
}

template <typename E>
py::handle bind_error(py::module_& module, const char* name, py::handle base) {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> type;
    type.call_once_and_store_result(
        [&] { return py::object(py::exception<E>(module, name, base)); });
    py::register_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const E& error) {
            PyErr_SetObject(type.get_stored().ptr(), message_of(error.what()).ptr());
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
