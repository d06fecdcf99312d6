// The result stored by the network's last operation: the samples that a command behind it stores,
// and the reference's.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <random>

#include "base/fault_injection.hpp"
#include "image/array_rows.hpp"
#include "image/image_view.hpp"
#include "plan/fused_store.hpp"
#include "program/reference.hpp"
#include "stream/executor.hpp"
#include "support/temporary_folder.hpp"
#include "support/vulkan_cases.hpp"
#include "support/vulkan_fixture.hpp"
#include "vulkan/session_pool.hpp"
#include "vulkan/vulkan_backend.hpp"

using namespace realesrgan;
namespace vk = realesrgan::vulkan;

namespace {

struct Last {
    OpKind kind = OpKind::convolution;
    int channels = 3;
};

// A convolution to features, and a last operation with every part of an epilogue that it can have.
FusedNetwork network_of(const Last& last) {
    const bool shuffle = last.kind == OpKind::pixel_shuffle;
    const int features = shuffle ? 4 * last.channels : 20;
    Program program;
    program.picture_channels = 3;
    program.tensors = {{3, 1}, {features, 1}, {last.channels, 2}};
    program.input = {0, 0, 3};
    program.output = {2, 0, last.channels};
    program.ops.push_back(fixture::convolution_op({0, 0, 3}, {1, 0, features}));
    Op op = fixture::convolution_op({1, 0, features}, program.output,
                                    last.channels == 2 ? Activation::prelu : Activation::none);
    if (shuffle) {
        op = Op{};
        op.kind = OpKind::pixel_shuffle;
        op.input = {1, 0, features};
        op.output = program.output;
        op.factor = 2;
        op.phase = last.channels % 2;
    } else {
        op.convolution = 1;
        op.upsample = 2;
        if (last.channels == 4) op.gate = 0.5F;
    }
    if (last.channels == 3) op.skips = {{program.input, 0.5F, 1.0F, 2, 0.125F}};
    program.ops.push_back(op);
    std::vector<ConvolutionWeights> weights;
    for (const Op& each : program.ops) {
        if (each.convolution < 0) continue;
        fixture::Case test;
        test.op = each;
        weights.push_back(fixture::random_layer(test, vk::Storage::fp32));
        program.convolutions.push_back(fixture::shape_of(each));
    }
    return {program, [weights](int convolution, bool) { return weights[idx(convolution)]; }};
}

struct Result {
    std::vector<std::byte> bytes;
    std::uint64_t not_finite = 0;
};

Result run(const Backend& backend, const Program& program, const FeatureMap& picture,
           SessionFormat format, int band, bool fused) {
    StorageModel storage = backend.storage();
    CHECK(storage.fused_store);
    storage.fused_store = fused;
    BandConfig request;
    request.width = picture.width;
    request.height = picture.height;
    request.band = band;
    request.format = std::move(format);
    request.format.input = SampleType::f32;
    const auto plan = std::make_shared<const ExecutionPlan>(program, request, storage);
    CHECK_EQUAL(plan->fused_store(), fused);
    const std::vector<float> samples(picture.values.begin(), picture.values.end());
    const int width = picture.width * program.scale(), height = picture.height * program.scale();
    const SampleType type = request.format.output;
    Result result;
    result.bytes.resize(product(width, height, program.output.channels, sample_size(type)));
    ArraySource source(packed_view(reinterpret_cast<const std::byte*>(samples.data()),
                                   SampleType::f32, picture.width, picture.height,
                                   picture.channels));
    ArraySink sink(packed_view(result.bytes.data(), type, width, height, program.output.channels));
    StreamRecord record;
    run_plan(backend, plan, source, 0, sink, nullptr, record);
    result.not_finite = record.not_finite;
    return result;
}

float sample_at(const Result& result, SampleType type, std::size_t index) {
    return visit_sample_type(type, [&](auto zero) {
        std::memcpy(&zero, result.bytes.data() + index * sizeof(zero), sizeof(zero));
        const bool integer = std::is_integral_v<decltype(zero)>;
        return static_cast<float>(zero) /
               (integer ? static_cast<float>(std::numeric_limits<decltype(zero)>::max()) : 1.0F);
    });
}

// The largest difference from the reference.
double difference(const Result& result, const SessionFormat& format, const FeatureMap& expected) {
    double most = 0.0;
    for (std::size_t i = 0; i < expected.values.size(); ++i) {
        const double v = expected.values[i];
        const double right = format.clamp ? std::clamp(v, 0.0, 1.0) : v;
        most = std::max(most, std::abs(double{sample_at(result, format.output, i)} - right));
    }
    return most;
}

// Half a step of rounding, and the error of the values.
double tolerance(const SessionFormat& format, vk::Storage storage) {
    const double step = format.output == SampleType::u8    ? 1 / 255.0
                        : format.output == SampleType::u16 ? 1 / 65535.0
                                                           : 0.0;
    return step / 2 + (storage == vk::Storage::fp16 ? 4e-3 : 1e-5);
}

struct Kernels {
    vk::Storage storage = vk::Storage::fp32;
    vk::KernelConfig choice;
};

// A kernel of each kind that stores results.
std::vector<Kernels> kernels() {
    std::vector<Kernels> all{{vk::Storage::fp32, vk::KernelKind::plain}};
    const auto choices = vk::kernel_configs(*fixture::context(), vk::Storage::fp16);
    all.push_back({vk::Storage::fp16, vk::KernelKind::plain});
    for (const vk::KernelConfig& choice : choices) {
        if (choice.kernel != vk::KernelKind::matrix) continue;
        all.push_back({vk::Storage::fp16, choice});
        break;  // drivers take long to compile these
    }
    return all;
}

std::unique_ptr<Backend> backend_of(const FusedNetwork& network, const Kernels& kernels) {
    return vk::make_vulkan_backend(network, 0, kernels.storage, vk::alone(kernels.choice));
}

const std::vector<SessionFormat>& formats() {
    static const std::vector<SessionFormat> all = {{SampleType::f32, SampleType::u8, true},
                                                   {SampleType::f32, SampleType::u16, true},
                                                   {SampleType::f32, SampleType::f32, true},
                                                   {SampleType::f32, SampleType::f32, false}};
    return all;
}

FeatureMap noise(int width, int height, int channels, unsigned seed) {
    FeatureMap picture(width, height, channels);
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-0.5F, 1.5F);
    for (double& value : picture.values) value = uniform(random);
    return picture;
}

}  // namespace

