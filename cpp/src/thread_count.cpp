#include "thread_count.hpp"

#include <cpu.h>

#include <algorithm>
#include <thread>

namespace realesrgan {

int thread_count(int asked) {
    if (asked > 0) return asked;
    // Hardware threads that this process may not use (a container's share) are not cores to it.
    const int allowed = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    return std::clamp(ncnn::get_physical_cpu_count(), 1, allowed);
}

}  // namespace realesrgan
