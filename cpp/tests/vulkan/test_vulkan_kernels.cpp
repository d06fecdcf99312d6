// The choice of kernels: tested against the reference, timed, stored, dropped when wrong.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <set>

#include "base/fault_injection.hpp"
#include "realesrgan/errors.hpp"
#include "support/check.hpp"
#include "support/temporary_folder.hpp"
#include "support/vulkan_fixture.hpp"
#include "vulkan/cache/cache_file.hpp"
#include "vulkan/kernel_store.hpp"
#include "vulkan/operations/dense_pair.hpp"
#include "vulkan/self_test.hpp"
#include "vulkan/tuning/benchmark_block.hpp"

using namespace realesrgan;
namespace vk = realesrgan::vulkan;

namespace {

constexpr vk::Storage kStorages[] = {vk::Storage::fp32, vk::Storage::fp16};

std::string file_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

const ncnn::GpuInfo& info() {
    return fixture::context()->ncnn_device().info;
}

void forget() {
    for (const vk::Storage storage : kStorages) vk::remove_kernel_record(info(), storage);
}

// The kernels of a device with more than the reference, which emulated subgroups of 128 leave
// alone.
std::vector<vk::KernelConfig> several_kernels(const vk::Context& context, vk::Storage storage) {
    std::vector<vk::KernelConfig> choices = vk::kernel_configs(context, storage);
    if (choices.size() < 2) throw check::Skip("the device has one kernel");
    return choices;
}

}  // namespace

TEST_CASE("every kernel passes the test against the reference, with room to the limit") {
    const auto context = fixture::context();
    for (const vk::Storage storage : kStorages) {
        for (const auto& choice : vk::kernel_configs(*context, storage)) {
            const auto error = vk::self_test_error(0, storage, vk::alone(choice));
            std::cout << choice.text() << (storage == vk::Storage::fp16 ? " fp16: " : " fp32: ")
                      << error.largest << ", mean " << error.mean << "\n";
            CHECK(error.largest > 0.0);  // the two really are different programs
            CHECK_BELOW(error.largest, vk::self_test_limit(storage) / 4);
            CHECK(!vk::rounds_too_often(error, vk::alone(choice)));
        }
    }
}

TEST_CASE("kernels with sums in fp16 come after those without, and round more often") {
    const auto context = fixture::context();
    std::vector<vk::KernelConfig> matrices;
    for (const auto& choice : vk::kernel_configs(*context, vk::Storage::fp16)) {
        if (choice.kernel == vk::KernelKind::matrix) matrices.push_back(choice);
    }
    const auto first = std::find_if(matrices.begin(), matrices.end(),
                                    [](const auto& choice) { return choice.half_products > 0; });
    if (first == matrices.end()) throw check::Skip("the device lists no matrices with fp16 sums");
    CHECK_EQUAL(matrices.front().half_products, 0);
    const auto mean_of = [](int half_products, const std::vector<vk::KernelConfig>& choices) {
        for (const auto& choice : choices) {
            if (choice.half_products != half_products) continue;
            return vk::self_test_error(0, vk::Storage::fp16, vk::alone(choice)).mean;
        }
        throw std::logic_error("no kernel with such sums");
    };
    const double in_fp32 = mean_of(0, matrices), of_one = mean_of(1, matrices);
    CHECK_BELOW(in_fp32, of_one);
    CHECK_BELOW(of_one, mean_of(3, matrices));
    CHECK_BELOW(mean_of(3, matrices), vk::fp16_sums_limit());

    vk::KernelSet set = vk::alone(matrices.front());
    set.narrow = *first;
    realesrgan::faults().rounding.arm(2);  // not the set's test, but that of the narrow one alone
    const auto rejection = vk::rejection_of(*context, vk::Storage::fp16, set);
    CHECK(rejection && rejection->rounding);
    CHECK(!realesrgan::faults().rounding.armed());
    CHECK(!vk::rejection_of(*context, vk::Storage::fp16, set));
}

TEST_CASE("only kernels with sums in fp16 can round too often") {
    vk::KernelSet set = vk::alone(vk::KernelKind::matrix);
    const double mean = vk::fp16_sums_limit();
    CHECK(!vk::rounds_too_often({0.0, 2 * mean}, set));
    set.wide.half_products = 3;
    CHECK(vk::rounds_too_often({0.0, 2 * mean}, set));
    CHECK(!vk::rounds_too_often({0.0, mean}, set));
}

TEST_CASE("without unrolling, layers that differ in their channels only share one pipeline") {
    const vk::DenseBlock block(fixture::context(), vk::Storage::fp16, 32, 4);
    for (const bool rolled : {true, false}) {
        vk::KernelConfig choice(vk::KernelKind::blocked);
        choice.unroll = !rolled;
        std::set<const vk::Pipeline*> pipelines;
        for (const vk::Operation& layer : block.layers(vk::alone(choice), 0, 4)) {
            pipelines.insert(&layer.pipeline());
        }
        CHECK_EQUAL(pipelines.size(), std::size_t{rolled ? 1U : 4U});
    }
}

