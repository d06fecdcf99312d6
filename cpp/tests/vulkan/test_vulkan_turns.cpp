// Runs of one network at a time on a device: together where each has memory enough, else in turns.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "realesrgan/errors.hpp"
#include "realesrgan/upscaler.hpp"
#include "stream/run_turns.hpp"
#include "support/check.hpp"
#include "support/emulated_device.hpp"
#include "support/random_network.hpp"
#include "support/sample_picture.hpp"
#include "support/temporary_folder.hpp"
#include "support/vulkan_runs.hpp"

using namespace realesrgan;
using sample_picture::noise;
using sample_picture::Picture;
using vulkan_runs::Files;
using vulkan_runs::on_gpu;
using vulkan_runs::open;
using vulkan_runs::run;

namespace {

constexpr std::uint64_t kMemory = 32U << 20U;  // that the device has free
constexpr int kHeight = 20;
constexpr auto kPatience = std::chrono::seconds(20);

Files compact(const TemporaryFolder& folder) {
    return compact_network(5, 16, 2).save(folder.file("compact"));
}

Options for_runs(int runs) {
    Options options = on_gpu();
    options.runs_at_once = runs;
    return options;
}

PlanReport plan(const Files& files, int runs, int width) {
    return open(files, for_runs(runs)).plan({width, kHeight, SampleType::u8, SampleType::u8});
}

std::uint64_t bytes_of(const PlanReport& plan) {
    return plan.memory_bytes.back().second;
}

// Whose plan takes more than half of the memory, and less than a run may use (four fifths).
int wide(const Files& files) {
    int width = 64;
    while (bytes_of(plan(files, 1, width)) < kMemory / 2) width += width / 4;
    CHECK_BELOW(bytes_of(plan(files, 1, width)), kMemory / 5 * 4);
    return width;
}

// How many runs go on, as their callbacks tell.
class Going {
  public:
    Progress callback() {
        return [this, entered = false](double fraction) mutable {
            if (fraction > 0.0 && fraction < 1.0 && !std::exchange(entered, true)) enter();
            if (fraction == 1.0 && entered) leave();
        };
    }
    // Waits until so many are there.
    bool wait_for(int count) {
        std::unique_lock<std::mutex> lock(mutex_);
        return changed_.wait_for(lock, kPatience, [&] { return most_ >= count; });
    }
    int most() const { return most_; }

  private:
    void enter() {
        const std::lock_guard<std::mutex> lock(mutex_);
        most_ = std::max(most_, ++now_);
        changed_.notify_all();
    }
    void leave() {
        const std::lock_guard<std::mutex> lock(mutex_);
        --now_;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    int now_ = 0;
    int most_ = 0;
};

template <typename Work>
void in_two_threads(const Work& work) {
    std::thread other(work);
    work();
    other.join();
}

}  // namespace

TEST_CASE("turns are taken in order, alone or together, and end with an exception") {
    RunTurns turns;
    std::atomic<int> together{0};
    std::atomic<bool> alone{false};
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int i = 0; i < 6; ++i) {
        threads.emplace_back([&, i] {
            for (int n = 0; n < 40; ++n) {
                try {
                    const RunTurns::Turn turn(turns, (i + n) % 3 == 0);
                    if (turn.alone()) {
                        if (alone.exchange(true) || together > 0) ++wrong;
                        const RunTurns::Turn nested(turns, true);  // does not wait for itself
                        if (nested.alone()) ++wrong;
                        std::this_thread::yield();
                        alone = false;
                    } else {
                        ++together;
                        if (alone) ++wrong;
                        std::this_thread::yield();
                        --together;
                    }
                    if (n % 7 == 0) throw Cancelled("enough");
                } catch (const Cancelled&) {
                }
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK_EQUAL(wrong.load(), 0);
}

TEST_CASE("a picture is not run in lower bands because two runs divide the memory") {
    const TemporaryFolder folder;
    const Files files = compact(folder);
    const int width = wide(files);
    const PlanReport one = plan(files, 1, width), two = plan(files, 2, width);
    CHECK_EQUAL(one.column_tiles, 1);
    CHECK_EQUAL(two.column_tiles, 1);
    CHECK_EQUAL(two.band_rows, one.band_rows);
    // Two parts of eight are not enough.
    const PlanReport eight = plan(files, 8, width);
    CHECK(eight.band_rows < one.band_rows || eight.column_tiles > 1);
    CHECK_BELOW(bytes_of(eight), kMemory / 4);
}

TEST_CASE("runs go on together where each fits its part of the memory, else in turns") {
    const TemporaryFolder folder;
    const Files files = compact(folder);
    const Upscaler upscaler = open(files, for_runs(2));
    for (const bool together : {true, false}) {  // each in several bands
        const auto picture = together ? noise<std::uint8_t>(40, 200, 1)
                                      : noise<std::uint8_t>(wide(files), kHeight, 1);
        const auto right = run<std::uint8_t>(open(files, for_runs(1)), picture);
        Going going;
        in_two_threads([&] {
            const Progress told = going.callback();
            const auto found = run<std::uint8_t>(upscaler, picture, [&](double fraction) {
                told(fraction);
                if (together && fraction > 0.0 && fraction < 1.0) going.wait_for(2);
            });
            CHECK(found.samples == right.samples);
        });
        CHECK_EQUAL(going.most(), together ? 2 : 1);
    }
}

TEST_CASE("a run that waits for its turn can be cancelled, and one inside another does not wait") {
    const TemporaryFolder folder;
    const Files files = compact(folder);
    const Upscaler upscaler = open(files, for_runs(2));
    const auto picture = noise<std::uint8_t>(wide(files), kHeight, 1);
    const auto small = noise<std::uint8_t>(9, kHeight, 1);
    const auto right = run<std::uint8_t>(upscaler, picture);
    const auto right_small = run<std::uint8_t>(upscaler, small);
    bool inside = false;
    const auto found = run<std::uint8_t>(upscaler, picture, [&](double fraction) {
        if (fraction == 0.0 || std::exchange(inside, true)) return;
        CHECK(run<std::uint8_t>(upscaler, small).samples == right_small.samples);
        bool cancelled = false;
        std::thread other([&] {
            try {
                run<std::uint8_t>(upscaler, picture, [](double) { throw Cancelled("enough"); });
            } catch (const Cancelled&) {
                cancelled = true;
            }
        });
        other.join();
        CHECK(cancelled);
    });
    CHECK(found.samples == right.samples);
    CHECK(run<std::uint8_t>(upscaler, picture).samples == right.samples);
}

int main() {
    emulate_limits("own_memory=1 memory=" + std::to_string(kMemory));
    // Tests do not use the user's cache.
    const TemporaryFolder cache;
    cache.keep_caches();
    return check::run_all();
}
