// Convolutions of dense blocks in pairs: the bits that they have one after the other, and the
// reference's result.

#include <algorithm>
#include <random>

#include "model/graph.hpp"
#include "plan/convolution_pairs.hpp"
#include "program/fuse.hpp"
#include "program/reference.hpp"
#include "program/residual_precision.hpp"
#include "support/random_network.hpp"
#include "support/random_program.hpp"
#include "support/temporary_folder.hpp"
#include "support/vulkan_cases.hpp"
#include "support/vulkan_fixture.hpp"
#include "vulkan/operations/dense_pair.hpp"
#include "vulkan/operations/operation.hpp"
#include "vulkan/self_test.hpp"
#include "vulkan/vulkan_backend.hpp"

using namespace realesrgan;
using fixture::TestRing;
namespace vk = realesrgan::vulkan;

namespace {

constexpr vk::Storage kStorage = vk::Storage::fp16;

vk::KernelConfig pair_kernel() {
    for (const auto& choice : vk::kernel_configs(*fixture::context(), kStorage)) {
        if (vk::can_pair(*fixture::context(), kStorage, choice)) return choice;
    }
    throw check::Skip("the device has no cooperative matrices, or too little shared memory");
}

// A source of `inputs` channels, from channel 16 of the tensor on, and two results behind it.
struct Case {
    int inputs = 16, outputs = 16;
    int width = 1, height = 1, band = 1;
    Activation first = Activation::leaky_relu, second = Activation::leaky_relu;

    int channels() const { return 16 + inputs + 2 * outputs; }
    fixture::Case layer(int index) const {
        const int read = inputs + index * outputs;
        fixture::Case layer;
        layer.op = fixture::convolution_op({0, 16, read}, {0, 16 + read, outputs},
                                           index == 0 ? first : second);
        layer.op.convolution = index;
        return layer;
    }
};

class Comparison {
  public:
    Comparison(const Case& test, const vk::KernelConfig& choice)
        : test_(test),
          context_(fixture::context()),
          weights_(context_, kStorage),
          source_(fixture::random_map(test.width, test.height, test.channels(), kStorage, 3)) {
        std::vector<ConvolutionWeights> numbers;
        for (const int i : {0, 1}) {
            layers_.push_back(weights_.place(fixture::shape_of(test.layer(i).op)));
            numbers.push_back(fixture::random_layer(test.layer(i), kStorage));
        }
        weights_.upload([&](std::size_t i) { return vk::LayerNumbers{numbers[i], 0.2F}; }, 1);
        compute_apart(choice);
        const int rows = std::min(test.height, test.band + 4);  // wraps
        ring_ = std::make_unique<TestRing>(context_, kStorage, test.width, test.height,
                                           test.channels(), rows);
        pair_ =
            std::make_unique<vk::DensePair>(*context_, choice, test.layer(0).op, test.layer(1).op,
                                            ring_->ring(), layers_[0], layers_[1], test.band);
        context_->pipelines().compile({&pair_->pipeline()}, 1);
    }

    void run() {
        for (int y = 0; y < test_.height; y += test_.band) {
            band({y, std::min(test_.band, test_.height - y)});
        }
    }

  private:
    // All rows at once, in a ring of their own.
    void compute_apart(const vk::KernelConfig& choice) {
        apart_ = std::make_unique<TestRing>(context_, kStorage, test_.width, test_.height,
                                            test_.channels(), test_.height);
        apart_->put(source_, {0, test_.height});
        apart_->upload();
        for (const int i : {0, 1}) {
            const vk::Operation layer(*context_, kStorage, choice, test_.layer(i).op,
                                      {apart_->ring()}, &layers_[idx(i)], test_.height);
            context_->pipelines().compile({&layer.pipeline()}, 1);
            submit([&](vk::CommandBuffer& commands) {
                layer.record(commands, weights_, {0, test_.height});
            });
        }
        apart_->download();
    }

    template <typename Record>
    void submit(const Record& record) {
        vk::CommandBuffer commands(context_);
        commands.begin();
        record(commands);
        commands.submit(vk::QueueLease(*context_));
        commands.wait();
    }

    // Rows that must not be read, and all results, hold NaN.
    void band(RowRange rows) {
        ring_->clear(
            std::vector<float>(ring_->values().size(), std::numeric_limits<float>::quiet_NaN()));
        const Row first = std::max<Row>(rows.first - 2, 0);
        ring_->put(source_, {first, std::min<Row>(rows.end() + 2, test_.height) - first});
        const int begin = 16 + test_.inputs;
        std::vector<float> expected = ring_->values();
        ring_->upload();
        submit([&](vk::CommandBuffer& commands) { pair_->record(commands, weights_, rows); });
        ring_->download();
        for (int y = static_cast<int>(rows.first); y < rows.end(); y++) {
            for (int x = 0; x < test_.width; x++) {
                for (int c = begin; c < test_.channels(); c++) {
                    expected[ring_->index(x, y, c)] = apart_->value(x, y, c);
                }
            }
        }
        const auto same = [](float a, float b) {
            return a == b || (std::isnan(a) && std::isnan(b));
        };
        CHECK(std::equal(expected.begin(), expected.end(), ring_->values().begin(), same));
    }

