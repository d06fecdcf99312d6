// Planes of YUV converted on the device, against the same network on the same device with the
// conversions of the host.

#include <iostream>
#include <limits>

#include "base/fault_injection.hpp"
#include "model/graph.hpp"
#include "plan/planner.hpp"
#include "program/fuse.hpp"
#include "program/residual_precision.hpp"
#include "realesrgan/errors.hpp"
#include "stream/backend.hpp"
#include "stream/executor.hpp"
#include "support/check.hpp"
#include "support/disarm_at_end.hpp"
#include "support/random_network.hpp"
#include "support/temporary_folder.hpp"
#include "support/tiny_network.hpp"
#include "support/vulkan_runs.hpp"
#include "support/yuv_picture.hpp"

using namespace realesrgan;
using vulkan_runs::Files;
using vulkan_runs::on_gpu;
using vulkan_runs::open;
using yuv_picture::Difference;
using yuv_picture::YuvPicture;

namespace {

YuvPicture result_of(const Upscaler& upscaler, const YuvPicture& picture, const YuvFormat& format) {
    const int scale = upscaler.network().scale;
    return {format, picture.width * scale, picture.height * scale};
}

YuvPicture run(const Upscaler& upscaler, const YuvPicture& picture, const YuvFormat& format) {
    YuvPicture result = result_of(upscaler, picture, format);
    upscaler.run(picture.view(), result.writable());
    return result;
}

YuvPicture run(const Upscaler& upscaler, const YuvPicture& picture) {
    return run(upscaler, picture, picture.format);
}

// Through rows of floats.
YuvPicture run_by_rows(const Upscaler& upscaler, const YuvPicture& picture,
                       const YuvFormat& format) {
    YuvPicture result = result_of(upscaler, picture, format);
    YuvSource source(picture.view());
    YuvSink sink(result.writable());
    upscaler.run(source, sink, SampleType::f32);
    return result;
}

RunShape frame_shape(const YuvPicture& picture) {
    return {picture.width,
            picture.height,
            SampleType::f32,
            SampleType::f32,
            PlaneFormat{picture.format},
            PlaneFormat{picture.format}};
}

std::uint64_t memory_of(const PlanReport& plan, const std::string& kind) {
    for (const auto& [name, bytes] : plan.memory_bytes) {
        if (name == kind) return bytes;
    }
    throw check::Failure("no memory called " + kind);
}

Files compact(const TemporaryFolder& folder, int factor = 2) {
    return compact_network(5, 16, 3, factor).save(folder.file("compact"));
}

Files unshuffled(const TemporaryFolder& folder, int unshuffle) {
    NetworkBuilder builder(6);
    RrdbConfig config;
    config.width = 16;
    config.growth = 8;
    config.blocks = 1;
    config.inner = 1;
    config.depth = 1;
    config.unshuffle = unshuffle;
    config.enlarge = {2, 2};
    builder.rrdbnet(config);
    return builder.save(folder.file("unshuffled"));
}

}  // namespace

TEST_CASE("a frame is within one step of the conversions of the host, with every format") {
    const TemporaryFolder folder;
    int samples = 0, differing = 0;
    for (const int unshuffle : {1, 2, 4}) {
        const Files files = unshuffle == 1 ? compact(folder) : unshuffled(folder, unshuffle);
        const std::vector<YuvFormat> formats = yuv_picture::formats();
        for (int i = 0; i < ssize(formats); ++i) {
            const YuvFormat& format = formats[idx(i)];
            for (const auto& [width, height] :
                 {std::pair(37, 23), std::pair(1, 1), std::pair(5, 2), std::pair(18, 40)}) {
                const YuvPicture picture = yuv_picture::noise(format, width, height, 3);
                const Upscaler upscaler = open(files, on_gpu(i % 2 == 1));
                // The target's format is the source's, or the next.
                for (const YuvFormat& target : {format, formats[idx((i + 1) % ssize(formats))]}) {
                    const Difference found = yuv_picture::difference(
                        run(upscaler, picture, target), run_by_rows(upscaler, picture, target));
                    CHECK(found.most <= 1);
                    samples += found.samples;
                    differing += found.differing;
                }
            }
        }
    }
    std::cout << "    " << differing << " of " << samples << " samples differ by a step\n";
    CHECK(differing * 1000LL < samples);
}

TEST_CASE("a frame has the same bits for every band, and in split dispatches") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    for (const int unshuffle : {1, 4}) {
        const Files files = unshuffle == 1 ? compact(folder) : unshuffled(folder, unshuffle);
        for (const YuvFormat& format : yuv_picture::formats()) {
            const YuvPicture picture = yuv_picture::noise(format, 43, 29, 4);
            const YuvPicture whole = run(open(files, on_gpu()), picture);
            for (const int band : {1, 2, 5, 16}) {
                CHECK(run(open(files, on_gpu(false, band)), picture).bytes == whole.bytes);
            }
            faults().most_groups = 3;
            CHECK(run(open(files, on_gpu(false, 7)), picture).bytes == whole.bytes);
            faults().most_groups = 0;
        }
    }
}

