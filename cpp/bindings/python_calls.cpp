#include "python_calls.hpp"

#include <string>

namespace py = pybind11;

namespace realesrgan::bindings {

SampleType sample_type(const py::dtype& type, const char* name) {
    if (type.is(py::dtype::of<std::uint8_t>())) {
        return SampleType::u8;
    }
    if (type.is(py::dtype::of<std::uint16_t>())) {
        return SampleType::u16;
    }
    if (type.is(py::dtype::of<float>())) {
        return SampleType::f32;
    }
    throw py::type_error(std::string(name) + " has dtype " + py::str(type).cast<std::string>() +
                         "; expected uint8, uint16 or float32 in the machine's byte order");
}

py::dtype dtype_of(SampleType type) {
    switch (type) {
        case SampleType::u8:
            return py::dtype::of<std::uint8_t>();
        case SampleType::u16:
            return py::dtype::of<std::uint16_t>();
        case SampleType::f32:
            break;
    }
    return py::dtype::of<float>();
}

Progress python_progress(const py::object& callback, GilReleased& released) {
    return [&](double fraction) {
        const GilReleased::Retaken gil(released);
        if (PyErr_CheckSignals() != 0) {
            throw py::error_already_set();
        }
        if (!callback.is_none()) {
            callback(fraction);
        }
    };
}

std::function<void()> python_signals(GilReleased& released) {
    return [&released] {
        const GilReleased::Retaken gil(released);
        if (PyErr_CheckSignals() != 0) {
            throw py::error_already_set();
        }
    };
}

}  // namespace realesrgan::bindings
