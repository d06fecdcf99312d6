#include "base/parallel.hpp"

#include "base/interruption.hpp"
#include "base/thread_pool.hpp"

namespace realesrgan {

void for_each_in_parallel(std::size_t count, int threads,
                          const std::function<void(std::size_t)>& task) {
    ThreadPool::shared().run(static_cast<int>(count), threads, [&](int item, int) {
        check_interruption();
        task(static_cast<std::size_t>(item));
    });
}

}  // namespace realesrgan
