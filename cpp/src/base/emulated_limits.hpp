#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace realesrgan {

// Limits of a Vulkan device below its own, so that tests on one driver run what smaller devices
// run. 0 or nothing: the device's own.
struct EmulatedLimits {
    std::uint64_t groups = 0;       // workgroups of a dispatch along an axis
    std::uint64_t binding = 0;      // bytes of a buffer that a shader sees
    std::uint64_t shared = 0;       // bytes of shared memory of a workgroup
    std::uint64_t invocations = 0;  // of a workgroup
    std::uint64_t alignment = 0;    // of a binding's offset, a power of two above the device's
    std::uint64_t memory = 0;       // free bytes of the device
    std::uint64_t subgroup = 0;     // size that workgroups are rounded up to, except of matrices
    std::optional<std::uint64_t> timestamp_bits;
    std::optional<std::uint64_t> fp16;      // 16-bit storage: 0 or 1
    std::optional<std::uint64_t> matrices;  // cooperative matrices: 0 or 1
    // Products of matrices that are summed in fp16: no kernels with such sums, or those with sums
    // of so many products (1 or 3) first. Nothing: after those of the same matrices with sums in
    // fp32, for tuning to choose.
    std::optional<std::uint64_t> half_products;
    std::optional<std::uint64_t> own_memory;  // memory apart from the host's: 0 or 1
    // Least bytes of a row band's result that a queue of its own copies to the host, emulated by
    // the compute queue where there is no other. 0: none does.
    std::optional<std::uint64_t> transfer_queue;
};

// From a text such as "groups=65535 binding=134217728 fp16=0". Throws DeviceError.
EmulatedLimits parse_limits(const std::string& text);

// Those of the environment variable REALESRGAN_VK_LIMITS, read once. Throws DeviceError.
const EmulatedLimits& emulated_limits();

// The lower of the device's limit and the emulated one.
template <typename Value>
Value lowered(Value own, std::uint64_t emulated) {
    return emulated == 0 || own <= emulated ? own : static_cast<Value>(emulated);
}

}  // namespace realesrgan
