#include <pybind11/stl.h>

#include "bindings.hpp"
#include "python_calls.hpp"
#include "vulkan/tune_device.hpp"

namespace py = pybind11;

namespace realesrgan::bindings {
namespace {

using namespace py::literals;  // NOLINT(google-build-using-namespace)

py::dict dict_of(const vulkan::KernelRecord& record) {
    return py::dict("narrow"_a = record.narrow, "wide"_a = record.wide, "pairs"_a = record.pairs,
                    "band_pixels"_a = record.band_pixels, "tuned"_a = record.tuned,
                    "notes"_a = record.notes);
}

py::dict tune(int device, bool fp16, double seconds) {
    const vulkan::TuningReport report = [&] {
        const LongCall call;
        return vulkan::tune(device, fp16, seconds);
    }();
    py::list kernels;
    for (const vulkan::KernelTime& time : report.kernels) {
        kernels.append(py::dict("kernel"_a = time.kernel, "narrow_seconds"_a = time.narrow,
                                "wide_seconds"_a = time.wide));
    }
    py::list bands;
    for (const vulkan::BandTime& time : report.bands) {
        bands.append(py::dict("pixels"_a = time.pixels, "seconds"_a = time.seconds,
                              "flops"_a = vulkan::kBandFlops));
    }
    py::dict result = dict_of(report.chosen);
    result["kernels"] = kernels;
    result["pair"] = py::dict("together_seconds"_a = report.pair.together,
                              "apart_seconds"_a = report.pair.apart);
    result["bands"] = bands;
    return result;
}

py::dict stored_kernels(int device) {
    py::dict result;
    for (const bool fp16 : {false, true}) {
        const auto record = vulkan::stored_kernels(device, fp16);
        if (record) result[fp16 ? "fp16" : "fp32"] = dict_of(*record);
    }
    return result;
}

}  // namespace

void bind_kernels(py::module_& module) {
    module.def("tune", &tune, py::arg("device"), py::kw_only(), py::arg("fp16"),
               py::arg("seconds") = vulkan::kTuningSeconds,
               "Time the convolution kernels of a Vulkan device for about so many seconds, test "
               "the fastest against the CPU and store the choice. A dict with narrow and wide (the "
               "kernels of layers of up to 32 output channels, and of more), pairs (whether "
               "convolutions of dense blocks are computed two at a time), band_pixels, tuned, "
               "notes (on kernels that were dropped), kernels, pair and bands (their times, in "
               "seconds an output pixel of a dense block, and of bands its operations; None where "
               "the time was up, or the device computes no pairs).");
    module.def("stored_kernels", &stored_kernels, py::arg("device"),
               "The choices stored for a Vulkan device with this driver and version, by precision "
               "('fp32', 'fp16'); none before its first use.");
    module.def("forget_kernels", &vulkan::forget_kernels, py::arg("device"),
               "Delete what is stored: the device is timed and tested again by the next process "
               "that uses it.");
}

}  // namespace realesrgan::bindings
