// The times of a run on a Vulkan device: what is timed, that they fit together, and that they
// change nothing.

#include <map>
#include <set>

#include "base/emulated_limits.hpp"
#include "base/fault_injection.hpp"
#include "realesrgan/errors.hpp"
#include "realesrgan/profile.hpp"
#include "realesrgan/upscaler.hpp"
#include "support/check.hpp"
#include "support/random_network.hpp"
#include "support/sample_picture.hpp"
#include "support/temporary_folder.hpp"
#include "support/vulkan_runs.hpp"
#include "vulkan/device/timestamps.hpp"

using namespace realesrgan;
using sample_picture::noise;
using sample_picture::Picture;
using vulkan_runs::Files;
using vulkan_runs::on_gpu;
using vulkan_runs::open;
using vulkan_runs::run;

namespace {

// Under emulated limits the device may have no timestamps at all.
Options on_timed_gpu(bool fp16 = false) {
    if (emulated_limits().timestamp_bits == 0U) throw check::Skip("no timestamps are emulated");
    return on_gpu(fp16);
}

bool on_host(const ProfiledInterval& interval) {
    return interval.work < ProfiledWork::load;
}

}  // namespace

TEST_CASE("a timed run has the same bits, and times every layer once a band") {
    const TemporaryFolder folder;
    for (const bool fp16 : {false, true}) {
        for (const unsigned seed : {1U, 4U}) {
            const Files files = random_network(seed).save(folder.file("net"));
            const Upscaler upscaler = open(files, on_timed_gpu(fp16));
            const auto picture = noise<float>(13, 38, seed);
            const auto right = run<float>(upscaler, picture);
            for (const int band_rows : {0, 6}) {
                Picture<float> result(right.width, right.height);
                const RunProfile profile =
                    upscaler.profile(picture.source(), result.target(), band_rows);
                CHECK(result.samples == right.samples);
                CHECK((profile.bands > 1) == (band_rows > 0));
                std::set<std::string> names;
                for (const ProfiledLayer& layer : profile.layers) {
                    for (const std::string& name : layer.names) CHECK(names.insert(name).second);
                }
                std::map<std::pair<int, int>, int> times;  // by band and layer
                double end = 0.0, busy = 0.0;
                for (const ProfiledInterval& one : profile.intervals) {
                    CHECK(one.begin >= 0.0 && one.end >= one.begin);
                    CHECK(one.end <= profile.seconds * 1.01 + 1e-3);
                    // Of a device with a queue for copies these are beside what it computes.
                    if (on_host(one) || one.work == ProfiledWork::download) continue;
                    CHECK(one.begin >= end - 1e-6);  // the device runs one after the other
                    end = one.end;
                    busy += one.end - one.begin;
                    CHECK(!one.kernel.empty());
                    if (one.work == ProfiledWork::operation) ++times[{one.band, one.layer}];
                }
                CHECK(busy > 0.0 && busy <= profile.seconds);
                for (const auto& [where, count] : times) CHECK_EQUAL(count, 1);
                std::set<int> layers;
                for (const auto& [where, count] : times) layers.insert(where.second);
                CHECK_EQUAL(layers.size(), profile.layers.size());
                // The session is kept for the next run, which is not timed.
                CHECK(run<float>(upscaler, picture).samples == right.samples);
                const RunProfile untimed =
                    upscaler.profile(picture.source(), result.target(), band_rows, false);
                CHECK(untimed.intervals.empty() && untimed.seconds > 0.0);
            }
        }
    }
}

TEST_CASE("a device without timestamps is an error that says so, and runs on") {
    const TemporaryFolder folder;
    const Files files = random_network(1).save(folder.file("net"));
    const Upscaler upscaler = open(files, on_timed_gpu());
    const auto picture = noise<float>(8, 6, 1);
    const auto right = run<float>(upscaler, picture);
    Picture<float> result(right.width, right.height);
    faults().no_timestamps = true;
    CHECK_THROWS(DeviceError, (std::vector<std::string>{"no timestamps", "timestampValidBits"}),
                 upscaler.profile(picture.source(), result.target()));
    CHECK(run<float>(upscaler, picture).samples == right.samples);
    faults().no_timestamps = false;
    CHECK(!upscaler.profile(picture.source(), result.target()).intervals.empty());
}

TEST_CASE("a device's clock goes on where its counter begins anew") {
    realesrgan::vulkan::DeviceClock clock;
    const std::uint64_t mask = (std::uint64_t{1} << 36U) - 1;
    CHECK_EQUAL(clock.elapsed(mask - 9, mask), 0);
    CHECK_EQUAL(clock.elapsed(mask, mask), 9);
    CHECK_EQUAL(clock.elapsed(20, mask), 30);
    CHECK_EQUAL(clock.elapsed(18, mask), 28);
    realesrgan::vulkan::DeviceClock whole;
    CHECK_EQUAL(whole.elapsed(~std::uint64_t{0}, ~std::uint64_t{0}), 0);
    CHECK_EQUAL(whole.elapsed(4, ~std::uint64_t{0}), 5);
}

int main() {
    // Tests do not use the user's cache.
    const TemporaryFolder cache;
    cache.keep_caches();
    return check::run_all();
}
