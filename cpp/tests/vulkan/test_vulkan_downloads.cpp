// Results that a queue of its own copies to the host, while the compute queue goes on. Software
// drivers have one queue, which does both here: the commands, the waits and the memory are those of
// a device that has such a queue.

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <thread>

#include "base/fault_injection.hpp"
#include "image/array_rows.hpp"
#include "model/graph.hpp"
#include "plan/plan.hpp"
#include "program/fuse.hpp"
#include "realesrgan/errors.hpp"
#include "realesrgan/profile.hpp"
#include "stream/backend.hpp"
#include "stream/executor.hpp"
#include "support/check.hpp"
#include "support/disarm_at_end.hpp"
#include "support/emulated_device.hpp"
#include "support/random_network.hpp"
#include "support/sample_picture.hpp"
#include "support/temporary_folder.hpp"
#include "support/vulkan_runs.hpp"
#include "support/yuv_picture.hpp"
#include "vulkan/device/context.hpp"
#include "vulkan/instance/instance.hpp"

using namespace realesrgan;
using sample_picture::noise;
using sample_picture::Picture;
using vulkan_runs::Files;
using vulkan_runs::on_gpu;
using vulkan_runs::open;
using vulkan_runs::run;
using yuv_picture::YuvPicture;

namespace {

struct Prepared {
    FusedNetwork network;
    std::unique_ptr<Backend> backend;

    Prepared(const Files& files, bool fp16)
        : network(*fuse(read_graph(files.first), files.second).network),
          backend(make_vulkan_backend(network, on_gpu().device, fp16, 2)) {}

    std::shared_ptr<const ExecutionPlan> plan(BandConfig config, std::uint64_t from) const {
        StorageModel storage = backend->storage();
        storage.copy_results_from = from;
        auto made = std::make_shared<const ExecutionPlan>(network.program, config, storage);
        CHECK_EQUAL(made->copies_results(), from > 0 && made->output_bytes() >= from);
        return made;
    }
};

template <typename Sample>
void check_rows(const Prepared& prepared, int width, int height, int band) {
    const auto picture = noise<Sample>(width, height, 4);
    BandConfig config;
    config.width = width;
    config.height = height;
    config.band = band;
    config.format = {picture.type(), picture.type()};
    const auto result_of = [&](std::uint64_t from) {
        const int scale = prepared.network.program.scale();
        Picture<Sample> result(width * scale, height * scale);
        ArraySource source(picture.source());
        ArraySink sink(result.target());
        StreamRecord record;
        run_plan(*prepared.backend, prepared.plan(config, from), source, 0, sink, nullptr, record);
        return result;
    };
    CHECK(result_of(1).samples == result_of(0).samples);
}

Files network_of(const TemporaryFolder& folder, unsigned seed) {
    return random_network(seed).save(folder.file("net"));
}

// Two sizes, so that the session of the one is not kept for the other.
void forget_session(const Upscaler& upscaler) {
    run<float>(upscaler, noise<float>(2, 2, 1));
}

}  // namespace

TEST_CASE("copied results have the bits of those that kernels write to the host") {
    const TemporaryFolder folder;
    for (const bool fp16 : {false, true}) {
        const Prepared prepared(network_of(folder, fp16 ? 4 : 1), fp16);
        for (const int band : {1, 7, 64}) {
            check_rows<float>(prepared, 20, 34, band);
            check_rows<std::uint8_t>(prepared, 13, 34, band);
            check_rows<std::uint16_t>(prepared, 7, 22, band);
        }
    }
}

