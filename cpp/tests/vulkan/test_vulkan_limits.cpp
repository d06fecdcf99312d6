// Networks and plans under the limits of smaller devices. ctest runs this once for each line of
// limit_sets.txt, and once without; tools/limit-sets runs all Vulkan tests so.

#include <algorithm>
#include <iostream>

#include "base/emulated_limits.hpp"
#include "base/fault_injection.hpp"
#include "model/graph.hpp"
#include "program/reference.hpp"
#include "realesrgan/errors.hpp"
#include "realesrgan/upscaler.hpp"
#include "stream/backend.hpp"
#include "support/check.hpp"
#include "support/random_network.hpp"
#include "support/sample_picture.hpp"
#include "support/temporary_folder.hpp"
#include "support/vulkan_runs.hpp"
#include "vulkan/device/context.hpp"
#include "vulkan/device/pipeline_registry.hpp"
#include "vulkan/kernel_store.hpp"
#include "vulkan/operations/convolution_kernels.hpp"

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

void check_networks(int width, int height, bool fp16) {
    const TemporaryFolder folder;
    for (unsigned seed = 0; seed < 4; ++seed) {
        const Files files = random_network(seed).save(folder.file("net"));
        const auto picture = noise<float>(width, height, seed);
        const auto right = run<float>(open(files, on_cpu()), picture);
        const auto whole = run<float>(open(files, on_gpu(fp16)), picture);
        CHECK_BELOW(difference(whole, right), fp16 ? 4e-3 : 5e-5);
        for (const int band : {1, 7}) {
            CHECK(run<float>(open(files, on_gpu(fp16, band)), picture).samples == whole.samples);
        }
        const auto bytes = noise<std::uint8_t>(width, height, seed);
        CHECK(difference(run<std::uint8_t>(open(files, on_gpu(fp16)), bytes),
                         run<std::uint8_t>(open(files, on_cpu()), bytes)) <= 1);
    }
}

Files shuffling(const TemporaryFolder& folder) {
    NetworkWriter writer(1);
    const std::string wide = writer.convolution(writer.input(), 3, 48);
    writer.layer("PixelShuffle", {wide}, "0=4");
    return writer.save(folder.file("net"));
}

}  // namespace

TEST_CASE("limits are read from a text, and other words are refused") {
    const EmulatedLimits limits = parse_limits("groups=7  binding=134217728 fp16=0");
    CHECK_EQUAL(limits.groups, 7U);
    CHECK_EQUAL(limits.binding, 134217728U);
    CHECK(limits.fp16 == 0U && !limits.matrices && limits.shared == 0);
    CHECK(!parse_limits("").own_memory);
    CHECK_EQUAL(lowered(std::uint32_t{9}, 0), 9U);
    CHECK_EQUAL(lowered(std::uint32_t{9}, 7), 7U);
    CHECK_EQUAL(lowered(std::uint32_t{9}, std::uint64_t{1} << 40U), 9U);
    for (const char* text : {"groups", "groups=", "groups=-1", "groups=1e3", "groups=0x7", "heap=1",
                             "groups=7,fp16=0", "groups=1000000000000000000000", "fp16=2"}) {
        CHECK_THROWS(DeviceError, (std::vector<std::string>{"REALESRGAN_VK_LIMITS"}),
                     parse_limits(text));
    }
    CHECK(parse_limits("half_products=3").half_products == 3U);
    CHECK_THROWS(DeviceError,
                 (std::vector<std::string>{"'half_products=2'", "half_products=0 or 1 or 3"}),
                 parse_limits("half_products=2"));
}

TEST_CASE("networks give the CPU's picture, and the same bits for every band") {
    for (const bool fp16 : {false, true}) check_networks(22, 14, fp16);
}

TEST_CASE("tall and wide pictures are run") {
    const TemporaryFolder folder;
    const Files files = shuffling(folder);
    for (const auto& [width, height] : {std::pair{3, 16500}, std::pair{16500, 3}}) {
        const auto picture = noise<std::uint8_t>(width, height, 4);
        const auto right = run<std::uint8_t>(open(files, on_cpu()), picture);
        for (const bool fp16 : {false, true}) {
            // A band of the whole height, unless its ring buffers are larger than a binding.
            const int band = emulated_limits().binding > 0 ? 0 : 16500;
            const auto found = run<std::uint8_t>(open(files, on_gpu(fp16, band)), picture);
            CHECK(difference(found, right) <= 1);
        }
    }
}

