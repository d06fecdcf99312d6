#include <algorithm>
#include <cmath>
#include <random>
#include <thread>

#include "array_rows.hpp"
#include "check.hpp"
#include "cpu/memory.hpp"
#include "fuse.hpp"
#include "graph.hpp"
#include "planner.hpp"
#include "random_network.hpp"
#include "realesrgan/errors.hpp"
#include "realesrgan/upscaler.hpp"
#include "stream.hpp"
#include "temporary_folder.hpp"

using namespace realesrgan;

namespace {

using Files = std::pair<std::string, std::string>;

struct Picture {
    int width;
    int height;
    std::vector<float> samples;

    Picture(int w, int h)
        : width(w),
          height(h),
          samples(static_cast<std::size_t>(w) * static_cast<std::size_t>(h) * 3) {}

    MutableImageView view() {
        constexpr auto kFloat = static_cast<std::ptrdiff_t>(sizeof(float));
        return {reinterpret_cast<std::byte*>(samples.data()),
                SampleType::f32,
                width,
                height,
                3,
                3 * kFloat * width,
                3 * kFloat,
                kFloat};
    }
    ImageView as_const() {
        const MutableImageView all = view();
        return {all.data,     all.type,       all.width,        all.height,
                all.channels, all.row_stride, all.pixel_stride, all.channel_stride};
    }
};

Picture noise(int width, int height, unsigned seed) {
    Picture picture(width, height);
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(0.0F, 1.0F);
    for (float& sample : picture.samples) sample = uniform(random);
    return picture;
}

float difference(const Picture& a, const Picture& b) {
    float most = 0.0F;
    for (std::size_t i = 0; i < a.samples.size(); ++i) {
        most = std::max(most, std::abs(a.samples[i] - b.samples[i]));
    }
    return most;
}

Options options(int band, int tile = kTileAuto, const std::string& backend = "") {
    Options made;
    made.backend = backend;
    made.band = band;
    made.tile = tile;
    made.threads = 2;
    return made;
}

Picture run(const Upscaler& upscaler, Picture& picture) {
    const int scale = upscaler.network().scale;
    Picture result(picture.width * scale, picture.height * scale);
    upscaler.run(picture.as_const(), result.view());
    return result;
}

Picture run(const Files& files, const Options& made, Picture& picture) {
    return run(Upscaler(files.first, files.second, made), picture);
}

// x4plus and animevideov3 in all but depth.
Files rrdbnet(const TemporaryFolder& folder) {
    NetworkBuilder builder(1);
    RrdbConfig config;
    config.enlarge = {2, 2};
    builder.rrdbnet(config);
    return builder.save(folder.file("rrdbnet"));
}

Files compact(const TemporaryFolder& folder) {
    NetworkBuilder builder(2);
    builder.compact(CompactConfig());
    return builder.save(folder.file("compact"));
}

struct DisarmAtEnd {
    ~DisarmAtEnd() { cpu::failing_allocation() = 0; }
};

}  // namespace

TEST_CASE("a fused network gives what ncnn gives layer by layer") {
    const TemporaryFolder folder;
    std::mt19937 random(11);
    const auto pick = [&](int low, int high) {
        return std::uniform_int_distribution<int>(low, high)(random);
    };
    for (unsigned seed = 0; seed < 40; ++seed) {
        const Files files = random_network(seed).save(folder.file("net"));
        Picture picture = noise(pick(1, 40), pick(1, 40), seed);
        const Picture whole = run(files, options(0, kTileWhole), picture);
        for (const std::string backend : {"", "ncnn"}) {
            const Upscaler stream(files.first, files.second,
                                  options(pick(1, 20), kTileAuto, backend));
            CHECK_EQUAL(stream.plan(picture.width, picture.height).path, "stream");
            const float most = difference(run(stream, picture), whole);
            if (most > 5e-5F) {
                throw check::Failure("seed " + std::to_string(seed) + " " + backend + ": off by " +
                                     std::to_string(most));
            }
        }
    }
}

TEST_CASE("all orientations give the mean that the tile path gives") {
    const TemporaryFolder folder;
    const Files files = random_network(3).save(folder.file("net"));
    Picture picture = noise(21, 34, 3);
    Options tiles = options(0, kTileWhole);
    Options stream = options(5);
    tiles.tta = stream.tta = true;
    CHECK(difference(run(files, stream, picture), run(files, tiles, picture)) < 5e-5F);
}

TEST_CASE("strips agree with the whole width where the halo is the receptive field") {
    const TemporaryFolder folder;
    const Files files = compact(folder);
    Picture picture = noise(700, 40, 5);
    const Upscaler whole(files.first, files.second, options(1));
    Options small = options(1);
    const auto bytes = [&](const Upscaler& upscaler) {
        return upscaler.plan(picture.width, picture.height).memory_bytes.back().second;
    };
    small.memory_limit = bytes(whole);  // a limit this tight makes the weights lean first
    small.memory_limit = bytes(Upscaler(files.first, files.second, small)) - 1;
    const Upscaler strips(files.first, files.second, small);
    const PlanReport cut = strips.plan(picture.width, picture.height);
    CHECK(cut.strips > 1);
    CHECK(cut.memory_bytes.back().second <= small.memory_limit);
    CHECK(difference(run(strips, picture), run(whole, picture)) < 5e-5F);
}

