#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

#include "check.hpp"
#include "cpu/winograd/thread_pool.hpp"

using realesrgan::winograd::ThreadPool;

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
                if (++slots[static_cast<std::size_t>(slot)] != 1) std::abort();
                ++done[static_cast<std::size_t>(item)];
                std::this_thread::yield();
                --slots[static_cast<std::size_t>(slot)];
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

int main() {
    return check::run_all();
}