TEST_CASE("copied planes have the bits of those that kernels write to the host") {
    const TemporaryFolder folder;
    const Prepared prepared(compact_network(5, 16, 3).save(folder.file("compact")), false);
    for (const YuvFormat& format : yuv_picture::formats()) {
        const YuvPicture picture = yuv_picture::noise(format, 21, 34, 3);
        for (const int band : {3, 64}) {
            BandConfig config;
            config.width = picture.width;
            config.height = picture.height;
            config.band = band;
            config.format.input_planes =
                PlaneShape{PlaneFormat{format}, picture.width, picture.height};
            config.format.output_planes =
                PlaneShape{PlaneFormat{format}, picture.width * 2, picture.height * 2};
            const auto result_of = [&](std::uint64_t from) {
                YuvPicture result(format, picture.width * 2, picture.height * 2);
                StreamRecord record;
                run_plan(*prepared.backend, prepared.plan(config, from), picture.view(),
                         result.writable(), nullptr, record);
                return result;
            };
            CHECK(result_of(1).bytes == result_of(0).bytes);
        }
    }
}

TEST_CASE("the memory of copied results is planned, and small results are not copied") {
    const TemporaryFolder folder;
    const Prepared prepared(network_of(folder, 1), false);
    CHECK_EQUAL(prepared.backend->storage().copy_results_from, 1U);
    BandConfig config;
    config.width = 200;
    config.height = 90;
    config.band = 16;
    config.format = {SampleType::f32, SampleType::f32};
    const auto direct = prepared.plan(config, 0);
    const auto copied = prepared.plan(config, direct->output_bytes());
    CHECK(copied->copies_results() && !copied->same_as(*direct));
    CHECK(!prepared.plan(config, direct->output_bytes() + 1)->copies_results());
    const auto bands = static_cast<std::uint64_t>(prepared.backend->storage().bands_in_flight);
    CHECK_EQUAL(copied->memory().total(),
                direct->memory().total() + bands * direct->output_bytes());
    for (const auto& plan : {direct, copied}) {
        const auto planned = static_cast<double>(plan->memory().total() - plan->memory().weights);
        const auto session = prepared.backend->start(plan);
        CHECK_NEAR(static_cast<double>(session->allocated_bytes()), planned, 0.1 * planned);
    }
}

TEST_CASE("a failed allocation or creation gives a smaller plan or one error") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Upscaler upscaler = open(network_of(folder, 4), on_gpu());
    const auto picture = noise<float>(20, 15, 9);
    const auto right = run<float>(upscaler, picture);
    for (Fault* fault : {&faults().allocation, &faults().creation}) {
        int failed = 0;
        for (int n = 1; n < 1000; n += 2, ++failed) {
            forget_session(upscaler);
            fault->arm(n);
            try {
                CHECK(run<float>(upscaler, picture).samples == right.samples);
            } catch (const OutOfMemoryError& error) {
                CHECK(std::string(error.what()).find("memory") != std::string::npos);
            }
            if (fault->armed()) break;
        }
        fault->disarm();
        CHECK(failed > 5);
        CHECK(run<float>(upscaler, picture).samples == right.samples);
    }
}

TEST_CASE("a device that is lost at any submission or wait is an error, and a new one works") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Files files = network_of(folder, 5);
    const Options options = on_gpu(false, 4);
    const auto picture = noise<float>(20, 40, 9);
    const auto right = run<float>(open(files, options), picture);
    for (Fault* fault : {&faults().submission, &faults().wait}) {
        for (const int n : {1, 2, 3, 4, 7}) {
            const Upscaler upscaler = open(files, options);
            const ncnn::VulkanDevice* before = &gpu_device(0);
            run<float>(upscaler, picture);  // the first one uploads the weights
            fault->arm(n);
            CHECK_THROWS(DeviceError, (std::vector<std::string>{"lost", "new Upscaler"}),
                         run<float>(upscaler, picture));
            CHECK(&gpu_device(0) != before);
            CHECK(run<float>(open(files, options), picture).samples == right.samples);
        }
    }
}

TEST_CASE("a run can be cancelled, and its device may hang") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Files files = network_of(folder, 5);
    const Options options = on_gpu(false, 4);
    const auto picture = noise<float>(20, 40, 9);
    const auto right = run<float>(open(files, options), picture);
    for (const bool hangs : {false, true}) {
        const Upscaler upscaler = open(files, options);
        int told = 0;
        const auto stop_later = [&](double fraction) {
            if (fraction == 0.0) return;
            if (hangs) faults().hang.arm(1, true);
            if (++told == 5) throw Cancelled("enough");
        };
        CHECK_THROWS(Cancelled, std::vector<std::string>{"enough"},
                     run<float>(upscaler, picture, stop_later));
        faults().hang.disarm();
        if (!hangs) CHECK(run<float>(upscaler, picture).samples == right.samples);
        CHECK(run<float>(open(files, options), picture).samples == right.samples);
    }
}

