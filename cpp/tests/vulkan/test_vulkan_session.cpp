// Whole networks through the Vulkan backend: the reference's picture, the same bits for every
// band, failures, and several threads.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <limits>
#include <thread>

#include "base/fault_injection.hpp"
#include "base/integers.hpp"
#include "image/image_view.hpp"
#include "model/graph.hpp"
#include "program/reference.hpp"
#include "program/residual_precision.hpp"
#include "realesrgan/errors.hpp"
#include "realesrgan/upscaler.hpp"
#include "stream/backend.hpp"
#include "support/check.hpp"
#include "support/disarm_at_end.hpp"
#include "support/random_network.hpp"
#include "support/random_program.hpp"
#include "support/sample_picture.hpp"
#include "support/temporary_folder.hpp"
#include "support/vulkan_runs.hpp"
#include "vulkan/device/command_buffer.hpp"
#include "vulkan/device/context.hpp"

using namespace realesrgan;
using sample_picture::difference;
using sample_picture::noise;
using sample_picture::Picture;
using vulkan_runs::Files;
using vulkan_runs::on_cpu;
using vulkan_runs::on_gpu;
using vulkan_runs::open;
using vulkan_runs::run;

namespace {

Picture<float> reference_picture(const Files& files, const Picture<float>& picture) {
    const FuseResult fused = fuse(read_graph(files.first), files.second);
    const Program& program = fused.network->program;
    const int border = program.border;
    FeatureMap input(round_up(picture.width + 2 * border, program.alignment),
                     round_up(picture.height + 2 * border, program.alignment), 3);
    for (int y = 0; y < input.height; ++y) {
        for (int x = 0; x < input.width; ++x) {
            const auto at = mirrored(y - border, picture.height) * picture.width +
                            mirrored(x - border, picture.width);
            std::copy_n(&picture.samples[static_cast<std::size_t>(at * 3)], 3, input.pixel(x, y));
        }
    }
    const FeatureMap result = compute_reference(*fused.network, input);
    const int scale = program.scale();
    Picture<float> clamped(picture.width * scale, picture.height * scale);
    auto sample = clamped.samples.begin();
    for (int y = 0; y < clamped.height; ++y) {
        for (int x = 0; x < clamped.width; ++x) {
            const double* from = result.pixel(x + border * scale, y + border * scale);
            for (int c = 0; c < 3; ++c)
                *sample++ = static_cast<float>(std::clamp(from[c], 0.0, 1.0));
        }
    }
    return clamped;
}

// The session kept for the next run of the same plan: with it gone, a run allocates anew.
void forget_session(const Upscaler& upscaler) {
    run<float>(upscaler, noise<float>(2, 2, 1));
}

// Calls until the fault no longer strikes; each call gives the right picture or one error.
void survive(const Upscaler& upscaler, const Picture<float>& picture, realesrgan::Fault& fault,
             int stride, int least) {
    const auto right = run<float>(upscaler, picture);
    int struck = 0;
    for (int n = 1; n < 1000; n += stride, ++struck) {
        forget_session(upscaler);
        fault.arm(n);
        try {
            CHECK(run<float>(upscaler, picture).samples == right.samples);  // after a smaller plan
        } catch (const OutOfMemoryError& error) {
            CHECK(std::string(error.what()).find("memory") != std::string::npos);
        }
        if (fault.armed()) break;
    }
    fault.disarm();
    CHECK(struck >= least);
    CHECK(run<float>(upscaler, picture).samples == right.samples);
}

// Random networks of a case: most of its time is the driver's compiler, which takes minutes of the
// cooperative matrices of a second driver (tools/second-driver).
const unsigned kRandom =
    check::kSanitized || std::getenv("REALESRGAN_VK_SECOND_DRIVER") != nullptr ? 3 : 9;

}  // namespace