TEST_CASE("a choice is remembered; a record that is cut, foreign or damaged is ignored") {
    const auto context = fixture::context();
    for (const vk::Storage storage : kStorages) {
        forget();
        CHECK(!vk::read_kernel_record(info(), storage));
        vk::KernelRecord record{
            "plain", "blocked", true, 32, 1.25e-9, true, {"one note", "another"}};
        vk::write_kernel_record(info(), storage, record);
        const auto again = vk::read_kernel_record(info(), storage);
        CHECK(again.has_value());
        CHECK_EQUAL(again->narrow, "plain");
        CHECK_EQUAL(again->wide, "blocked");
        CHECK(again->pairs);
        CHECK_EQUAL(again->band_pixels, 32);
        CHECK_EQUAL(again->pixel_seconds, 1.25e-9);
        CHECK(again->tuned);
        CHECK(again->notes == record.notes);
        const auto choices = several_kernels(*context, storage);
        CHECK_EQUAL(vk::set_of(*again, choices)->wide.text(), "blocked");
        record.wide = "a kernel of another driver";
        CHECK(!vk::set_of(record, choices));

        const std::string path = vk::kernel_record_path(info(), storage);
        const std::string text = file_text(path);
        const std::string other_version = "realesrgan-vk 0.0.0" + text.substr(text.find('\n'));
        for (const std::string& bad : {text.substr(0, text.size() - 3), other_version,
                                       std::string(), std::string("\0\xff", 2)}) {
            std::ofstream(path, std::ios::binary) << bad;
            CHECK(!vk::read_kernel_record(info(), storage));
        }
    }
}

TEST_CASE("a kernel with wrong results is dropped, reported once and recorded") {
    const auto context = fixture::context();
    for (const vk::Storage storage : kStorages) {
        forget();
        const auto choices = several_kernels(*context, storage);
        vk::KernelStore store;
        realesrgan::faults().self_test.arm(1);
        const vk::KernelSet set = store.get(context, storage);
        CHECK(!realesrgan::faults().self_test.armed());
        CHECK_EQUAL(set.notes.size(), std::size_t{1});
        // A device that computes pairs is tried without them first, and passes.
        const bool pairs = vk::can_pair(*context, storage, choices[0]);
        CHECK(!set.pairs);
        CHECK((set.wide.text() == choices[0].text()) == pairs);
        const std::string dropped = pairs ? "in pairs" : "'" + choices[0].text() + "'";
        CHECK(set.notes[0].find(dropped) != std::string::npos);
        CHECK(set.notes[0].find(context->name()) != std::string::npos);
        CHECK(store.take_notices() == set.notes);
        CHECK(store.take_notices().empty());

        vk::KernelStore later;  // as in another process
        const vk::KernelSet read = later.get(context, storage);
        CHECK_EQUAL(read.wide.text(), set.wide.text());
        CHECK_EQUAL(read.pairs, set.pairs);
        CHECK(read.notes == set.notes);
        CHECK(later.take_notices().empty());
    }
    forget();
}

TEST_CASE("a device on which no kernel is right is an error, and nothing is recorded") {
    const auto context = fixture::context();
    forget();
    vk::KernelStore store;
    realesrgan::faults().self_test.arm(1, true);
    CHECK_THROWS(DeviceError, (std::vector<std::string>{context->name(), "all kernels"}),
                 store.get(context, vk::Storage::fp32));
    realesrgan::faults().self_test.disarm();
    CHECK(!vk::read_kernel_record(info(), vk::Storage::fp32));
    store.get(context, vk::Storage::fp32);  // and the next try is one
    forget();
}

TEST_CASE("the fastest of each kind is taken, and the lowest band as good as the best") {
    const vk::KernelConfig plain(vk::KernelKind::plain);
    const vk::KernelConfig blocked(vk::KernelKind::blocked);
    vk::Timings timings;
    timings.kernels = {{blocked, 2.0, 5.0}, {plain, 3.0, 4.0}};
    timings.bands = {{16, 3.0}, {32, 2.05}, {64, 2.0}, {128, 2.5}};
    const vk::KernelSet set = vk::fastest(timings, {blocked, plain});
    CHECK_EQUAL(set.narrow.text(), "blocked");
    CHECK_EQUAL(set.wide.text(), "plain");
    CHECK_EQUAL(set.band_pixels, 32);
    CHECK(set.tuned);
    CHECK_EQUAL(vk::fastest(timings, {plain}).narrow.text(), "plain");  // blocked was dropped
    CHECK(!set.pairs);                                                  // not timed
    timings.pair = {blocked, 1.0, 1.5};
    CHECK(vk::fastest(timings, {blocked, plain}).pairs);
    CHECK(!vk::fastest(timings, {plain}).pairs);  // that was another kernel
    timings.pair.together = 2.0;
    CHECK(!vk::fastest(timings, {blocked, plain}).pairs);
    vk::KernelConfig half_sums(vk::KernelKind::matrix);
    half_sums.half_products = 3;
    timings.kernels.push_back({half_sums, 1.95, 3.7});  // rounding for 2.5 % is no gain
    CHECK_EQUAL(vk::fastest(timings, {blocked, plain, half_sums}).narrow.text(), "blocked");
    CHECK_EQUAL(vk::fastest(timings, {blocked, plain, half_sums}).wide.half_products, 3);
    timings.kernels.pop_back();
    timings.bands.resize(1);  // the time was up
    timings.kernels[1].narrow = timings.kernels[1].wide = std::numeric_limits<double>::infinity();
    CHECK_EQUAL(vk::fastest(timings, {blocked, plain}).band_pixels, vk::kBandPixels);
    CHECK_EQUAL(vk::fastest(timings, {blocked, plain}).wide.text(), "blocked");
}