TEST_CASE("an impossible limit says how much is needed") {
    const TemporaryFolder folder;
    const Files files = compact(folder);
    Options tiny = options(0);
    tiny.memory_limit = 1 << 20;
    const Upscaler upscaler(files.first, files.second, tiny);
    CHECK_THROWS(OutOfMemoryError, (std::vector<std::string>{"300x200", "MiB", "limit"}),
                 upscaler.plan(300, 200));
}

TEST_CASE("what is allocated is what was planned") {
    const TemporaryFolder folder;
    for (const Files& files : {rrdbnet(folder), compact(folder)}) {
        const FuseResult fused = fuse(read_graph(files.first), files.second);
        for (const int run : {0, 1, 2, 3}) {
            const int width = run % 2 == 0 ? 37 : 300;
            CpuBackendOptions kernel;
            kernel.threads = 2;
            kernel.ncnn = run >= 2;
            const auto backend = make_cpu_backend(*fused.network, kernel);
            Picture picture = noise(width, 70, 1);
            PlanRequest request;
            request.width = width;
            request.height = picture.height;
            request.tail_band = backend->storage().tail_band;
            request.input_type = request.output_type = SampleType::f32;
            const Plan plan(fused.network->program, request, backend->storage());
            Picture result(width * 4, picture.height * 4);
            ArraySource source(picture.as_const());
            ArraySink sink(result.view());
            StreamRecord record;
            run_plan(*backend, plan, SessionFormat{SampleType::f32, SampleType::f32, true}, source,
                     0, sink, 0, nullptr, record);
            const auto planned = static_cast<double>(plan.memory().total() - plan.memory().weights);
            const auto real = static_cast<double>(record.allocated_bytes);
            if (std::abs(real - planned) > 0.1 * planned) {
                throw check::Failure("planned " + std::to_string(planned) + ", allocated " +
                                     std::to_string(real) + " at width " + std::to_string(width) +
                                     (kernel.ncnn ? " with ncnn's layers" : ""));
            }
        }
    }
}

TEST_CASE("a failed allocation gives a smaller plan or one error, and the next call works") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Files files = random_network(4).save(folder.file("net"));
    Picture picture = noise(40, 30, 9);
    const Upscaler free_band(files.first, files.second, options(0));
    const Upscaler fixed_band(files.first, files.second, options(7));
    const Picture right = run(free_band, picture);
    int smaller = 0;
    int errors = 0;
    for (int n = 1;; ++n) {
        for (const Upscaler* upscaler : {&free_band, &fixed_band}) {
            cpu::failing_allocation() = n;
            try {
                CHECK(difference(run(*upscaler, picture), right) < 5e-5F);
                ++smaller;
            } catch (const OutOfMemoryError&) {
                ++errors;
            }
        }
        if (cpu::failing_allocation() > 0) break;  // a run makes fewer allocations than n
        cpu::failing_allocation() = 0;
        CHECK(difference(run(free_band, picture), right) < 5e-5F);
    }
    CHECK(smaller > 10);
    CHECK(errors > 10);
}

TEST_CASE("eight threads share one network") {
    const TemporaryFolder folder;
    const Files files = random_network(5).save(folder.file("net"));
    Picture picture = noise(33, 50, 2);
    const Upscaler upscaler(files.first, files.second, options(0));
    const Picture right = run(upscaler, picture);
    std::vector<float> differences(8, 1.0F);
    std::vector<std::thread> threads;
    for (float& most : differences) {
        threads.emplace_back([&] {
            Picture copy = picture;
            most = difference(run(upscaler, copy), right);
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const float most : differences) CHECK_EQUAL(most, 0.0F);
}

TEST_CASE("what a callback throws comes out, and progress never goes back") {
    const TemporaryFolder folder;
    const Files files = compact(folder);
    Picture picture = noise(30, 90, 2);
    const Upscaler upscaler(files.first, files.second, options(4));
    Picture result(120, 360);
    double last = 0.0;
    upscaler.run(picture.as_const(), result.view(), [&](double share) {
        CHECK(share >= last && share <= 1.0);
        last = share;
    });
    CHECK_EQUAL(last, 1.0);
    CHECK_THROWS(Cancelled, std::vector<std::string>{"enough"},
                 upscaler.run(picture.as_const(), result.view(), [](double share) {
                     if (share > 0.3) throw Cancelled("enough");
                 }));
}

TEST_CASE("a result that is not a number is an error, and so is black from a picture") {
    const TemporaryFolder folder;
    NetworkWriter writer(1);
    const std::string data = writer.input();
    writer.layer("BinaryOp", {writer.convolution(data, 3, 3), data}, "0=0");
    const Files files = writer.save(folder.file("net"));
    Picture picture = noise(9, 9, 2);
    Picture result(9, 9);
    const Upscaler upscaler(files.first, files.second, options(0));
    picture.samples[40] = std::nanf("");
    CHECK_THROWS(DeviceError, std::vector<std::string>{"not numbers"},
                 upscaler.run(picture.as_const(), result.view()));
}

int main() {
    return check::run_all();
}