TEST_CASE("random networks give the reference's picture, and the same bits for every band") {
    const TemporaryFolder folder;
    double worst = 0.0;
    for (unsigned seed = 0; seed < kRandom + 4; ++seed) {
        const Files files = (seed == kRandom       ? random_mosr(4)
                             : seed == kRandom + 1 ? random_plksr(5)
                             : seed > kRandom + 1  ? random_unet(seed - kRandom - 1)
                             : seed % 3 == 2       ? random_span(seed)
                                                   : random_network(seed))
                                .save(folder.file("net"));
        const auto picture = noise<float>(2 + static_cast<int>(seed * 5 % 23) / 2 * 2,
                                          2 + static_cast<int>(seed * 7 % 19) / 2 * 2, seed);
        const auto right = reference_picture(files, picture);
        const auto whole = run<float>(open(files, on_gpu()), picture);
        const double error = difference(whole, right);
        worst = std::max(worst, error);
        if (error > 5e-5)
            check::fail(__FILE__, __LINE__,
                        "seed " + std::to_string(seed) + " is off by " + std::to_string(error));
        for (const int band : {1, 7, 16}) {
            CHECK(run<float>(open(files, on_gpu(false, band)), picture).samples == whole.samples);
        }
        const auto half = run<float>(open(files, on_gpu(true)), picture);
        CHECK(difference(half, right) < 4e-3);
        CHECK(run<float>(open(files, on_gpu(true, 3)), picture).samples == half.samples);
    }
    std::cout << "    fp32 against the reference: " << worst << '\n';
}

TEST_CASE("random programs give the reference's result, and the same bits for every band") {
    static_cast<void>(on_gpu());
    double worst = 0.0;
    for (unsigned seed = 0; seed < kRandom; ++seed) {
        FusedNetwork network = random_program::random_program(seed);
        keep_skips_apart(network.program);
        const FeatureMap picture = random_program::random_picture(network.program, seed, 12);
        const FeatureMap expected = compute_reference(network, picture);
        for (const bool fp16 : {false, true}) {
            const auto backend = make_vulkan_backend(network, 0, fp16, 2);
            const auto result = [&](int band) {
                return random_program::run_stream(*backend, network.program, picture,
                                                  backend->storage(), band);
            };
            const auto whole = result(16);
            CHECK_EQUAL(whole.record.not_finite, 0U);
            const double error = random_program::difference(whole.samples, expected);
            if (!(error <= (fp16 ? 4e-3 : 5e-5))) {
                check::fail(__FILE__, __LINE__,
                            "seed " + std::to_string(seed) + (fp16 ? " in fp16" : "") +
                                " is off by " + std::to_string(error));
            }
            if (!fp16) worst = std::max(worst, error);
            for (const int band : {1, 7}) CHECK(result(band).samples == whole.samples);
        }
    }
    std::cout << "    fp32 against the reference: " << worst << '\n';
}

TEST_CASE("integer samples are loaded and stored") {
    const TemporaryFolder folder;
    const Files files = random_network(1).save(folder.file("net"));
    const Upscaler gpu = open(files, on_gpu());
    const Upscaler processor = open(files, on_cpu());
    const auto bytes = noise<std::uint8_t>(13, 9, 1);
    const auto words = noise<std::uint16_t>(14, 5, 2);
    CHECK(difference(run<std::uint8_t>(gpu, bytes), run<std::uint8_t>(processor, bytes)) <= 1);
    CHECK(difference(run<std::uint16_t>(gpu, words), run<std::uint16_t>(processor, words)) <= 4);
    CHECK(difference(run<float>(gpu, words), run<float>(processor, words)) <= 5e-5);
    CHECK(difference(run<std::uint16_t>(gpu, bytes), run<std::uint16_t>(processor, bytes)) <= 4);
}

TEST_CASE("all orientations and column tiles agree with the CPU") {
    const TemporaryFolder folder;
    const Files files = random_network(3).save(folder.file("net"));
    const auto picture = noise<float>(21, 34, 3);
    Options all = on_cpu();
    all.tta = true;
    Options all_gpu = on_gpu();
    all_gpu.tta = true;
    CHECK(difference(run<float>(open(files, all_gpu), picture),
                     run<float>(open(files, all), picture)) < 5e-5);
}

TEST_CASE("a failed allocation gives a smaller plan or one error, and the next call works") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Files files = random_network(4).save(folder.file("net"));
    const auto picture = noise<float>(20, 15, 9);
    const Upscaler upscaler = open(files, on_gpu());
    const auto right = run<float>(upscaler, picture);
    realesrgan::Fault& fault = realesrgan::faults().allocation;
    int failed = 0;
    for (int n = 1; n < 1000; ++n) {
        forget_session(upscaler);
        fault.arm(n);
        CHECK(run<float>(upscaler, picture).samples == right.samples);  // after a smaller plan
        if (fault.armed()) break;  // a run makes fewer allocations than n
        failed++;
    }
    CHECK(failed > 5);
    for (int n = 1; n <= failed; n += 3) {
        forget_session(upscaler);
        fault.arm(n, true);
        CHECK_THROWS(OutOfMemoryError, (std::vector<std::string>{"memory"}),
                     run<float>(upscaler, picture));
        CHECK_THROWS(OutOfMemoryError, (std::vector<std::string>{"memory"}), open(files, on_gpu()));
        fault.disarm();
        CHECK(run<float>(upscaler, picture).samples == right.samples);
    }
}