TEST_CASE("random networks give the picture of the host's conversions, in every band") {
    const TemporaryFolder folder;
    const std::vector<YuvFormat> formats = yuv_picture::formats();
    for (unsigned seed = 0; seed < 12; ++seed) {
        const Files files =
            (seed < 10 ? random_network(seed) : random_span(seed)).save(folder.file("net"));
        const YuvFormat& format = formats[seed % formats.size()];
        const YuvFormat& target = formats[(3 * seed + 2) % formats.size()];
        const YuvPicture picture = yuv_picture::noise(format, 21, 26, seed);
        const Upscaler upscaler = open(files, on_gpu());
        const YuvPicture whole = run(upscaler, picture, target);
        CHECK(yuv_picture::difference(whole, run_by_rows(upscaler, picture, target)).most <= 1);
        for (const int band : {1, 3, 7}) {
            CHECK(run(open(files, on_gpu(false, band)), picture, target).bytes == whole.bytes);
        }
    }
}

TEST_CASE("grey frames, and planes of any stride, are taken and given") {
    const TemporaryFolder folder;
    const Upscaler upscaler = open(compact(folder), on_gpu());
    const YuvPicture picture = yuv_picture::noise({}, 30, 21, 5);
    YuvPicture grey(picture.format, 60, 42), expected(picture.format, 60, 42);
    YuvView source = picture.view();
    source.planes[1].data = source.planes[2].data = nullptr;
    MutableYuvView target = grey.writable(), rows_target = expected.writable();
    for (const bool grey_target : {false, true}) {
        if (grey_target) {
            for (MutableYuvView* view : {&target, &rows_target})
                view->planes[1].data = view->planes[2].data = nullptr;
        }
        upscaler.run(source, target);
        YuvSource rows(source);
        YuvSink sink(rows_target);
        upscaler.run(rows, sink, SampleType::f32);
        CHECK(yuv_picture::difference(grey, expected).most <= 1);
    }
    const YuvPicture whole = run(upscaler, picture);
    YuvPicture upside_down(picture.format, 60, 42);
    target = upside_down.writable();
    for (BasicPlane<std::byte>& plane : target.planes) {
        const int rows = &plane == target.planes.data() ? 42 : 21;
        plane.data += plane.row_stride * (rows - 1);
        plane.row_stride = -plane.row_stride;
    }
    upscaler.run(picture.view(), target);
    for (int y = 0; y < 42; ++y) {
        for (int x = 0; x < 60; ++x) CHECK_EQUAL(upside_down.at(0, x, y), whole.at(0, x, 41 - y));
    }
}

TEST_CASE("a frame of 4:2:0 takes 1.5 bytes a pixel each way, where rows of floats take 12") {
    const TemporaryFolder folder;
    const Files files = compact(folder);
    const YuvPicture picture = yuv_picture::noise({}, 64, 48, 6);
    const std::uint64_t pixels = 64 * 48;
    const FusedNetwork network = *fuse(read_graph(files.first), files.second).network;
    static_cast<void>(on_gpu());
    const auto backend = make_vulkan_backend(network, 0, false, 2);
    const auto plan_of = [&](const RunShape& shape, int band) {
        PlanConstraints constraints;
        constraints.shape = shape;
        constraints.band = band;
        constraints.budget = constraints.most = std::numeric_limits<std::uint64_t>::max();
        return choose_plan(network.program, backend->storage(), constraints)->plans.front();
    };
    const auto whole = plan_of(frame_shape(picture), 48);
    CHECK_EQUAL(whole->input_bytes(), pixels * 3 / 2);
    CHECK_EQUAL(whole->output_bytes(), 4 * pixels * 3 / 2);
    const RunShape floats{64, 48, SampleType::f32, SampleType::f32};
    CHECK_EQUAL(plan_of(floats, 48)->input_bytes(), pixels * 12);
    CHECK_EQUAL(plan_of(floats, 48)->output_bytes(), 4 * pixels * 12);
    // In bands chroma rows beside two bands go up twice; nothing comes down twice.
    const auto banded = plan_of(frame_shape(picture), 8);
    const SessionFormat& format = banded->config().format;
    std::uint64_t up = 0, down = 0, bands = 0;
    for (int i = 0; i < banded->steps(); ++i) {
        const Step step = banded->step(i);
        if (step.input.count > 0) {
            ++bands;
            const PlaneWindow window = window_to_load(*format.input_planes, step.input);
            CHECK(window.bytes <= banded->input_bytes());
            up += window.bytes;
        }
        const PlaneWindow window = window_to_store(*format.output_planes, step.output);
        CHECK(window.bytes <= banded->output_bytes());
        down += window.bytes;
    }
    CHECK(bands >= 6);
    CHECK_EQUAL(down, 4 * pixels * 3 / 2);
    CHECK(up <= pixels * 3 / 2 + bands * 2 * 64);
    // A session allocates what is planned, and its result is the frame's.
    for (const auto& plan : {whole, banded}) {
        YuvPicture result(picture.format, 128, 96);
        StreamRecord record;
        run_plan(*backend, plan, picture.view(), result.writable(), nullptr, record);
        const auto planned = static_cast<double>(plan->memory().total() - plan->memory().weights);
        CHECK_NEAR(static_cast<double>(record.allocated_bytes), planned, 0.1 * planned);
        CHECK(result.bytes == run(open(files, on_gpu()), picture).bytes);
        CHECK(record.largest_result == 1.0F);
        CHECK_EQUAL(record.input_samples >= pixels, true);
    }
}