TEST_CASE("the last operation stores the samples that a command behind it stores") {
    std::mt19937 random(3);
    const auto pick = [&](int low, int high) {
        return std::uniform_int_distribution<int>(low, high)(random);
    };
    const std::vector<Kernels> used = kernels();
    // Drivers take long to compile: the types of samples take turns, and so do the kernels.
    std::size_t turn = 0;
    for (const OpKind kind : {OpKind::convolution, OpKind::pixel_shuffle}) {
        for (int channels = 1; channels <= 4; ++channels, ++turn) {
            const FusedNetwork network = network_of({kind, channels});
            CHECK(can_fuse_store(network.program, {}));
            for (std::size_t k = 0; k < used.size(); ++k) {
                if (k > 0 && channels % 2 == 0) continue;
                const auto backend = backend_of(network, used[k]);
                const SessionFormat& format = formats()[(turn + turn / 4 + k) % formats().size()];
                for (int round = 0; round < 4; ++round) {
                    // The second is wider than a workgroup.
                    const int width = round == 0 ? pick(1, 4) : pick(round == 1 ? 65 : 1, 70);
                    const FeatureMap picture =
                        noise(width, pick(1, 20), 3, static_cast<unsigned>(round));
                    const int band = pick(1, 16);
                    const auto result = [&](bool fused) {
                        return run(*backend, network.program, picture, format, band, fused);
                    };
                    const Result stored = result(true);
                    CHECK(stored.bytes == result(false).bytes);
                    CHECK_EQUAL(stored.not_finite, 0U);
                    CHECK_BELOW(difference(stored, format, compute_reference(network, picture)),
                                tolerance(format, used[k].storage));
                }
            }
        }
    }
}

TEST_CASE("samples that are not finite are counted, each once") {
    for (const OpKind kind : {OpKind::convolution, OpKind::pixel_shuffle}) {
        const FusedNetwork network = network_of({kind, 3});
        for (const Kernels& used : kernels()) {
            const auto backend = backend_of(network, used);
            FeatureMap picture = noise(67, 9, 3, 5);
            picture.pixel(2, 3)[1] = std::numeric_limits<double>::quiet_NaN();
            picture.pixel(66, 8)[0] = std::numeric_limits<double>::infinity();
            const auto result = [&](const SessionFormat& format, bool fused) {
                return run(*backend, network.program, picture, format, 4, fused);
            };
            const SessionFormat values{SampleType::f32, SampleType::f32, false};
            const Result floats = result(values, true);
            std::uint64_t bad = 0;
            for (std::size_t i = 0; i < floats.bytes.size() / sizeof(float); ++i) {
                bad += std::isfinite(sample_at(floats, SampleType::f32, i)) ? 0 : 1;
            }
            CHECK(bad > 0);
            CHECK_EQUAL(floats.not_finite, bad);
            for (const bool fused : {false, true}) {
                const Result bytes = result({SampleType::f32, SampleType::u8, true}, fused);
                CHECK_EQUAL(bytes.not_finite, bad);
            }
        }
    }
}