TEST_CASE("samples that are no numbers are counted once, whatever was copied before") {
    const TemporaryFolder folder;
    const Upscaler upscaler = open(network_of(folder, 1), on_gpu(false, 6));
    const auto picture = noise<float>(14, 40, 9);
    const auto right = run<float>(upscaler, picture);
    for (const std::size_t at : {std::size_t{0}, picture.samples.size() - 1}) {
        auto other = picture;
        other.samples[at] = std::numeric_limits<float>::quiet_NaN();
        CHECK_THROWS(ImageError, (std::vector<std::string>{"picture has values", "0..1"}),
                     run<float>(upscaler, other));
        CHECK(run<float>(upscaler, picture).samples == right.samples);
    }
}

TEST_CASE("several threads share one network") {
    const TemporaryFolder folder;
    const Upscaler upscaler = open(network_of(folder, 6), on_gpu(false, 5));
    const auto picture = noise<float>(17, 30, 2);
    const auto right = run<float>(upscaler, picture);
    std::vector<Picture<float>> results(4, picture);
    std::vector<std::thread> threads;
    for (Picture<float>& result : results) {
        threads.emplace_back([&] { result = run<float>(upscaler, picture); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Picture<float>& result : results) CHECK(result.samples == right.samples);
}

TEST_CASE("downloads are timed beside the dispatches, if their queue has timestamps") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Upscaler upscaler = open(network_of(folder, 1), on_gpu());
    if (vulkan::Context::open(0)->timestamp_bits(vulkan::QueueKind::transfer) == 0) {
        throw check::Skip("no timestamps are emulated");
    }
    const auto picture = noise<float>(13, 38, 1);
    const auto right = run<float>(upscaler, picture);
    Picture<float> result(right.width, right.height);
    const auto downloads_of = [](const RunProfile& profile) {
        std::vector<ProfiledInterval> found;
        std::copy_if(profile.intervals.begin(), profile.intervals.end(), std::back_inserter(found),
                     [](const auto& one) { return one.work == ProfiledWork::download; });
        return found;
    };
    const RunProfile profile = upscaler.profile(picture.source(), result.target(), 6);
    CHECK(result.samples == right.samples && !profile.untimed_downloads);
    std::set<int> bands;
    double bytes = 0.0, end = 0.0;
    for (const ProfiledInterval& one : downloads_of(profile)) {
        CHECK(bands.insert(one.band).second);
        CHECK(one.begin >= end && one.end > one.begin && one.kernel == "copy");
        CHECK(one.end <= profile.seconds * 1.01 + 1e-3);
        for (const ProfiledInterval& other : profile.intervals) {
            if (other.band == one.band && other.work == ProfiledWork::store) {
                CHECK(one.begin >= other.end);
            }
        }
        end = one.end;
        bytes += one.bytes;
    }
    CHECK(bands.size() > 3);
    const auto samples = static_cast<double>(result.samples.size() * sizeof(float));
    // With a header of 16 bytes each, in whole groups of 16.
    CHECK(bytes >= samples && bytes <= samples + 32.0 * static_cast<double>(bands.size()));
    faults().no_copy_timestamps = true;
    const RunProfile untimed = upscaler.profile(picture.source(), result.target(), 6);
    CHECK(result.samples == right.samples && untimed.untimed_downloads);
    CHECK(downloads_of(untimed).empty() && !untimed.intervals.empty());
}

int main() {
    emulate_limits("own_memory=1 transfer_queue=1");
    // Tests do not use the user's cache.
    const TemporaryFolder cache;
    cache.keep_caches();
    return check::run_all();
}
