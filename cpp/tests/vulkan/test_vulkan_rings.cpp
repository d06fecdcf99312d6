// Rings on the device in every form a plan can give them: of their own, taking turns in
// shared buffers, larger than a binding, and in column tiles of the picture; and what all of that
// takes against what the plan says.

#include <algorithm>
#include <iostream>
#include <limits>

#include "image/array_rows.hpp"
#include "model/graph.hpp"
#include "plan/planner.hpp"
#include "program/fuse.hpp"
#include "program/residual_precision.hpp"
#include "realesrgan/errors.hpp"
#include "realesrgan/upscaler.hpp"
#include "stream/backend.hpp"
#include "stream/executor.hpp"
#include "support/check.hpp"
#include "support/random_network.hpp"
#include "support/sample_picture.hpp"
#include "support/temporary_folder.hpp"
#include "vulkan/instance/instance.hpp"
#include "vulkan/session_pool.hpp"
#include "vulkan/tuning/timer.hpp"

using namespace realesrgan;
using sample_picture::difference;
using sample_picture::noise;
using sample_picture::Picture;

namespace {

using Files = std::pair<std::string, std::string>;

constexpr std::uint64_t kNever = ~std::uint64_t{0};

struct Prepared {
    FusedNetwork network;
    std::unique_ptr<Backend> backend;

    Prepared(const Files& files, bool fp16)
        : network(*fuse(read_graph(files.first), files.second).network) {
        if (gpu_count() == 0) throw check::Skip("no Vulkan device on this machine");
        if (fp16) keep_skips_apart(network.program);
        backend = make_vulkan_backend(network, 0, fp16, 2);
    }
};

Files rrdbnet(const TemporaryFolder& folder, const RrdbConfig& config) {
    NetworkBuilder builder(3);
    builder.rrdbnet(config);
    return builder.save(folder.file("rrdbnet"));
}

RrdbConfig slender() {
    RrdbConfig config;
    config.width = 16;
    config.growth = 16;
    config.blocks = 3;
    config.depth = 2;
    config.enlarge = {2};
    return config;
}

Files compact(const TemporaryFolder& folder) {
    return compact_network(5, 16, 6).save(folder.file("compact"));
}

Picture<float> run(const Prepared& prepared, const StorageModel& storage,
                   const Picture<float>& picture, int band) {
    StreamRecord record;
    BandConfig request;
    request.width = picture.width;
    request.height = picture.height;
    request.band = band;
    request.format = {SampleType::f32, SampleType::f32};
    const auto plan =
        std::make_shared<const ExecutionPlan>(prepared.network.program, request, storage);
    const int scale = prepared.network.program.scale();
    Picture<float> result(picture.width * scale, picture.height * scale);
    ArraySource source(picture.source());
    ArraySink sink(result.target());
    run_plan(*prepared.backend, plan, source, 0, sink, nullptr, record);
    return result;
}

void check_allocated(const ExecutionPlan& plan, const Session& session) {
    const auto planned = static_cast<double>(plan.memory().total() - plan.memory().weights);
    CHECK_NEAR(static_cast<double>(session.allocated_bytes()), planned, 0.1 * planned);
}

std::uint64_t total_bytes(const PlanReport& plan) {
    return plan.memory_bytes.back().second;
}

template <typename Sample>
Picture<Sample> run(const Upscaler& upscaler, const Picture<Sample>& picture) {
    const int scale = upscaler.network().scale;
    Picture<Sample> result(picture.width * scale, picture.height * scale);
    upscaler.run(picture.source(), result.target());
    return result;
}

}  // namespace

TEST_CASE("shared buffers and rings seen in parts change no bit") {
    const TemporaryFolder folder;
    for (const Files& files : {rrdbnet(folder, slender()), compact(folder)}) {
        for (const bool fp16 : {false, true}) {
            const Prepared prepared(files, fp16);
            const auto picture = noise<float>(9, 40, 4);
            StorageModel storage = prepared.backend->storage();
            storage.share_above = kNever;
            const auto right = run(prepared, storage, picture, 16);
            storage.share_above = 0;
            storage.share_from_band = 1;
            for (const int band : {1, 7, 16}) {
                CHECK(run(prepared, storage, picture, band).samples == right.samples);
            }
            storage.max_binding_bytes =
                9 * 16 * 4 * 11;  // eleven rows of a narrow full-precision tensor
            for (const int band : {3, 16}) {
                CHECK(run(prepared, storage, picture, band).samples == right.samples);
            }
        }
    }
}