TEST_CASE("the same bits where dispatches are split") {
    struct Reset {
        ~Reset() { faults().most_groups = 0; }
    } reset;
    for (const OpKind kind : {OpKind::convolution, OpKind::pixel_shuffle}) {
        const FusedNetwork network = network_of({kind, 3});
        for (const Kernels& used : kernels()) {
            const FeatureMap picture = noise(150, 7, 3, 8);
            const auto stored = [&] {
                const auto backend = backend_of(network, used);
                return run(*backend, network.program, picture,
                           {SampleType::f32, SampleType::u8, true}, 7, true)
                    .bytes;
            };
            const auto right = stored();
            for (const int most : {1, 2}) {
                faults().most_groups = most;
                CHECK(stored() == right);
                faults().most_groups = 0;
            }
        }
    }
}

TEST_CASE("one dispatch and the result's ring less, and what is recorded is what the plan says") {
    for (const OpKind kind : {OpKind::convolution, OpKind::pixel_shuffle}) {
        const FusedNetwork network = network_of({kind, 3});
        const auto backend = backend_of(network, kernels().back());
        vk::Recorded counted[2];
        std::uint64_t bytes[2] = {}, allocated[2] = {};
        for (const bool fused : {false, true}) {
            StorageModel storage = backend->storage();
            storage.fused_store = fused;
            const auto plan = std::make_shared<const ExecutionPlan>(
                network.program, BandConfig{33, 400, 16}, storage);
            const auto session = backend->start(plan);
            counted[fused] = dynamic_cast<vk::VulkanSession&>(*session).count(plan->step(5));
            const BandTraffic traffic = plan->traffic();
            CHECK_EQUAL(counted[fused].dispatches, traffic.dispatches);
            const double planned = traffic.bytes_per_input_pixel * 33 * 16;
            CHECK_NEAR(static_cast<double>(counted[fused].ring_bytes), planned, 0.02 * planned);
            bytes[fused] = plan->memory().total() - plan->memory().weights;
            allocated[fused] = session->allocated_bytes();
        }
        CHECK_EQUAL(counted[0].dispatches, counted[1].dispatches + 1);
        // Written and read: four channels of 16 rows.
        CHECK_EQUAL(counted[0].ring_bytes - counted[1].ring_bytes, 2U * 66 * 32 * 4 * 4);
        CHECK(bytes[0] >= bytes[1] + std::uint64_t{66 * 32 * 16 * 4});
        CHECK(allocated[0] >= allocated[1] + std::uint64_t{66 * 32 * 16 * 4});
    }
}

TEST_CASE("the store is not fused where the result is read, shared, wide, or planes") {
    const Program good = network_of({OpKind::convolution, 3}).program;
    CHECK(can_fuse_store(good, {}));
    const auto changed = [&](const auto& change) {
        Program program = good;
        change(program);
        return can_fuse_store(program, {});
    };
    CHECK(!changed([](Program& p) { p.ops.clear(); }));
    CHECK(!changed([](Program& p) { p.ops.back().kind = OpKind::resize; }));
    CHECK(!changed([](Program& p) { p.ops.back().duplicate_output = ChannelSlice{1, 0, 3}; }));
    CHECK(!changed([](Program& p) { p.output.channels = 2; }));
    CHECK(!changed([](Program& p) { p.output.channels = p.ops[1].output.channels = 5; }));
    CHECK(!changed([](Program& p) { p.ops[0].input = p.output; }));
    CHECK(!changed([](Program& p) { p.ops[0].skips = {{p.output}}; }));
    CHECK(!changed([](Program& p) { p.ops[0].duplicate_output = ChannelSlice{2, 16, 20}; }));
    SessionFormat planes;
    planes.output_planes = PlaneShape{};
    CHECK(!can_fuse_store(good, planes));
}

int main() {
    // Tests do not use the user's cache.
    const TemporaryFolder cache;
    cache.keep_caches();
    return check::run_all();
}
