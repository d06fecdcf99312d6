#include "base/forks.hpp"

#include <atomic>

#if !defined(_WIN32)
#include <pthread.h>
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

}  // namespace realesrgan
