#include "cpu/winograd/instruction_set.hpp"

#include <algorithm>
#include <stdexcept>

#if defined(__unix__)
#include <unistd.h>
#endif

// The build defines REALESRGAN_KERNEL_* for each compiled instruction set.
namespace realesrgan::winograd {

#if defined(REALESRGAN_KERNEL_AVX512)
namespace avx512 {
extern const Kernel kernel;
}
#endif
#if defined(REALESRGAN_KERNEL_AVX2)
namespace avx2 {
extern const Kernel kernel;
}
#endif
#if defined(REALESRGAN_KERNEL_NEON)
namespace neon {
extern const Kernel kernel;
}
#endif
#if defined(REALESRGAN_KERNEL_BASELINE)
namespace baseline {
extern const Kernel kernel;
}
#endif

namespace {

std::vector<const Kernel*> find_kernels() {
    std::vector<const Kernel*> kernels;
#if defined(REALESRGAN_KERNEL_AVX512)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
        kernels.push_back(&avx512::kernel);
    }
#endif
#if defined(REALESRGAN_KERNEL_AVX2)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        kernels.push_back(&avx2::kernel);
    }
#endif
#if defined(REALESRGAN_KERNEL_NEON)
    kernels.push_back(&neon::kernel);  // part of every AArch64 processor
#endif
#if defined(REALESRGAN_KERNEL_BASELINE)
    kernels.push_back(&baseline::kernel);
#endif
    return kernels;
}

}  // namespace

const std::vector<const Kernel*>& supported_kernels() {
    static const std::vector<const Kernel*> kernels = find_kernels();
    return kernels;
}

const Kernel& select_kernel(const std::string& name) {
    std::string names;
    for (const Kernel* kernel : supported_kernels()) {
        if (name.empty() || name == kernel->name) return *kernel;
        names += (names.empty() ? "" : ", ") + std::string(kernel->name);
    }
    throw std::invalid_argument("instruction set \"" + name +
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
