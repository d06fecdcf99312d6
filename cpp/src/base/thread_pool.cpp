#include "base/thread_pool.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <new>
#include <system_error>

#if !defined(_WIN32)
#include <pthread.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace realesrgan {
namespace {

constexpr auto kActiveWait = std::chrono::microseconds(100);

void relax() {
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
    asm volatile("yield");
#else
    std::this_thread::yield();
#endif
}

// False when the time was up before `done` held.
template <class Condition>
bool wait_actively(const Condition& done) {
    const auto end = std::chrono::steady_clock::now() + kActiveWait;
    do {
        for (int i = 0; i < 64; ++i) {
            if (done()) return true;
            relax();
        }
    } while (std::chrono::steady_clock::now() < end);
    return done();
}

}  // namespace

struct ThreadPool::Job {
    const Task& task;
    const int items;
    std::atomic<int> next{0};
    std::atomic<int> helpers{0};
    std::vector<int> free_slots;  // guarded by the pool's mutex
    std::condition_variable finished;
    std::mutex failing;
    std::exception_ptr failure;  // guarded by `failing` until the last helper has gone

    Job(const Task& task_, int items_, int threads) : task(task_), items(items_) {
        for (int slot = threads - 1; slot > 0; --slot) free_slots.push_back(slot);
    }
    bool waiting() const { return next.load(std::memory_order_relaxed) < items; }
    // False when no item is left.
    bool run_next(int slot) noexcept {
        const int item = next++;
        if (item >= items) return false;
        try {
            task(item, slot);
        } catch (...) {
            const std::lock_guard<std::mutex> lock(failing);
            if (!failure) failure = std::current_exception();
            next = items;
        }
        return true;
    }
};

namespace {

std::atomic<ThreadPool*> shared_pool{nullptr};

#if !defined(_WIN32)
// The parent's pool is not freed: its state refers to threads that the child does not have.
[[maybe_unused]] const int at_fork =
    pthread_atfork(nullptr, nullptr, [] { shared_pool = nullptr; });
#endif

// Counts a computing thread during its lifetime.
class Computing {
  public:
    explicit Computing(std::atomic<int>& threads) : threads_(threads) { ++threads_; }
    ~Computing() { --threads_; }
    Computing(const Computing&) = delete;
    Computing& operator=(const Computing&) = delete;

  private:
    std::atomic<int>& threads_;
};

}  // namespace

ThreadPool& ThreadPool::shared() {
    ThreadPool* pool = shared_pool;
    if (pool != nullptr) return *pool;
    auto made = std::make_unique<ThreadPool>(
        std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
    return shared_pool.compare_exchange_strong(pool, made.get()) ? *made.release() : *pool;
}

ThreadPool::ThreadPool(int processors) : processors_(processors) {}

ThreadPool::~ThreadPool() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        stop_ = true;
        ++posted_;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int items, int threads, const Task& task) {
    threads = std::min({threads, items, processors_});
    if (threads <= 1) {
        const Computing computing(busy_);
        for (int item = 0; item < items; ++item) task(item, 0);
        return;
    }
    const std::exception_ptr failure = share(items, threads, task);
    wake_for_others();
    if (failure) std::rethrow_exception(failure);
}

// Runs the items on up to `threads` threads; returns the first exception of a task, or null.
std::exception_ptr ThreadPool::share(int items, int threads, const Task& task) {
    const Computing computing(busy_);
    Job job(task, items, threads);
    bool sleepers = false;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        jobs_.push_back(&job);
        start_workers(threads - 1);
        ++posted_;
        sleepers = asleep_ > 0;
    }
    if (sleepers) wake_.notify_all();
    while (job.run_next(0)) continue;
    std::unique_lock<std::mutex> lock(mutex_);
    jobs_.erase(std::find(jobs_.begin(), jobs_.end(), &job));
    if (job.helpers > 0) {
        lock.unlock();
        wait_actively([&] { return job.helpers == 0; });
        lock.lock();
        job.finished.wait(lock, [&] { return job.helpers == 0; });
    }
    return job.failure;
}

// The processor that a caller leaves may serve another's job.
void ThreadPool::wake_for_others() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (jobs_.empty()) return;
    ++posted_;
    if (asleep_ > 0) wake_.notify_all();
}

// If the system refuses, fewer threads: the caller of a job runs the remaining items.
void ThreadPool::start_workers(int count) noexcept {
    try {
        while (static_cast<int>(workers_.size()) < count) workers_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
    } catch (const std::bad_alloc&) {
    }
}

void ThreadPool::work() {
    while (!stop_) {
        const unsigned seen = posted_;
        int slot = 0;
        Job* job = nullptr;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            job = claim(&slot);
        }
        if (job != nullptr) {
            help(*job, slot);
        } else {
            wait_for_job(seen);
        }
    }
}

ThreadPool::Job* ThreadPool::claim(int* slot) {
    if (busy_ >= processors_) return nullptr;
    for (Job* job : jobs_) {
        if (!job->waiting() || job->free_slots.empty()) continue;
        *slot = job->free_slots.back();
        job->free_slots.pop_back();
        ++job->helpers;
        ++busy_;
        return job;
    }
    return nullptr;
}

void ThreadPool::help(Job& job, int slot) {
    while (busy_ <= processors_ && job.run_next(slot)) continue;
    const std::lock_guard<std::mutex> lock(mutex_);
    job.free_slots.push_back(slot);
    --busy_;
    // The job lives on its caller's stack: after this, with the mutex released, it may be gone.
    if (--job.helpers == 0) job.finished.notify_one();
}

void ThreadPool::wait_for_job(unsigned seen) {
    if (wait_actively([&] { return posted_ != seen; })) return;
    std::unique_lock<std::mutex> lock(mutex_);
    ++asleep_;
    wake_.wait(lock, [&] { return posted_ != seen; });
    --asleep_;
}

}  // namespace realesrgan
