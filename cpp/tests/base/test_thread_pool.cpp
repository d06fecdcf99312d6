#include <atomic>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "base/integers.hpp"
#include "base/thread_pool.hpp"
#include "support/check.hpp"

using realesrgan::idx;
using realesrgan::ThreadPool;

TEST_CASE("every item is done once, in a slot of its own, on no more threads than processors") {
    ThreadPool pool(3);
    std::atomic<int> running{0};
    std::atomic<int> most{0};
    const auto caller = [&] {
        for (int round = 0; round < 50; ++round) {
            std::vector<std::atomic<int>> done(40);
            std::vector<std::atomic<int>> slots(2);
            pool.run(40, 2, [&](int item, int slot) {
                const int now = ++running;
                for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);)
                    continue;
                if (++slots[idx(slot)] != 1) std::abort();
                ++done[idx(item)];
                std::this_thread::yield();
                --slots[idx(slot)];
                --running;
            });
            for (const std::atomic<int>& count : done) CHECK_EQUAL(count.load(), 1);
        }
    };
    std::thread first(caller);
    std::thread second(caller);
    first.join();
    second.join();
    // Two callers compute at once, whoever else does; a worker that was in an item may be one over
    // for it.
    CHECK(most >= 2);
    CHECK(most <= 4);
}

TEST_CASE("one thread works alone, in order") {
    ThreadPool pool(2);
    std::vector<int> items;
    pool.run(5, 1, [&](int item, int slot) {
        CHECK_EQUAL(slot, 0);
        items.push_back(item);
    });
    CHECK((items == std::vector<int>{0, 1, 2, 3, 4}));
    pool.run(0, 2, [&](int, int) { std::abort(); });
}

TEST_CASE("a task's exception is rethrown after the running items, and the pool stays usable") {
    ThreadPool pool(3);
    for (const int threads : {1, 3}) {
        for (int round = 0; round < 200; ++round) {
            std::atomic<int> inside{0};
            const int thrower = round % 40;
            CHECK_THROWS(std::runtime_error, std::vector<std::string>{"item"},
                         pool.run(40, threads, [&](int item, int) {
                             ++inside;
                             std::this_thread::yield();
                             --inside;
                             if (item >= thrower) throw std::runtime_error("item");
                         }));
            CHECK_EQUAL(inside.load(), 0);
            std::atomic<int> done{0};
            pool.run(40, threads, [&](int, int) { ++done; });
            CHECK_EQUAL(done.load(), 40);
        }
    }
    CHECK_THROWS(std::bad_alloc, std::vector<std::string>{},
                 pool.run(40, 3, [](int, int) { throw std::bad_alloc(); }));
}

TEST_CASE("every caller gets the exception of its own task") {
    ThreadPool pool(4);
    const auto caller = [&](const std::string& name) {
        for (int round = 0; round < 200; ++round) {
            CHECK_THROWS(std::runtime_error, std::vector<std::string>{name},
                         pool.run(20, 3, [&](int item, int) {
                             if (item == round % 20) throw std::runtime_error(name);
                         }));
        }
    };
    std::thread first(caller, "first");
    std::thread second(caller, "second");
    first.join();
    second.join();
}

#if defined(__GLIBC__)
TEST_CASE("if no thread can be started, the caller runs all items") {
    pthread_attr_t usual, huge;
    pthread_getattr_default_np(&usual);
    pthread_getattr_default_np(&huge);
    pthread_attr_setstacksize(&huge, std::size_t{1} << 48);  // more than the address space has
    ThreadPool pool(3);
    std::atomic<int> done{0};
    pthread_setattr_default_np(&huge);
    const auto started = [] {
        try {
            std::thread([] {}).join();
            return true;
        } catch (const std::system_error&) {
            return false;
        }
    }();
    pool.run(40, 3, [&](int, int slot) { done += slot == 0 ? 1 : 1000; });
    pthread_setattr_default_np(&usual);
    if (started) throw check::Skip("this C library starts threads with any stack");
    CHECK_EQUAL(done.load(), 40);
    pool.run(40, 3, [&](int, int) { ++done; });
    CHECK_EQUAL(done.load(), 80);
}
#endif

#if defined(__linux__) && !defined(__SANITIZE_THREAD__)  // which allows no thread after a fork
TEST_CASE("a forked child has a pool with workers of its own") {
#if defined(REALESRGAN_EMULATED)
    throw check::Skip("QEMU ends a forked child of a process with threads that starts a thread");
#endif
    const auto use = [] {
        std::atomic<int> done{0};
        ThreadPool::shared().run(100, 8, [&](int, int) { ++done; });
        return done.load();
    };
    CHECK_EQUAL(use(), 100);
    const ThreadPool* parents = &ThreadPool::shared();
    const pid_t child = fork();
    if (child == 0) _exit(use() == 100 && &ThreadPool::shared() != parents ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(use(), 100);
    CHECK(&ThreadPool::shared() == parents);
}
#endif

int main() {
    return check::run_all();
}
