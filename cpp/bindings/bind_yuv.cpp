#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "image/image_view.hpp"
#include "python_calls.hpp"
#include "realesrgan/upscaler.hpp"
#include "realesrgan/yuv.hpp"
#include "yuv_planes.hpp"

namespace py = pybind11;

namespace realesrgan::bindings {
namespace {

template <typename Value, std::size_t Count>
using Names = std::array<std::pair<const char*, Value>, Count>;

constexpr Names<YuvMatrix, 4> kMatrices{{{"bt601", YuvMatrix::bt601},
                                         {"bt709", YuvMatrix::bt709},
                                         {"bt2020", YuvMatrix::bt2020},
                                         {"rgb", YuvMatrix::rgb}}};
constexpr Names<ChromaSiting, 3> kSitings{{{"left", ChromaSiting::left},
                                           {"center", ChromaSiting::center},
                                           {"top_left", ChromaSiting::top_left}}};

template <typename Table>
auto named(const Table& table, const std::string& name, const char* what) {
    std::string known;
    for (const auto& [text, value] : table) {
        if (name == text) return value;
        known += std::string(known.empty() ? "" : ", ") + text;
    }
    throw std::invalid_argument(std::string(what) + " '" + name + "'; possible are " + known);
}

template <typename Table, typename Value>
std::string name_of(const Table& table, Value value) {
    for (const auto& [text, known] : table) {
        if (known == value) return text;
    }
    return {};
}

YuvFormat make_format(const std::string& matrix, bool full_range, const std::string& siting,
                      int bits, int low_bits, const std::pair<int, int>& subsampling) {
    YuvFormat format;
    format.matrix = named(kMatrices, matrix, "matrix");
    format.full_range = full_range;
    format.siting = named(kSitings, siting, "siting");
    format.bits = bits;
    format.low_bits = low_bits;
    std::tie(format.subsampling_x, format.subsampling_y) = subsampling;
    check_yuv_format(format);
    return format;
}

py::array_t<float> yuv_to_rgb(const std::vector<py::array>& planes, const YuvFormat& format) {
    const YuvView picture = yuv_view(planes, format, "planes");
    py::array_t<float> rgb({picture.height, picture.width, 3});
    const MutableImageView rows =
        packed_view(static_cast<std::byte*>(static_cast<void*>(rgb.mutable_data())),
                    SampleType::f32, picture.width, picture.height, 3);
    const GilReleased released;
    YuvSource(picture).read(0, 0, rows);
    return rgb;
}

void rgb_to_yuv(const py::array_t<float, py::array::c_style>& rgb, std::vector<py::array>& planes,
                const YuvFormat& format) {
    const MutableYuvView picture = mutable_yuv_view(planes, format, "planes");
    if (rgb.ndim() != 3 || rgb.shape(0) != picture.height || rgb.shape(1) != picture.width ||
        rgb.shape(2) != 3) {
        throw std::invalid_argument("rgb has another shape than the planes' " +
                                    std::to_string(picture.height) + " x " +
                                    std::to_string(picture.width) + " x 3");
    }
    const ImageView rows =
        packed_view(static_cast<const std::byte*>(static_cast<const void*>(rgb.data())),
                    SampleType::f32, picture.width, picture.height, 3);
    const GilReleased released;
    YuvSink(picture).write(0, 0, rows);
}

}  // namespace

void bind_yuv(py::module_& module) {
    const YuvFormat defaults;
    py::class_<YuvFormat>(module, "YuvFormat",
                          "How the planes of a video frame stand for colours (ITU-T H.273).")
        .def(py::init(&make_format), py::kw_only(),
             py::arg("matrix") = name_of(kMatrices, defaults.matrix),
             py::arg("full_range") = defaults.full_range,
             py::arg("siting") = name_of(kSitings, defaults.siting),
             py::arg("bits") = defaults.bits, py::arg("low_bits") = defaults.low_bits,
             py::arg("subsampling") = std::pair(defaults.subsampling_x, defaults.subsampling_y))
        .def_property_readonly(
            "matrix", [](const YuvFormat& format) { return name_of(kMatrices, format.matrix); })
        .def_readonly("full_range", &YuvFormat::full_range)
        .def_property_readonly(
            "siting", [](const YuvFormat& format) { return name_of(kSitings, format.siting); })
        .def_readonly("bits", &YuvFormat::bits)
        .def_readonly("low_bits", &YuvFormat::low_bits)
        .def_property_readonly("subsampling",
                               [](const YuvFormat& format) {
                                   return std::pair(format.subsampling_x, format.subsampling_y);
                               })
        .def("__repr__", [](const YuvFormat& format) {
            return "YuvFormat(matrix='" + name_of(kMatrices, format.matrix) +
                   "', full_range=" + (format.full_range ? "True" : "False") + ", siting='" +
                   name_of(kSitings, format.siting) + "', bits=" + std::to_string(format.bits) +
                   ", low_bits=" + std::to_string(format.low_bits) + ", subsampling=(" +
                   std::to_string(format.subsampling_x) + ", " +
                   std::to_string(format.subsampling_y) + "))";
        });
    module.def("yuv_to_rgb", &yuv_to_rgb, py::arg("planes"), py::arg("yuv_format"),
               "The picture as H x W x 3 floats: 0 is black, 1 is white.");
    module.def("rgb_to_yuv", &rgb_to_yuv, py::arg("rgb"), py::arg("planes"), py::arg("yuv_format"),
               "Fill the planes with H x W x 3 floats, rounded to the nearest.");
}

}  // namespace realesrgan::bindings
