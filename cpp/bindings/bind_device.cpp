#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <filesystem>
#include <optional>
#include <sstream>

#include "base/control_groups.hpp"
#include "base/thread_count.hpp"
#include "bindings.hpp"
#include "cpu/winograd/instruction_set.hpp"
#include "gil.hpp"
#include "python_calls.hpp"
#include "realesrgan/device.hpp"
#include "vulkan/cache/cache_file.hpp"
#include "vulkan/instance/instance.hpp"
#include "vulkan/tuning/roofline.hpp"

namespace py = pybind11;

namespace realesrgan::bindings {
namespace {

std::string describe(const DeviceInfo& device) {
    std::ostringstream text;
    text << "DeviceInfo(index=" << device.index << ", name='" << device.name << "', type='"
         << type_name(device.type) << "')";
    return text.str();
}

py::dict measure_roofline(int device, double seconds) {
    const vulkan::Roofline measured = [&] {
        const LongCall call;
        return vulkan::measure_roofline(device, seconds);
    }();
    using namespace py::literals;  // NOLINT(google-build-using-namespace)
    return py::dict("matrix_flops"_a = measured.matrix_flops, "fma_flops"_a = measured.fma_flops,
                    "copy_bytes_per_second"_a = measured.copy_bytes_per_second);
}

}  // namespace

void bind_device(py::module_& module) {
    py::class_<DeviceInfo>(module, "DeviceInfo", "One Vulkan device as its driver describes it.")
        .def_readonly("index", &DeviceInfo::index)
        .def_readonly("name", &DeviceInfo::name)
        .def_property_readonly("type",
                               [](const DeviceInfo& device) { return type_name(device.type); })
        .def_readonly("driver", &DeviceInfo::driver)
        .def_readonly("memory_bytes", &DeviceInfo::memory_bytes)
        .def_readonly("fp16_storage", &DeviceInfo::fp16_storage)
        .def_readonly("cooperative_matrix", &DeviceInfo::cooperative_matrix)
        .def_readonly("uuid", &DeviceInfo::uuid)
        .def_readonly("pci_address", &DeviceInfo::pci_address)
        .def("__repr__", &describe);
    module.def("list_devices", &list_devices, py::call_guard<GilReleased>(),
               "All Vulkan devices; empty without a loader, driver or device.");
    module.def(
        "usable_cores", [] { return usable_cores(); },
        "Processors that this process may compute on at a time: those it is bound to, and "
        "no more than the quota of its control groups.");
    module.def(
        "installed_memory", [] { return installed_memory(); },
        "Bytes of memory that this process could ever have: the machine's, or what its "
        "control groups allow; None where that is not known.");
    module.def(
        "free_memory", [] { return free_memory(); },
        "Bytes that this process can allocate before the machine, or one of its control "
        "groups, has none left.");
    module.def(
        "cpu_instruction_set", [] { return winograd::select_kernel().name; },
        "The instruction set of the CPU's convolution kernels on this processor: avx512, avx2, "
        "neon, or baseline where only what every processor has is used.");
    module.def("measure_roofline", &measure_roofline, py::arg("device"), py::kw_only(),
               py::arg("seconds") = 0.3,
               "Measure what bounds any kernel on a Vulkan device, each rate for about so many "
               "seconds: a dict with matrix_flops (cooperative matrices, fp16 in and fp32 sums; 0 "
               "without), fma_flops (fp32) and copy_bytes_per_second (read and written).");
    module.def(
        "cache_folder",
        []() -> std::optional<std::filesystem::path> {
            const std::filesystem::path folder = vulkan::cache_folder();
            return folder.empty() ? std::nullopt : std::optional(folder);
        },
        "Where this package keeps what it found out: $REALESRGAN_VK_CACHE, or its part of the "
        "user's cache folder; None where nothing says where that is.");
    // Daemon threads may be in the middle of a run when the interpreter ends.
    py::module_::import("atexit").attr("register")(
        py::cpp_function(&quiesce_gpu, py::call_guard<GilReleased>()));
}

}  // namespace realesrgan::bindings