TEST_CASE("without any time the first kernel is timed, and a band") {
    const auto context = fixture::context();
    const vk::Storage storage = vk::Storage::fp16;
    const auto choices = several_kernels(*context, storage);
    const vk::Timings timings = vk::time_kernels(context, storage, choices, 1e-6);
    CHECK(timings.kernels[0].narrow < 1.0 && timings.kernels[0].wide < 1.0);
    CHECK(timings.kernels.back().wide == std::numeric_limits<double>::infinity());
    CHECK_EQUAL(timings.bands.size(), std::size_t{1});
}

TEST_CASE("kernels are timed by one layer of each kind, bands by the five layers of a block") {
    const auto context = fixture::context();
    const vk::Storage storage = vk::Storage::fp32;  // without pairs, which have a time of their own
    const auto all = several_kernels(*context, storage);
    const std::vector<vk::KernelConfig> choices{all.front(), all.back()};
    std::vector<std::vector<const vk::Pipeline*>> layers_timed, blocks_timed;
    double pixel = 1e-9;
    const auto measure = [&](const vk::DenseBlock& block, const std::vector<vk::Operation>& layers,
                             int rows, double seconds) {
        CHECK(rows >= 1 && rows <= block.rows() && seconds > 0.0);
        std::vector<const vk::Pipeline*> timed;
        for (const vk::Operation& layer : layers) {
            CHECK(layer.pipeline().compiled());
            timed.push_back(&layer.pipeline());
        }
        (timed.size() == 1 ? layers_timed : blocks_timed).push_back(timed);
        return pixel *= 0.999;  // the last configuration, and the highest band, are the fastest
    };
    const vk::Timings timings = vk::time_kernels(context, storage, choices, 1000.0, measure);
    CHECK(timings.kernels[1].narrow < timings.kernels[0].wide);
    CHECK(timings.kernels[1].wide < timings.kernels[1].narrow);
    CHECK(timings.bands.size() > 1 && timings.bands.size() == blocks_timed.size());
    CHECK(timings.bands[0].seconds < timings.kernels[1].wide);
    CHECK(layers_timed.size() > 4);  // the first layers only bring the device to its full clock
    const auto* narrow = layers_timed[layers_timed.size() - 2][0];
    const auto* wide = layers_timed.back()[0];
    CHECK(narrow != wide);
    for (const auto& timed : blocks_timed) {
        CHECK(timed == (std::vector<const vk::Pipeline*>{narrow, narrow, narrow, narrow, wide}));
    }
    CHECK_EQUAL(vk::fastest(timings, choices).wide.text(), choices[1].text());
}

TEST_CASE("tuning times what it can in its time, and its choice is stored") {
    const auto context = fixture::context();
    for (const vk::Storage storage : kStorages) {
        forget();
        vk::KernelStore store;
        vk::Timings timings;
        const vk::KernelSet set = store.tune(context, storage, 1.0, timings);
        const auto choices = vk::kernel_configs(*context, storage);
        CHECK_EQUAL(timings.kernels.size(), choices.size());
        CHECK(timings.kernels[0].narrow > 0.0 && timings.kernels[0].wide > 0.0);
        CHECK(timings.kernels[0].wide < 1.0);  // seconds a pixel
        CHECK(timings.bands.size() > 0);
        CHECK_EQUAL(std::isfinite(timings.pair.together),
                    vk::can_pair(*context, storage, timings.pair.choice));
        CHECK_EQUAL(set.pairs, timings.pair.together <= timings.pair.apart &&
                                   std::isfinite(timings.pair.together));
        const auto record = vk::read_kernel_record(info(), storage);
        CHECK(record && record->tuned);
        CHECK_EQUAL(record->wide, set.wide.text());
        CHECK_EQUAL(store.get(context, storage).narrow.text(), set.narrow.text());
    }
    forget();
}

int main() {
    // Tests do not use the user's cache.
    const TemporaryFolder cache;
    cache.keep_caches();
    return check::run_all();
}
