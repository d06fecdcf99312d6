#include "cpu/winograd/instruction_set.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#if defined(__unix__)
#include <unistd.h>
#endif
#if defined(REALESRGAN_KERNEL_AVX2) || defined(REALESRGAN_KERNEL_AVX512)
#include <cpuid.h>
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

#if defined(REALESRGAN_KERNEL_AVX2) || defined(REALESRGAN_KERNEL_AVX512)
struct VectorUnits {
    bool avx2_fma = false;
    bool avx512 = false;  // F, DQ, BW and VL
};

// Asked of the processor itself, as Intel's manual (volume 1, 14.3 and 15.2) has it: the answer of
// __builtin_cpu_supports() comes from the compiler's library, and Zig's always says no.
VectorUnits vector_units() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    VectorUnits units;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0) return units;
    constexpr unsigned kFma = 1U << 12, kXgetbv = 1U << 27, kAvx = 1U << 28;
    constexpr unsigned kNeeded = kFma | kXgetbv | kAvx;
    if ((c & kNeeded) != kNeeded) return units;
    unsigned saved = 0, high = 0;  // registers that the system saves for each thread
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    constexpr unsigned kYmm = 0x6, kZmm = 0xe6;
    if ((saved & kYmm) != kYmm || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return units;
    constexpr unsigned kAvx2 = 1U << 5;
    constexpr unsigned kAvx512 = 1U << 16 | 1U << 17 | 1U << 30 | 1U << 31;
    units.avx2_fma = (b & kAvx2) != 0;
    units.avx512 = (saved & kZmm) == kZmm && (b & kAvx512) == kAvx512;
    return units;
}
#endif

std::vector<const Kernel*> find_kernels() {
    std::vector<const Kernel*> kernels;
#if defined(REALESRGAN_KERNEL_AVX512)
    if (vector_units().avx512) {
        kernels.insert(kernels.end(), {&avx512_4::kernel, &avx512_6::kernel});
    }
#endif
#if defined(REALESRGAN_KERNEL_AVX2)
    if (vector_units().avx2_fma) {
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
