#include "cpu/winograd/instruction_set.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#if defined(__unix__)
#include <unistd.h>
#endif

// The build defines REALESRGAN_KERNEL_* for each compiled instruction set.
namespace realesrgan::winograd {

#define REALESRGAN_DECLARE_KERNELS(name) \
    namespace name##_4 {                 \
        extern const Kernel kernel;      \
    }                                    \
    namespace name##_6 {                 \
        extern const Kernel kernel;      \
    }

#if defined(REALESRGAN_KERNEL_AVX512)
REALESRGAN_DECLARE_KERNELS(avx512)
#endif
#if defined(REALESRGAN_KERNEL_AVX2)
REALESRGAN_DECLARE_KERNELS(avx2)
#endif
#if defined(REALESRGAN_KERNEL_NEON)
REALESRGAN_DECLARE_KERNELS(neon)
#endif
#if defined(REALESRGAN_KERNEL_BASELINE)
REALESRGAN_DECLARE_KERNELS(baseline)
#endif
#undef REALESRGAN_DECLARE_KERNELS

namespace {

std::vector<const Kernel*> find_kernels() {
    std::vector<const Kernel*> kernels;
#if defined(REALESRGAN_KERNEL_AVX512)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
        kernels.insert(kernels.end(), {&avx512_4::kernel, &avx512_6::kernel});
    }
#endif
#if defined(REALESRGAN_KERNEL_AVX2)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        kernels.insert(kernels.end(), {&avx2_4::kernel, &avx2_6::kernel});
    }
#endif
#if defined(REALESRGAN_KERNEL_NEON)
    // Part of every AArch64 processor.
    kernels.insert(kernels.end(), {&neon_4::kernel, &neon_6::kernel});
#endif
#if defined(REALESRGAN_KERNEL_BASELINE)
    kernels.insert(kernels.end(), {&baseline_4::kernel, &baseline_6::kernel});
#endif
    return kernels;
}

}  // namespace

const std::vector<const Kernel*>& supported_kernels() {
    static const std::vector<const Kernel*> kernels = find_kernels();
    return kernels;
}

const Kernel& select_kernel(std::string_view name, int tile) {
    std::string names;
    for (const Kernel* kernel : supported_kernels()) {
        if (kernel->tile != tile) continue;
        if (name.empty() || name == kernel->name) return *kernel;
        names += (names.empty() ? "" : ", ") + std::string(kernel->name);
    }
    throw std::invalid_argument(names.empty()
                                    ? "there is no kernel with tiles of " + std::to_string(tile) +
                                          "; choose tiles of 4 or 6"
                                    : "instruction set \"" + std::string(name) +
                                          "\" is not available here; choose one of " + names);
}

std::size_t second_level_cache_bytes() {
    std::size_t bytes = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
    const long reported = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (reported > 0) bytes = static_cast<std::size_t>(reported);
#endif
    if (bytes == 0) bytes = std::size_t{512} << 10;
    return std::clamp(bytes, std::size_t{256} << 10, std::size_t{2} << 20);
}

}  // namespace realesrgan::winograd
