#include "parallel.hpp"

#include <exception>
#include <mutex>

#include "cpu/winograd/thread_pool.hpp"

namespace realesrgan {

void for_each_in_parallel(std::size_t count, int threads,
                          const std::function<void(std::size_t)>& task) {
    std::mutex mutex;
    std::exception_ptr failure;
    winograd::ThreadPool::shared().run(static_cast<int>(count), threads, [&](int item, int) {
        try {
            task(static_cast<std::size_t>(item));
        } catch (...) {
            const std::lock_guard<std::mutex> lock(mutex);
            if (!failure) failure = std::current_exception();
        }
    });
    if (failure) std::rethrow_exception(failure);
}

}  // namespace realesrgan
