#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings.hpp"
#include "gil.hpp"
#include "python_calls.hpp"
#include "python_rows.hpp"
#include "realesrgan/upscaler.hpp"
#include "yuv_planes.hpp"

namespace py = pybind11;

namespace realesrgan::bindings {
namespace {

// An H x W x C array as it lies in memory, whatever its strides.
template <typename View, typename Byte>
View view_of(const py::array& array, Byte* data, const char* name) {
    if (array.ndim() != 3) {
        throw std::invalid_argument(std::string(name) + " has " + std::to_string(array.ndim()) +
                                    " dimensions; expected height x width x channels");
    }
    View view;
    view.data = data;
    view.type = sample_type(array.dtype(), name);
    view.height = side(array.shape(0));
    view.width = side(array.shape(1));
    view.channels = side(array.shape(2));
    view.row_stride = array.strides(0);
    view.pixel_stride = array.strides(1);
    view.channel_stride = array.strides(2);
    return view;
}

// Destroying a network waits for its device: other Python threads go on meanwhile.
struct DeleteWithoutGil {
    void operator()(Upscaler* upscaler) const {
        const GilReleased released;
        delete upscaler;
    }
};

using Holder = std::unique_ptr<Upscaler, DeleteWithoutGil>;

Holder make(const std::filesystem::path& param_path, const std::filesystem::path& bin_path,
            int device, bool fp16, int tile, bool tta, int threads, std::uint64_t memory_limit,
            const std::string& backend, int band, int runs_at_once) {
    Options options;
    options.device = device;
    options.fp16 = fp16;
    options.tile = tile;
    options.tta = tta;
    options.threads = threads;
    options.memory_limit = memory_limit;
    options.backend = backend;
    options.band = band;
    options.runs_at_once = runs_at_once;
    const LongCall call;
    return Holder(new Upscaler(param_path.u8string(), bin_path.u8string(), options));
}

void run(const Upscaler& upscaler, const py::array& image, py::array& output,
         const py::object& callback) {
    const auto from =
        view_of<ImageView>(image, static_cast<const std::byte*>(image.data()), "image");
    const auto to =
        view_of<MutableImageView>(output, static_cast<std::byte*>(output.mutable_data()), "output");
    GilReleased released;
    const Interruptible interruptible(python_signals(released));
    upscaler.run(from, to, python_progress(callback, released));
}

void run_rows(const Upscaler& upscaler, int width, int height, const py::object& read,
              const py::object& write, const py::object& dtype, const py::object& callback) {
    const SampleType type = sample_type(py::dtype::from_args(dtype), "picture");
    GilReleased released;
    PythonSource source(released, read, {width, height, upscaler.network().input_channels, type});
    PythonSink sink(released, write);
    const Interruptible interruptible(python_signals(released));
    upscaler.run(source, sink, type, python_progress(callback, released));
}

void run_yuv(const Upscaler& upscaler, const std::vector<py::array>& source,
             const YuvFormat& source_format, std::vector<py::array>& target,
             const YuvFormat& target_format, const py::object& callback) {
    const YuvView from = yuv_view(source, source_format, "source");
    const MutableYuvView to = mutable_yuv_view(target, target_format, "target");
    GilReleased released;
    const Interruptible interruptible(python_signals(released));
    upscaler.run(from, to, python_progress(callback, released));
}

const char* name_of(ProfiledWork work) {
    switch (work) {
        case ProfiledWork::fill:
            return "fill";
        case ProfiledWork::submit:
            return "submit";
        case ProfiledWork::wait:
            return "wait";
        case ProfiledWork::take:
            return "take";
        case ProfiledWork::load:
            return "load";
        case ProfiledWork::operation:
            return "operation";
        case ProfiledWork::halo:
            return "halo";
        case ProfiledWork::store:
            return "store";
        case ProfiledWork::download:
            break;
    }
    return "download";
}

py::dict profile(const Upscaler& upscaler, const py::array& image, py::array& output, int band_rows,
                 bool timed) {
    using namespace py::literals;  // NOLINT(google-build-using-namespace)
    const auto from =
        view_of<ImageView>(image, static_cast<const std::byte*>(image.data()), "image");
    const auto to =
        view_of<MutableImageView>(output, static_cast<std::byte*>(output.mutable_data()), "output");
    const RunProfile found = [&] {
        const LongCall call;
        return upscaler.profile(from, to, band_rows, timed);
    }();
    py::list layers;
    for (const ProfiledLayer& layer : found.layers) {
        layers.append(py::dict("kind"_a = layer.kind, "names"_a = layer.names,
                               "inputs"_a = layer.inputs, "outputs"_a = layer.outputs,
                               "zoom"_a = layer.zoom));
    }
    py::list intervals;
    for (const ProfiledInterval& one : found.intervals) {
        intervals.append(py::dict("work"_a = name_of(one.work), "band"_a = one.band,
                                  "layer"_a = one.layer, "kernel"_a = one.kernel,
                                  "begin"_a = one.begin, "end"_a = one.end, "flops"_a = one.flops,
                                  "bytes"_a = one.bytes));
    }
    return py::dict("seconds"_a = found.seconds, "bands"_a = found.bands,
                    "untimed_downloads"_a = found.untimed_downloads, "layers"_a = layers,
                    "intervals"_a = intervals);
}

py::dict plan(const Upscaler& upscaler, int width, int height, const py::object& dtype,
              int band_rows) {
    const SampleType type = sample_type(py::dtype::from_args(dtype), "picture");
    const PlanReport report = [&] {
        const LongCall call;
        RunShape shape{width, height, type, type};
        shape.band_rows = band_rows;
        return upscaler.plan(shape);
    }();
    py::dict memory;
    for (const auto& [kind, bytes] : report.memory_bytes) {
        memory[py::str(kind)] = bytes;
    }
    using namespace py::literals;  // NOLINT(google-build-using-namespace)
    return py::dict("path"_a = report.path, "reason"_a = report.reason,
                    "band_rows"_a = report.band_rows, "column_tiles"_a = report.column_tiles,
                    "halo"_a = report.halo, "tile"_a = report.tile, "memory_bytes"_a = memory,
                    "dispatches_per_band"_a = report.dispatches_per_band,
                    "bytes_moved_per_input_pixel"_a = report.bytes_moved_per_input_pixel);
}

}  // namespace

void bind_upscaler(py::module_& module) {
    const Options defaults;
    py::class_<Upscaler, Holder>(module, "Upscaler", "One network on one device.")
        .def(py::init(&make), py::arg("param_path"), py::arg("bin_path"), py::kw_only(),
             py::arg("device") = defaults.device, py::arg("fp16") = defaults.fp16,
             py::arg("tile") = defaults.tile, py::arg("tta") = defaults.tta,
             py::arg("threads") = defaults.threads, py::arg("memory_limit") = defaults.memory_limit,
             py::arg("backend") = defaults.backend, py::arg("band") = defaults.band,
             py::arg("runs_at_once") = defaults.runs_at_once)
        .def_property_readonly("network", &Upscaler::network)
        .def("notices", &Upscaler::notices, py::call_guard<GilReleased>(),
             "What the user should know of the device, such as kernels that its driver gets "
             "wrong; each line is told once.")
        .def("run", &run, py::arg("image"), py::arg("output"), py::arg("progress") = py::none(),
             "Fill `output`, scale times the size of `image`. Both are H x W x C arrays of uint8, "
             "uint16 or float32 in 0..1, with any strides. `progress` is called with the completed "
             "fraction, 0..1.")
        .def("prepare", &Upscaler::prepare, py::arg("width"), py::arg("height"),
             py::call_guard<LongCall>(),
             "Make now what the first run of 8-bit pictures of this size would make: pipelines, "
             "above all. Returns the bytes such a run takes on the device, 0 on the tile path.")
        .def("run_rows", &run_rows, py::arg("width"), py::arg("height"), py::arg("read"),
             py::arg("write"), py::kw_only(), py::arg("dtype") = "uint8",
             py::arg("progress") = py::none(),
             "Run a picture whose rows come from `read(first, count)`, as count x width x C "
             "samples, and whose result's rows go to `write(first, rows)`. Each row is asked for "
             "and given once, in order; both pictures have samples of the type `dtype`. Tiles, "
             "column tiles and "
             "all orientations read the picture whole first.")
        .def(
            "run_yuv", &run_yuv, py::arg("source"), py::arg("source_format"), py::arg("target"),
            py::arg("target_format"), py::arg("progress") = py::none(),
            "Fill the planes `target`, scale times the size of the planes `source`. Planes are H x "
            "W arrays with any strides, uint8 where the format has 8 bits, else uint16: luma and "
            "both chroma planes, or luma alone.")
        .def("profile", &profile, py::arg("image"), py::arg("output"), py::kw_only(),
             py::arg("band_rows") = 0, py::arg("timed") = true,
             "As `run`, in bands of so many rows (0: what fits best), with the times of everything "
             "that host and device do: a dict with seconds, bands, layers (of the row stream) and "
             "intervals, whose begin and end are seconds from the run's begin. Not `timed`, there "
             "is "
             "only seconds.")
        .def("plan", &plan, py::arg("width"), py::arg("height"), py::kw_only(),
             py::arg("dtype") = "uint8", py::arg("band_rows") = 0,
             "How a picture of this size in pixels, with samples of the type `dtype`, would be "
             "run, in bands of so many rows (0: what fits best): a dict with path ('stream' or "
             "'tiles'), reason, band_rows, column_tiles, halo, "
             "tile, "
             "memory_bytes (by kind, and total), dispatches_per_band and "
             "bytes_moved_per_input_pixel.");
}

}  // namespace realesrgan::bindings
