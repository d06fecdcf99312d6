#pragma once

namespace realesrgan::vulkan {

// Measured rates that bound every kernel on a device.
struct Roofline {
    double matrix_flops = 0;           // a second, cooperative matrices, fp16 in and fp32 sums; 0:
                                       // the device has none that fit our kernels
    double fma_flops = 0;              // a second, fp32 multiply-adds, two each
    double copy_bytes_per_second = 0;  // of a buffer larger than caches: bytes read and written
};

// Measures each rate for about `seconds` (above 0), and takes the best of some submissions. Throws
// std::invalid_argument, DeviceError, OutOfMemoryError.
Roofline measure_roofline(int device, double seconds);

}  // namespace realesrgan::vulkan
