#include "yuv_planes.hpp"

#include <stdexcept>
#include <string>

#include "base/integers.hpp"
#include "python_calls.hpp"

namespace py = pybind11;

namespace realesrgan::bindings {
namespace {

void check_plane(const py::array& plane, SampleType type, const std::string& name) {
    if (plane.ndim() != 2) {
        throw std::invalid_argument(name + " has " + std::to_string(plane.ndim()) +
                                    " dimensions; expected height x width");
    }
    if (sample_type(plane.dtype(), name.c_str()) != type) {
        throw py::type_error(name + " has samples of type " +
                             py::str(plane.dtype()).cast<std::string>() +
                             "; expected uint8 for 8 bits, uint16 for more");
    }
    if (plane.size() == 0) throw std::invalid_argument(name + " has no samples");
}

template <typename View, typename Data>
View view_of(const std::vector<py::array>& planes, const YuvFormat& format, const char* name,
             const Data& data) {
    if (planes.size() != 1 && planes.size() != 3) {
        throw std::invalid_argument(std::string(name) + ": " + std::to_string(planes.size()) +
                                    " planes; expected 1 (grey) or 3");
    }
    View view;
    view.format = format;
    const SampleType type = format.bits > 8 ? SampleType::u16 : SampleType::u8;
    for (int i = 0; i < ssize(planes); ++i) {
        const py::array& plane = planes[idx(i)];
        const std::string title = std::string(name) + "[" + std::to_string(i) + "]";
        check_plane(plane, type, title);
        if (i == 0) {
            view.height = side(plane.shape(0));
            view.width = side(plane.shape(1));
        } else if (plane.shape(0) != ceil_div(view.height, format.subsampling_y) ||
                   plane.shape(1) != ceil_div(view.width, format.subsampling_x)) {
            throw std::invalid_argument(
                title + " is " + std::to_string(plane.shape(0)) + " x " +
                std::to_string(plane.shape(1)) + "; expected " +
                std::to_string(ceil_div(view.height, format.subsampling_y)) + " x " +
                std::to_string(ceil_div(view.width, format.subsampling_x)));
        }
        view.planes[idx(i)] = {data(i), plane.strides(0), plane.strides(1)};
    }
    return view;
}

}  // namespace

YuvView yuv_view(const std::vector<py::array>& planes, const YuvFormat& format, const char* name) {
    return view_of<YuvView>(planes, format, name, [&](int i) {
        return static_cast<const std::byte*>(planes[idx(i)].data());
    });
}

MutableYuvView mutable_yuv_view(std::vector<py::array>& planes, const YuvFormat& format,
                                const char* name) {
    return view_of<MutableYuvView>(planes, format, name, [&](int i) {
        return static_cast<std::byte*>(planes[idx(i)].mutable_data());
    });
}

}  // namespace realesrgan::bindings