TEST_CASE("the device has these limits, and kernels fit them") {
    static_cast<void>(on_gpu());
    const EmulatedLimits& emulated = emulated_limits();
    const auto context = vulkan::Context::open(0);
    const VkPhysicalDeviceLimits& limits = context->limits();
    const auto most = [](std::uint64_t limit) { return limit == 0 ? UINT64_MAX : limit; };
    for (int axis = 0; axis < 3; ++axis) {
        CHECK(static_cast<std::uint64_t>(context->most_groups(axis)) <= most(emulated.groups));
    }
    CHECK(context->max_buffer_bytes() <= most(emulated.binding));
    CHECK(context->free_bytes() <= most(emulated.memory));
    CHECK(limits.minStorageBufferOffsetAlignment >= emulated.alignment);
    for (const vulkan::Storage storage : {vulkan::Storage::fp32, vulkan::Storage::fp16}) {
        for (const vulkan::KernelConfig& choice : vulkan::kernel_configs(*context, storage)) {
            if (choice.kernel != vulkan::KernelKind::matrix) continue;
            CHECK(emulated.matrices != 0U);
            const auto tiling =
                vulkan::matrix_tiling(choice, 64, 16, limits.maxComputeSharedMemorySize);
            CHECK(vulkan::shared_bytes(choice.shape, tiling) <= limits.maxComputeSharedMemorySize);
        }
    }
    for (const DeviceInfo& device : list_devices()) {
        CHECK(!device.fp16_storage || emulated.fp16 != 0U);
        CHECK(!device.cooperative_matrix || emulated.matrices != 0U);
    }
}

TEST_CASE("a device that rounds sums in fp16 too often gets other kernels, without a note") {
    static_cast<void>(on_gpu());
    const auto context = vulkan::Context::open(0);
    const auto first = vulkan::kernel_configs(*context, vulkan::Storage::fp16).front();
    if (first.half_products == 0) throw check::Skip("no kernel with sums in fp16 comes first");
    const ncnn::GpuInfo& info = context->ncnn_device().info;
    vulkan::remove_kernel_record(info, vulkan::Storage::fp16);
    vulkan::KernelStore store;
    faults().rounding.arm(1);
    const vulkan::KernelSet set = store.get(context, vulkan::Storage::fp16);
    CHECK(!faults().rounding.armed());
    CHECK_EQUAL(set.narrow.half_products, 0);
    CHECK_EQUAL(set.wide.half_products, 0);
    CHECK_EQUAL(set.wide.shape.m, first.shape.m);
    CHECK(set.notes.empty());
    CHECK(store.take_notices().empty());
    const auto record = vulkan::read_kernel_record(info, vulkan::Storage::fp16);
    CHECK(record && record->wide == set.wide.text());
    vulkan::remove_kernel_record(info, vulkan::Storage::fp16);
}

TEST_CASE("a large picture's plan keeps to one binding and to the memory that is counted") {
    const TemporaryFolder folder;
    RrdbConfig config;
    config.enlarge = {2, 2};
    NetworkBuilder builder(3);
    builder.rrdbnet(config);
    const Files files = builder.save(folder.file("rrdbnet"));
    static_cast<void>(on_gpu());
    const EmulatedLimits& emulated = emulated_limits();
    const FuseResult fused = fuse(read_graph(files.first), files.second);
    const auto backend = make_vulkan_backend(*fused.network, 0, true, 2);
    const StorageModel& storage = backend->storage();
    if (emulated.own_memory) CHECK_EQUAL(storage.own_memory, *emulated.own_memory == 1);
    if (emulated.binding > 0) CHECK(storage.max_binding_bytes <= emulated.binding);
    if (emulated.memory > 0) CHECK(backend->default_budget() <= emulated.memory);
    Options options = on_gpu(true);
    const PlanReport plan = open(files, options).plan(16384, 1000);
    CHECK(plan.memory_bytes.back().second <= backend->default_budget() + storage.weight_bytes);
    CHECK(emulated.memory == 0 || plan.column_tiles > 1);
    std::cout << "    16384x1000: " << plan.column_tiles << " column tiles, bands of "
              << plan.band_rows << " rows, " << (plan.memory_bytes.back().second >> 20U)
              << " MiB\n";
}

TEST_CASE("a run is timed with as few bits as the device has, or refused") {
    const TemporaryFolder folder;
    const Files files = random_network(1).save(folder.file("net"));
    const Upscaler upscaler = open(files, on_gpu());
    const auto picture = noise<float>(9, 12, 1);
    const auto right = run<float>(upscaler, picture);
    Picture<float> result(right.width, right.height);
    if (emulated_limits().timestamp_bits == 0U) {
        CHECK_THROWS(DeviceError, (std::vector<std::string>{"no timestamps"}),
                     upscaler.profile(picture.source(), result.target(), 4));
        return;
    }
    const RunProfile profile = upscaler.profile(picture.source(), result.target(), 4);
    CHECK(result.samples == right.samples);
    for (const ProfiledInterval& one : profile.intervals) {
        CHECK(one.begin >= 0.0 && one.end >= one.begin && one.end <= profile.seconds * 1.01 + 1e-3);
    }
}

int main() {
    // Tests do not use the user's cache.
    const TemporaryFolder cache;
    cache.keep_caches();
    return check::run_all();
}