    Case test_;
    std::shared_ptr<vk::Context> context_;
    vk::Weights weights_;
    std::vector<vk::LayerWeights> layers_;
    FeatureMap source_;
    std::unique_ptr<TestRing> apart_, ring_;
    std::unique_ptr<vk::DensePair> pair_;
};

FusedNetwork dense_network(unsigned seed, const TemporaryFolder& folder) {
    RrdbConfig config;
    config.width = seed % 2 == 0 ? 48 : 64;
    config.growth = seed % 2 == 0 ? 16 : 32;
    config.blocks = 1;
    config.inner = 2;
    config.depth = 4 - static_cast<int>(seed % 2);  // of three the last is in no pair
    NetworkBuilder builder(seed);
    builder.rrdbnet(config);
    const auto [param, bin] = builder.save(folder.file("net"));
    FusedNetwork network = *fuse(read_graph(param), bin).network;
    keep_skips_apart(network.program);
    return network;
}

}  // namespace

TEST_CASE("a pair gives the bits of its convolutions one after the other, in every band") {
    const vk::KernelConfig choice = pair_kernel();
    for (const Case& test : {Case{16, 16, 1, 1, 1, Activation::none, Activation::leaky_relu},
                             Case{48, 32, 63, 13, 6, Activation::prelu, Activation::leaky_relu}}) {
        Comparison(test, choice).run();
    }
}

TEST_CASE(
    "dense networks give the reference's result, with pairs the bits that they have without") {
    const vk::KernelConfig choice = pair_kernel();
    const TemporaryFolder folder;
    for (unsigned seed = 0; seed < 2; ++seed) {
        const FusedNetwork network = dense_network(seed, folder);
        const FeatureMap picture = random_program::random_picture(network.program, seed + 3, 40);
        vk::KernelSet kernels = vk::alone(vk::kernel_configs(*fixture::context(), kStorage).back());
        kernels.narrow = choice;  // drivers take long to compile it
        kernels.pairs = true;
        const auto backend = make_vulkan_backend(network, 0, kStorage, kernels);
        StorageModel storage = backend->storage();
        CHECK(storage.pair_outputs > 0);
        const auto run = [&](int band, int pair_outputs) {
            storage.pair_outputs = pair_outputs;
            return random_program::run_stream(*backend, network.program, picture, storage, band)
                .samples;
        };
        const auto apart = run(16, 0);
        CHECK_BELOW(random_program::difference(apart, compute_reference(network, picture)), 4e-3);
        const std::vector<bool> pairs = find_pairs(network.program, vk::kMostPairOutputs);
        CHECK(std::count(pairs.begin(), pairs.end(), true) > 0);
        storage.pair_from_band = 1;
        storage.share_above = 0;
        for (const int band : {7, 16}) CHECK(run(band, vk::kMostPairOutputs) == apart);
    }
}

TEST_CASE("pairs pass the test of a device's first use, with room to the limit") {
    const vk::KernelConfig first = pair_kernel();
    for (const int half_products : {0, 3}) {  // drivers take long to compile a pair
        if (half_products > 0 && !first.shape.fp16_sums) continue;
        vk::KernelSet kernels = vk::alone(first);
        kernels.narrow.half_products = kernels.wide.half_products = half_products;
        const vk::SelfTestError apart = vk::self_test_error(0, kStorage, kernels);
        kernels.pairs = true;
        const vk::SelfTestError together = vk::self_test_error(0, kStorage, kernels);
        CHECK_EQUAL(together.largest, apart.largest);
        CHECK_EQUAL(together.mean, apart.mean);
        CHECK_BELOW(apart.largest, vk::self_test_limit(kStorage) / 4);
    }
}

TEST_CASE("a pair's workgroup fits the shared memory, or there is none") {
    int none = 0;
    for (const int edge : {8, 16}) {
        vk::KernelConfig choice(vk::KernelKind::matrix);
        choice.shape = {edge, edge, 8, 32};
        for (const int outputs : {16, 32}) {
            for (const int rows : {1, 2, 3, 16, 80}) {
                for (const std::uint64_t limit : {16384, 32768, 49152}) {
                    const int width = 1 + 7 * rows;
                    const auto tiling = vk::pair_tiling(choice, outputs, width, rows, limit, 1024);
                    if (tiling) {
                        CHECK(tiling->columns * edge <= 32);
                        CHECK(vk::shared_bytes(choice.shape, *tiling) <= limit);
                        CHECK(tiling->r_tiles <= std::max(1, (rows + 1) / 2));
                        CHECK_EQUAL(tiling->n_tiles * edge, outputs);
                    }
                    none += tiling ? 0 : 1;
                    CHECK(tiling || limit < 49152);
                }
            }
        }
        CHECK(!vk::pair_tiling(choice, 32, 30, 80, 49152, 64));
    }
    CHECK(none > 0);
    CHECK(!vk::pair_tiling(vk::KernelKind::blocked, 32, 30, 80, 49152, 1024));
}

int main() {
    // Tests do not use the user's cache.
    const TemporaryFolder cache;
    cache.keep_caches();
    return check::run_all();
}
