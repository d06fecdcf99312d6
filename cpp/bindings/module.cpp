#include "bindings.hpp"
#include "realesrgan/upscaler.hpp"

namespace bindings = realesrgan::bindings;

PYBIND11_MODULE(_core, module) {
    module.doc() = "The C++ core: one network on one device, and the devices there are.";
    module.attr("__version__") = REALESRGAN_VK_VERSION;
    module.attr("CPU_DEVICE") = realesrgan::kCpuDevice;
    module.attr("TILE_AUTO") = realesrgan::kTileAuto;
    module.attr("TILE_WHOLE") = realesrgan::kTileWhole;
    bindings::bind_errors(module);
    bindings::bind_device(module);
    bindings::bind_kernels(module);
    bindings::bind_network(module);
    bindings::bind_yuv(module);
    bindings::bind_upscaler(module);
}
