#include "python_rows.hpp"

#include <cstring>
#include <stdexcept>
#include <string>

#include "python_calls.hpp"

namespace py = pybind11;

namespace realesrgan::bindings {
namespace {

std::string shape_text(const py::array& array) {
    return py::str(array.attr("shape")).cast<std::string>();
}

}  // namespace

void PythonSource::read(int first_row, int /*first_column*/, const MutableImageView& rows) {
    const GilReleased::Retaken gil(released_);
    const py::array given = py::array::ensure(read_(first_row, rows.height), py::array::c_style);
    if (!given) {
        throw py::type_error("read() gave something that is no array of rows");
    }
    if (sample_type(given.dtype(), "what read() gave") != shape_.type) {
        throw py::type_error("read() gave rows of dtype " +
                             py::str(given.dtype()).cast<std::string>() +
                             ", not of the samples' type that the run was given");
    }
    if (given.ndim() != 3 || given.shape(0) != rows.height || given.shape(1) != shape_.width ||
        given.shape(2) != shape_.channels) {
        throw std::invalid_argument(
            "read() gave " + shape_text(given) + "; expected (" + std::to_string(rows.height) +
            ", " + std::to_string(shape_.width) + ", " + std::to_string(shape_.channels) + ")");
    }
    const auto bytes =
        static_cast<std::size_t>(rows.pixel_stride) * static_cast<std::size_t>(shape_.width);
    const auto* from = static_cast<const std::byte*>(given.data());
    for (int y = 0; y < rows.height; ++y) {
        std::memcpy(rows.data + y * rows.row_stride, from + static_cast<std::size_t>(y) * bytes,
                    bytes);
    }
}

void PythonSink::write(int first_row, int /*first_column*/, const ImageView& rows) {
    const GilReleased::Retaken gil(released_);
    py::array copy(dtype_of(rows.type), {rows.height, rows.width, rows.channels});
    const auto bytes =
        static_cast<std::size_t>(rows.pixel_stride) * static_cast<std::size_t>(rows.width);
    auto* to = static_cast<std::byte*>(copy.mutable_data());
    for (int y = 0; y < rows.height; ++y) {
        std::memcpy(to + static_cast<std::size_t>(y) * bytes, rows.data + y * rows.row_stride,
                    bytes);
    }
    write_(first_row, copy);
}

}  // namespace realesrgan::bindings