TEST_CASE(
    "no memory for a buffer, a pool or a fence is survived, in all orientations and column tiles") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Files files = random_network(1).save(folder.file("net"));
    Options options = on_gpu();
    realesrgan::Faults& all = realesrgan::faults();
    survive(open(files, options), noise<float>(8, 6, 9), all.creation, 1, 10);
    int unopened = 0;
    for (int n = 1; n < 1000; ++n, ++unopened) {
        all.creation.arm(n);
        try {
            open(files, options);
        } catch (const OutOfMemoryError&) {
            continue;
        }
        break;
    }
    CHECK(unopened >= 4);
    all.creation.disarm();
    options.tta = true;
    survive(open(files, options), noise<float>(8, 6, 9), all.creation, 17, 3);
    survive(open(files, options), noise<float>(8, 6, 9), all.allocation, 11, 3);
    options.tta = false;
    options.band = 1;
    const RunShape size{220, 3, SampleType::f32, SampleType::f32};
    options.memory_limit = open(files, options).plan(size).memory_bytes.back().second - 1;
    CHECK(open(files, options).plan(size).column_tiles > 1);
    survive(open(files, options), noise<float>(220, 3, 9), all.creation, 9, 3);
    survive(open(files, options), noise<float>(220, 3, 9), all.allocation, 4, 3);
}

TEST_CASE("a lost device is an error, and a new Upscaler works") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Files files = random_network(5).save(folder.file("net"));
    const auto picture = noise<float>(20, 40, 9);
    Options options = on_gpu(false, 4);
    const auto right = run<float>(open(files, options), picture);
    realesrgan::Faults& all = realesrgan::faults();
    for (realesrgan::Fault* fault : {&all.submission, &all.wait}) {
        for (const int n : {1, 2, 4}) {
            const Upscaler upscaler = open(files, options);
            const ncnn::VulkanDevice* before = &gpu_device(0);
            fault->arm(n);
            CHECK_THROWS(DeviceError, (std::vector<std::string>{"lost", "new Upscaler"}),
                         run<float>(upscaler, picture));
            CHECK(&gpu_device(0) != before);
            CHECK(run<float>(open(files, options), picture).samples == right.samples);
        }
    }
}

TEST_CASE("an invalid result is attributed to the picture, the network or the device") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Files files = random_network(1).save(folder.file("net"));
    const auto picture = noise<float>(14, 40, 9);  // three bands, one of them with an error
    const auto with = [&](float value) {
        auto other = picture;
        other.samples[other.samples.size() / 2] = value;
        return other;
    };
    const ncnn::VulkanDevice* device = &gpu_device((on_gpu(), 0));
    const float infinite = std::numeric_limits<float>::infinity();
    for (const bool tta : {false, true}) {
        Options options = on_gpu(false, 16), half = on_gpu(true, 16);
        options.tta = half.tta = tta;
        const Upscaler upscaler = open(files, options);
        const auto right = run<float>(upscaler, picture);
        auto huge = picture;
        for (float& sample : huge.samples) sample *= 3e38F;
        CHECK_THROWS(ImageError, (std::vector<std::string>{"picture has values", "0..1"}),
                     run<float>(upscaler, huge));
        for (const float value : {infinite, -infinite, std::nanf("")}) {
            CHECK_THROWS(ImageError, (std::vector<std::string>{"picture has values", "0..1"}),
                         run<float>(upscaler, with(value)));
        }
        CHECK_THROWS(ImageError, (std::vector<std::string>{"16-bit storage", "fp32"}),
                     run<float>(open(files, half), with(1e7F)));
        for (const float value : {0.5F, 3.0F}) {
            for (const bool forever : {false, true}) {
                faults().result.arm(2, forever);
                CHECK_THROWS(DeviceError, (std::vector<std::string>{"device", "driver failed"}),
                             run<float>(upscaler, with(value)));
                faults().result.disarm();
            }
        }
        CHECK(run<float>(upscaler, picture).samples == right.samples);
    }
    NetworkWriter damaged(1);
    damaged.convolution(damaged.input(), 3, 3);
    const Files bad = damaged.save(folder.file("damaged"));
    std::fstream weights(bad.second, std::ios::binary | std::ios::in | std::ios::out);
    weights.seekp(40);
    weights.write("\xff\xff\xff\x7f", 4);  // a NaN
    weights.close();
    for (const int tile : {kTileAuto, 32}) {
        Options options = on_gpu();
        options.tile = tile;
        CHECK_THROWS(ModelError, (std::vector<std::string>{"CPU, too", "weights"}),
                     run<float>(open(bad, options), picture));
    }
    CHECK(&gpu_device(0) == device);
}

