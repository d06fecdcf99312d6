#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace realesrgan {

// Workers shared by all callers of the process. At no time do more threads compute than the machine
// has processors: a worker leaves a job between two items when another caller needs its processor.
// Workers wait for the next job actively for some microseconds (a layer lasts about a millisecond),
// then sleep.
//
// Not OpenMP: each calling thread would get a team of its own, which oversubscribes when several
// upscalers run, and its workers spin after the run or are slow to wake, by a setting of the whole
// process.
class ThreadPool {
  public:
    // item: 0..items-1, each once, handed out in order; slot: 0..threads-1, no two at a time the
    // same. May throw.
    using Task = std::function<void(int item, int slot)>;

    // Never destroyed: workers may still sleep when the process ends. A forked child has one of its
    // own, because the workers of its parent's are not there.
    static ThreadPool& shared();

    explicit ThreadPool(int processors);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int processors() const { return processors_; }

    // Returns when every item is done. The caller works, too, in slot 0. After a task has thrown no
    // more items are begun; when those begun have ended, the first exception is rethrown. Where the
    // system cannot start another thread, fewer threads do the work.
    void run(int items, int threads, const Task& task);

  private:
    struct Job;
    std::exception_ptr share(int items, int threads, const Task& task);
    void wake_for_others();
    void work();
    void wait_for_job(unsigned seen);
    Job* claim(int* slot);  // with mutex_ held
    void help(Job& job, int slot);
    void start_workers(int count) noexcept;  // with mutex_ held

    const int processors_;
    std::atomic<int> busy_{0};         // threads computing now, callers included
    std::atomic<unsigned> posted_{0};  // jobs so far: what waiting workers watch
    std::atomic<bool> stop_{false};
    std::mutex mutex_;  // guards what follows
    std::condition_variable wake_;
    std::vector<Job*> jobs_;
    int asleep_ = 0;
    std::vector<std::thread> workers_;
};

}  // namespace realesrgan
