#include "base/forks.hpp"

#include <atomic>

#if !defined(_WIN32)
#include <pthread.h>
#endif
#if defined(_OPENMP) && !defined(_WIN32)
#include <omp.h>
#endif

namespace realesrgan {

namespace {

std::atomic<int> generation{0};

#if !defined(_WIN32)
[[maybe_unused]] const int counted =
    pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1); });
#endif

}  // namespace

int fork_generation() {
    return generation;
}

void end_openmp_team_at_fork() {
#if defined(_OPENMP) && !defined(_WIN32)
    [[maybe_unused]] static const int registered =
        pthread_atfork([] { omp_pause_resource_all(omp_pause_soft); }, nullptr, nullptr);
#endif
}

}  // namespace realesrgan
