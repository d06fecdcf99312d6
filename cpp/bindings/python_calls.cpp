#include "python_calls.hpp"

#include <stdexcept>
#include <string>

#include "image/image_view.hpp"

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
    return visit_sample_type(type, [](auto zero) { return py::dtype::of<decltype(zero)>(); });
}

int side(py::ssize_t length) {
    constexpr py::ssize_t kMost = py::ssize_t{1} << 30;
    if (length > kMost) {
        throw std::invalid_argument("a side of " + std::to_string(length) +
                                    " pixels; at most 2^30 are possible");
    }
    return static_cast<int>(length);
}

Progress python_progress(const py::object& callback, GilReleased& released) {
    return [&callback, &released, check_signals = python_signals(released)](double fraction) {
        check_signals();
        if (callback.is_none()) return;
        const GilReleased::Retaken gil(released);
        callback(fraction);
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
