#include "base/thread_count.hpp"

#include <cpu.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "base/control_groups.hpp"

#if defined(__linux__)
#include <sched.h>

#include <vector>
#endif

namespace realesrgan {

namespace {

// std::thread::hardware_concurrency() counts processors that this process is not allowed to use.
int bound_cores() {
#if defined(__linux__)
    constexpr std::size_t kMostProcessors = std::size_t{1} << 20;
    for (std::size_t count = CPU_SETSIZE; count <= kMostProcessors; count *= 2) {
        std::vector<cpu_set_t> sets(count / CPU_SETSIZE);
        const std::size_t bytes = sets.size() * sizeof(cpu_set_t);
        if (sched_getaffinity(0, bytes, sets.data()) == 0) return CPU_COUNT_S(bytes, sets.data());
    }
#endif
    return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

int usable_cores(const std::filesystem::path& root) {
    const int bound = std::max(1, bound_cores());
    const std::optional<double> quota = ControlGroups(root).cores();
    if (!quota || *quota >= bound) return bound;
    return std::max(1, static_cast<int>(std::ceil(*quota)));
}

int thread_count(int asked) {
    return std::clamp(asked > 0 ? asked : ncnn::get_physical_cpu_count(), 1, usable_cores());
}

}  // namespace realesrgan