TEST_CASE("a submission stays in flight when waiting for it fails") {
    const GpuActivityGuard use;
    const DisarmAtEnd disarm;
    const auto context = vulkan::Context::open((on_gpu(), 0));
    const vulkan::Buffer buffer(context, vulkan::BufferKind::device, 1 << 20);
    vulkan::CommandBuffer commands(context);
    commands.begin();
    commands.fill_zero(buffer);
    commands.submit(vulkan::QueueLease(*context));
    faults().wait.arm(1);
    CHECK_THROWS(DeviceError, std::vector<std::string>{"lost"}, commands.wait());
    CHECK(commands.in_flight());
    commands.wait();
    CHECK(!commands.in_flight());
}

TEST_CASE("a run whose device hangs can be stopped, and a new Upscaler works") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Files files = random_network(5).save(folder.file("net"));
    const auto picture = noise<float>(20, 40, 9);
    const Options options = on_gpu(false, 4);
    const auto right = run<float>(open(files, options), picture);
    const Upscaler upscaler = open(files, options);
    const ncnn::VulkanDevice* before = &gpu_device(0);
    int told = 0;
    const auto stop_later = [&](double fraction) {
        if (fraction == 0.0) return;
        faults().hang.arm(1, true);
        if (++told == 10) throw Cancelled("enough");
    };
    CHECK_THROWS(Cancelled, std::vector<std::string>{"enough"},
                 run<float>(upscaler, picture, stop_later));
    CHECK_EQUAL(told, 10);  // more often than there are steps before the first wait
    faults().hang.disarm();
    CHECK(&gpu_device(0) != before);
    CHECK(run<float>(open(files, options), picture).samples == right.samples);
}

TEST_CASE("dispatches are split where the device takes fewer workgroups") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    for (unsigned seed = 0; seed < 2; ++seed) {
        const Files files = random_network(seed).save(folder.file("net"));
        const auto picture = noise<float>(150, 13, seed);
        const auto bytes = noise<std::uint8_t>(150, 13, seed);
        for (const bool half : {false, true}) {
            const auto right = run<float>(open(files, on_gpu(half)), picture);
            const auto right_bytes = run<std::uint8_t>(open(files, on_gpu(half)), bytes);
            for (const int most : {1, 7}) {
                faults().most_groups = most;
                const Upscaler limited = open(files, on_gpu(half));
                CHECK(run<float>(limited, picture).samples == right.samples);
                CHECK(run<std::uint8_t>(limited, bytes).samples == right_bytes.samples);
                faults().most_groups = 0;
            }
        }
    }
}

// 66,000 rows of a result in one band: more than the 65,535 workgroups that drivers take.
TEST_CASE("a band may have more rows than a dispatch has workgroups") {
    const TemporaryFolder folder;
    NetworkWriter writer(1);
    const std::string wide = writer.convolution(writer.input(), 3, 48);
    writer.layer("PixelShuffle", {wide}, "0=4");
    const Files files = writer.save(folder.file("net"));
    const auto picture = noise<std::uint8_t>(3, 16500, 4);
    const auto right = run<std::uint8_t>(open(files, on_gpu(false, 64)), picture);
    CHECK(run<std::uint8_t>(open(files, on_gpu(false, 16500)), picture).samples == right.samples);
}

TEST_CASE("eight threads share one network, and a callback may run another picture") {
    const TemporaryFolder folder;
    const Files files = random_network(6).save(folder.file("net"));
    const Upscaler upscaler = open(files, on_gpu(false, 5));
    const auto picture = noise<float>(17, 30, 2);
    const auto right = run<float>(upscaler, picture);
    std::vector<double> differences(8, 1.0);
    std::vector<std::thread> threads;
    for (double& most : differences) {
        threads.emplace_back([&] { most = difference(run<float>(upscaler, picture), right); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const double most : differences) CHECK_EQUAL(most, 0.0);
    Picture<float> result(right.width, right.height);
    bool nested = false;
    upscaler.run(picture.source(), result.target(), [&](double) {
        if (std::exchange(nested, true)) return;
        CHECK(run<float>(upscaler, picture).samples == right.samples);
    });
    CHECK(result.samples == right.samples);
}

int main() {
    // Tests do not use the user's cache.
    const TemporaryFolder cache;
    cache.keep_caches();
    return check::run_all();
}
