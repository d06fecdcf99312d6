#include <pybind11/stl/filesystem.h>

#include <filesystem>
#include <sstream>

#include "bindings.hpp"
#include "gil.hpp"
#include "realesrgan/upscaler.hpp"

namespace py = pybind11;

namespace realesrgan::bindings {
namespace {

std::string describe(const NetworkInfo& network) {
    std::ostringstream text;
    text << "NetworkInfo(scale=" << network.scale << ", input_channels=" << network.input_channels
         << ", output_channels=" << network.output_channels
         << ", receptive_field=" << network.receptive_field
         << ", row_local=" << (network.row_local ? "True" : "False")
         << ", border=" << network.border << ")";
    return text.str();
}

}  // namespace

void bind_network(py::module_& module) {
    py::class_<NetworkInfo>(module, "NetworkInfo", "What a network's graph says about it.")
        .def_readonly("scale", &NetworkInfo::scale)
        .def_readonly("input_channels", &NetworkInfo::input_channels)
        .def_readonly("output_channels", &NetworkInfo::output_channels)
        .def_readonly("receptive_field", &NetworkInfo::receptive_field)
        .def_readonly("row_local", &NetworkInfo::row_local)
        .def_readonly("border", &NetworkInfo::border)
        .def_readonly("pools_all", &NetworkInfo::pools_all)
        .def_readonly("adds_source", &NetworkInfo::adds_source)
        .def("__repr__", &describe);
    module.def(
        "inspect_network",
        [](const std::filesystem::path& param_path) {
            return inspect_network(param_path.u8string());
        },
        py::arg("param_path"), py::call_guard<GilReleased>(),
        "What the .param file alone tells; a scale of 0 when it needs the weights.");
}

}  // namespace realesrgan::bindings
