// Loops as the compiler translates them (this file is compiled with OpenMP), on the project's own
// runtime or, where the user's ncnn was built with another, on that one.

#include <platform.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include "base/openmp.hpp"

#if defined(__linux__)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "base/integers.hpp"
#include "support/check.hpp"

using realesrgan::idx;

extern "C" {
int omp_get_num_threads();
int omp_get_thread_num();
}

namespace {

int not_once(const std::vector<std::atomic<int>>& calls) {
    int wrong = 0;
    for (const std::atomic<int>& count : calls) wrong += count == 1 ? 0 : 1;
    return wrong;
}

// How many of the counter's values are not visited just once.
template <class Count>
int wrong_visits(Count first, int values, int threads) {
    std::vector<std::atomic<int>> calls(idx(values));
    const Count end = static_cast<Count>(first + static_cast<Count>(values));
#pragma omp parallel for num_threads(threads)
    for (Count i = first; i < end; ++i) ++calls[static_cast<std::size_t>(i - first)];
    return not_once(calls);
}

int wrong_members(int threads) {
    std::vector<std::atomic<int>> calls(idx(threads));
    std::atomic<int> wrong_sizes{0};
#pragma omp parallel for num_threads(threads)
    for (int i = 0; i < threads; ++i) {
        if (omp_get_num_threads() != threads) ++wrong_sizes;
        ++calls[idx(omp_get_thread_num())];
    }
    return not_once(calls) + wrong_sizes;
}

}  // namespace

TEST_CASE("each value of a loop's counter is computed once, whatever the threads and the type") {
    for (const int threads : {1, 2, 3, 7, 64}) {
        for (const int values : {0, 1, 2, 6, 7, 64, 65, 1000}) {
            CHECK_EQUAL(wrong_visits<int>(-3, values, threads), 0);
            CHECK_EQUAL(wrong_visits<unsigned>(3000000000U, values, threads), 0);
            CHECK_EQUAL(wrong_visits<std::int64_t>(std::int64_t{1} << 40, values, threads), 0);
            CHECK_EQUAL(wrong_visits<std::uint64_t>(
                            std::numeric_limits<std::uint64_t>::max() - 2000, values, threads),
                        0);
        }
    }
}

TEST_CASE("two loops that are made one, and many variables") {
    std::vector<std::atomic<int>> calls(35);
    const double a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8;
    std::atomic<int> wrong{0};
#pragma omp parallel for collapse(2) num_threads(3)
    for (int y = 0; y < 5; ++y) {
        for (int x = 0; x < 7; ++x) {
            ++calls[idx(y * 7 + x)];
            if (a + b + c + d + e + f + g + h + x != 36 + x) ++wrong;
        }
    }
    CHECK_EQUAL(not_once(calls), 0);
    CHECK_EQUAL(wrong.load(), 0);
}

TEST_CASE("each member of a team has its number, also with more members than processors") {
    for (const int threads : {1, 2, 5, 64}) CHECK_EQUAL(wrong_members(threads), 0);
    CHECK_EQUAL(omp_get_num_threads(), 1);
    CHECK_EQUAL(omp_get_thread_num(), 0);
}

TEST_CASE("a loop in a loop computes all, and the outer one goes on as it was") {
    std::atomic<int> wrong{0};
#pragma omp parallel for num_threads(2)
    for (int i = 0; i < 2; ++i) {
        const int before = omp_get_thread_num();
        wrong += wrong_visits<int>(0, 50, 3);
        if (omp_get_thread_num() != before || omp_get_num_threads() != 2) ++wrong;
    }
    CHECK_EQUAL(wrong.load(), 0);
}

TEST_CASE("threads that begin loops at the same time do not disturb each other") {
    std::atomic<int> wrong{0};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller) {
        callers.emplace_back([&] {
            for (int round = 0; round < 50; ++round) wrong += wrong_members(4);
        });
    }
    for (std::thread& caller : callers) caller.join();
    CHECK_EQUAL(wrong.load(), 0);
}

#if defined(__linux__)
TEST_CASE("a forked child has threads of its own") {
    realesrgan::prepare_openmp();
    CHECK_EQUAL(wrong_members(4), 0);
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(wrong_members(4) == 0 ? 0 : 1);
    }
    int status = -1;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
}
#endif

int main() {
    return check::run_all();
}