TEST_CASE(
    "x4plus: what is recorded is what the plan says, and shared buffers are a third of rings") {
    const TemporaryFolder folder;
    RrdbConfig x4plus;
    x4plus.blocks = 23;
    x4plus.enlarge = {2, 2};
    const Prepared prepared(rrdbnet(folder, x4plus), true);
    const Program& program = prepared.network.program;
    std::cout << "    x4plus in fp16 on 512 columns, MiB and KB a pixel:\n";
    const int largest = realesrgan::vulkan::kBandPixels / 512;
    for (const int band : {1, 16, largest}) {
        std::uint64_t bytes[2] = {};
        for (const bool share : {false, true}) {
            StorageModel storage = prepared.backend->storage();
            storage.share_above = share ? 0 : kNever;
            storage.share_from_band = 1;
            BandConfig request{16, 2000, band};
            const auto plan = std::make_shared<const ExecutionPlan>(program, request, storage);
            const realesrgan::BandTraffic traffic = plan->traffic();
            const auto session = prepared.backend->start(plan);
            auto& real = dynamic_cast<realesrgan::vulkan::VulkanSession&>(*session);
            const Step step = plan->step(plan->steps() / 2);
            realesrgan::vulkan::Recorded counted;
            double recording = std::numeric_limits<double>::infinity();
            for (int i = 0; i < 10; i++) {
                recording = std::min(
                    recording, realesrgan::vulkan::seconds_of([&] { counted = real.count(step); }));
            }
            CHECK_EQUAL(counted.dispatches, traffic.dispatches);
            const bool pairs = !plan->pairs().empty();
            CHECK_EQUAL(pairs, storage.pair_outputs > 0 && band >= storage.pair_from_band);
            CHECK(counted.dispatches <= (pairs ? 300 : 400));
            CHECK((counted.copies > 0) == share);
            const double planned = traffic.bytes_per_input_pixel * request.width * band;
            CHECK_NEAR(static_cast<double>(counted.ring_bytes), planned, 0.02 * planned);
            check_allocated(*plan, *session);
            request.width = 512;
            const ExecutionPlan wide(program, request, storage);
            bytes[share] = wide.memory().total() - wide.memory().weights;
            std::cout << "    band " << band << (share ? ", shared buffers: " : ", own rings: ")
                      << (bytes[share] >> 20U) << ", " << traffic.bytes_per_input_pixel / 1000
                      << ", " << counted.dispatches << " dispatches, " << counted.copies
                      << " copies, recorded in " << recording * 1e3 << " ms\n";
            if (band == largest) {
                CHECK(traffic.bytes_per_input_pixel <= (pairs ? 140e3 : 160e3));
            }
        }
        if (band == largest) CHECK(bytes[1] * 3 <= bytes[0]);
    }
}

TEST_CASE("what is allocated is what is planned, for all storages, samples and column tiles") {
    const TemporaryFolder folder;
    for (const Files& files : {rrdbnet(folder, slender()), compact(folder)}) {
        for (const bool fp16 : {false, true}) {
            const Prepared prepared(files, fp16);
            PlanConstraints wanted;
            wanted.shape = {300, 200};
            wanted.receptive_field = 20;
            const StorageModel& storage = prepared.backend->storage();
            wanted.budget = smallest_plan_bytes(prepared.network.program, storage, wanted);
            wanted.budget += (wanted.budget - storage.weight_bytes) / 4;
            for (const bool sums : {false, true}) {
                for (const std::uint64_t budget : {wanted.budget, kNever}) {
                    wanted.sums = sums;
                    PlanConstraints request = wanted;
                    request.budget = sums ? kNever : budget;
                    const auto chosen = choose_plan(prepared.network.program, storage, request);
                    CHECK((chosen->column_tiles.tiles.size() > 1) == (request.budget != kNever));
                    check_allocated(chosen->widest_plan(),
                                    *prepared.backend->start(chosen->plans[chosen->widest]));
                }
            }
        }
    }
}

TEST_CASE("column tiles give the whole picture's bits where the halo is the receptive field") {
    const TemporaryFolder folder;
    const Files files = compact(folder);
    if (gpu_count() == 0) throw check::Skip("no Vulkan device on this machine");
    const auto picture = noise<float>(260, 20, 5);
    const RunShape size{picture.width, picture.height, SampleType::f32, SampleType::f32};
    for (const bool fp16 : {false, true}) {
        Options options;
        options.device = 0;
        options.fp16 = fp16;
        options.band = 2;
        const Upscaler whole(files.first, files.second, options);
        options.memory_limit = total_bytes(whole.plan(size)) - 1;
        const Upscaler column_tiles(files.first, files.second, options);
        const PlanReport cut = column_tiles.plan(size);
        CHECK(cut.column_tiles > 1);
        CHECK_EQUAL(cut.halo, 64);
        CHECK(cut.reason.find("memory") != std::string::npos);
        const double most = difference(run(column_tiles, picture), run(whole, picture));
        CHECK(most < 1e-6);
        const auto bytes = noise<std::uint8_t>(260, 20, 6);
        CHECK(difference(run(column_tiles, bytes), run(whole, bytes)) <= 1);
    }
}

TEST_CASE("column tiles of 64 pixels of halo are at most three steps off where more is seen") {
    const TemporaryFolder folder;
    RrdbConfig deep = slender();
    deep.blocks = 5;
    deep.depth = 4;
    deep.enlarge = {};
    const Files files = rrdbnet(folder, deep);
    if (gpu_count() == 0) throw check::Skip("no Vulkan device on this machine");
    Options options;
    options.device = 0;
    options.band = 4;
    const Upscaler whole(files.first, files.second, options);
    CHECK(whole.network().receptive_field > 64);
    const auto picture = noise<std::uint8_t>(230, 10, 5);
    PlanReport cut;
    for (std::uint64_t part = 90; cut.halo != 64; part -= 2) {
        CHECK(part > 50);
        options.memory_limit = total_bytes(whole.plan(230, 10)) * part / 100;
        cut = Upscaler(files.first, files.second, options).plan(230, 10);
    }
    CHECK(cut.column_tiles > 1);
    const Upscaler column_tiles(files.first, files.second, options);
    CHECK(difference(run(column_tiles, picture), run(whole, picture)) <= 3);
}

int main() {
    // Tests do not use the user's cache.
    const TemporaryFolder cache;
    cache.keep_caches();
    return check::run_all();
}