TEST_CASE("a plan of a frame has less staging memory than one of floats") {
    const TemporaryFolder folder;
    const Upscaler upscaler = open(compact(folder), on_gpu());
    const YuvPicture picture = yuv_picture::noise({}, 64, 48, 6);
    const std::uint64_t planes = memory_of(upscaler.plan(frame_shape(picture)), "staging");
    const std::uint64_t floats =
        memory_of(upscaler.plan(RunShape{64, 48, SampleType::f32, SampleType::f32}), "staging");
    CHECK(planes * 7 < floats);
}

TEST_CASE("column tiles, tiles and all orientations convert on the host") {
    const TemporaryFolder folder;
    const Files files = compact(folder);
    const YuvPicture picture = yuv_picture::noise({}, 220, 11, 7);
    Options tiles = on_gpu(), all = on_gpu(), columns = on_gpu(false, 1);
    tiles.tile = 32;
    all.tta = true;
    columns.memory_limit = memory_of(open(files, columns).plan(frame_shape(picture)), "total") - 1;
    CHECK(open(files, columns).plan(frame_shape(picture)).column_tiles > 1);
    for (const Options& options : {tiles, all, columns}) {
        const Upscaler upscaler = open(files, options);
        CHECK(run(upscaler, picture).bytes == run_by_rows(upscaler, picture, {}).bytes);
    }
}

TEST_CASE("a failed allocation gives a smaller plan, and the next frame works") {
    const TemporaryFolder folder;
    const Upscaler upscaler = open(compact(folder), on_gpu());
    const YuvPicture picture = yuv_picture::noise({}, 20, 15, 9);
    const YuvPicture other = yuv_picture::noise({}, 10, 15, 9);
    const YuvPicture right = run(upscaler, picture);
    int failed = 0;
    for (int n = 1; n < 1000; ++n, ++failed) {
        run(upscaler, other);  // so that the session of the frame is not kept
        faults().allocation.arm(n);
        CHECK(run(upscaler, picture).bytes == right.bytes);
        if (faults().allocation.armed()) break;
    }
    faults().allocation.disarm();
    CHECK(failed > 5);
}

TEST_CASE("an invalid result of a frame is attributed to the network or the device") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Upscaler upscaler = open(compact(folder), on_gpu(false, 4));
    const YuvPicture picture = yuv_picture::noise({}, 20, 40, 9);
    faults().result.arm(2);
    CHECK_THROWS(DeviceError, (std::vector<std::string>{"device", "driver failed"}),
                 run(upscaler, picture));
    faults().result.disarm();
    NetworkWriter writer(1);
    writer.convolution(writer.input(), 3, 3);
    const Files files = writer.save(folder.file("damaged"));
    std::fstream weights(files.second, std::ios::binary | std::ios::in | std::ios::out);
    weights.seekp(40);
    weights.write("\xff\xff\xff\x7f", 4);  // a NaN
    weights.close();
    CHECK_THROWS(ModelError, (std::vector<std::string>{"NaN", "weights"}),
                 run(open(files, on_gpu()), picture));
}

TEST_CASE("black of a frame that is not black is a ModelError, and of a dark one it is not") {
    const tiny::Folder folder;
    const tiny::Network network = tiny::filter(std::vector<float>(9, 0.0F));
    const Upscaler upscaler(folder.file("black.param", network.param),
                            folder.file("black.bin", network.bin), on_gpu());
    YuvPicture picture({}, 40, 30);
    const auto fill = [&](int luma) {
        for (const int plane : {0, 1, 2}) picture.fill(plane, plane == 0 ? luma : 128);
    };
    fill(16);
    const YuvPicture black = picture;
    for (const int luma : {0, 16, 18}) {
        fill(luma);
        CHECK(run(upscaler, picture).bytes == black.bytes);
    }
    fill(60);
    CHECK_THROWS(ModelError, std::vector<std::string>{"all black"}, run(upscaler, picture));
}

TEST_CASE("frames that do not fit are refused") {
    const TemporaryFolder folder;
    const Upscaler upscaler = open(compact(folder), on_gpu());
    const YuvPicture picture = yuv_picture::noise({}, 20, 16, 9);
    YuvPicture small(picture.format, 20, 16);
    CHECK_THROWS(std::invalid_argument, (std::vector<std::string>{"16 x 20", "32 x 40"}),
                 upscaler.run(picture.view(), small.writable()));
    YuvPicture target(picture.format, 40, 32);
    YuvView broken = picture.view();
    broken.planes[1].data = nullptr;
    CHECK_THROWS(std::invalid_argument, (std::vector<std::string>{"one plane or three"}),
                 upscaler.run(broken, target.writable()));
}

int main() {
    // Tests do not use the user's cache.
    const TemporaryFolder cache;
    cache.keep_caches();
    return check::run_all();
}
