#include "cpu/winograd/thread_pool.hpp"

#include <algorithm>
#include <chrono>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace realesrgan::winograd {
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

    Job(const Task& task_, int items_, int threads) : task(task_), items(items_) {
        for (int slot = threads - 1; slot > 0; --slot) free_slots.push_back(slot);
    }
    bool waiting() const { return next.load(std::memory_order_relaxed) < items; }
};

ThreadPool& ThreadPool::shared() {
    static ThreadPool* pool =
        new ThreadPool(std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
    return *pool;
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
    ++busy_;
    if (threads <= 1) {
        for (int item = 0; item < items; ++item) task(item, 0);
        --busy_;
        return;
    }
    Job job(task, items, threads);
    bool sleepers = false;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        start_workers(threads - 1);
        jobs_.push_back(&job);
        ++posted_;
        sleepers = asleep_ > 0;
    }
    if (sleepers) wake_.notify_all();
    for (int item = job.next++; item < items; item = job.next++) task(item, 0);
    std::unique_lock<std::mutex> lock(mutex_);
    jobs_.erase(std::find(jobs_.begin(), jobs_.end(), &job));
    if (job.helpers > 0) {
        lock.unlock();
        wait_actively([&] { return job.helpers == 0; });
        lock.lock();
        job.finished.wait(lock, [&] { return job.helpers == 0; });
    }
    --busy_;
    if (jobs_.empty()) return;
    ++posted_;  // the processor that this caller leaves may serve another's job
    if (asleep_ > 0) wake_.notify_all();
}

void ThreadPool::start_workers(int count) {
    while (static_cast<int>(workers_.size()) < count) workers_.emplace_back([this] { work(); });
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
    while (busy_ <= processors_) {
        const int item = job.next++;
        if (item >= job.items) break;
        job.task(item, slot);
    }
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

}  // namespace realesrgan::winograd
