// Every operation's shader against the reference: odd sizes, borders, wrapping rings, channel
// offsets. Rows of a ring that an operation must not read hold NaN.

#include <algorithm>
#include <array>
#include <map>

#include "base/integers.hpp"
#include "program/reference.hpp"
#include "support/vulkan_cases.hpp"
#include "support/vulkan_fixture.hpp"
#include "vulkan/operations/operation.hpp"

using namespace realesrgan;
using fixture::Case;
using fixture::TestRing;
namespace vk = realesrgan::vulkan;

namespace {

class Runner {
  public:
    Runner(const Case& test, vk::Storage storage, const vk::KernelConfig& choice)
        : test_(test),
          storage_(storage),
          context_(fixture::context()),
          weights_(context_, storage) {
        make_tensors();
        layer_ = fixture::random_layer(test, storage);
        expected_ = tensors_;
        compute_reference(test.op, layer_, expected_);
        if (test.op.convolution >= 0) {
            placed_ = weights_.place(fixture::shape_of(test.op));
            weights_.upload([&](std::size_t) { return vk::LayerNumbers{layer_, test.op.slope}; },
                            1);
        }
        std::vector<vk::RingBuffer> rings;
        for (const auto& ring : rings_) rings.push_back(ring->ring());
        operation_ = std::make_unique<vk::Operation>(*context_, storage, choice, test.op, rings,
                                                     &placed_, test.band);
        context_->pipelines().compile({&operation_->pipeline()}, 1);
    }

    // Largest error over |value| + 1, all bands.
    double run() {
        for (int y = 0; y < test_.height; y += test_.band) {
            band({y, std::min(test_.band, test_.height - y)});
        }
        return worst_;
    }
    using Results = std::map<std::array<int, 4>, float>;  // by ring, row, column and channel
    const Results& results() const { return results_; }

  private:
    int scale_divisor(std::size_t ring) const {
        if (ring == 0 && test_.op.kind == OpKind::pixel_shuffle) return test_.op.factor;
        if (ring == 0) return test_.op.upsample;
        if (ring >= 3 && ring - 3 < test_.op.skips.size()) return test_.op.skips[ring - 3].upsample;
        return 1;
    }

    // The fewest rows of a ring that hold what a band needs, so that rings wrap.
    int most_rows(std::size_t ring, int height) const {
        int most = 1;
        for (int y = 0; y < test_.height; y += test_.band) {
            const RowRange band{y, std::min(test_.band, test_.height - y)};
            most = std::max(most, static_cast<int>(needed_rows(ring, band, height).count));
        }
        return most;
    }

    RowRange needed_rows(std::size_t ring, RowRange rows, int height) const {
        if (ring == 0) {
            const RowDependency reads = row_dependency(test_.op);
            const Row first = std::max<Row>(reads.first_row(rows.first), 0);
            return {first, std::min<Row>(reads.rows_end(rows.end()), height) - first};
        }
        const int divisor = scale_divisor(ring);
        return {rows.first / divisor, (rows.end() - 1) / divisor - rows.first / divisor + 1};
    }

    void make_tensors() {
        const bool resized = test_.op.kind == OpKind::resize;
        for (std::size_t i = 0; i < test_.channels.size(); i++) {
            int width = test_.width / scale_divisor(i), height = test_.height / scale_divisor(i);
            if (i == 0 && resized)
                width = width * test_.op.resize.denominator / test_.op.resize.numerator;
            if (i == 0 && resized)
                height = height * test_.op.resize.denominator / test_.op.resize.numerator;
            if (i == 0 && test_.op.kind == OpKind::pixel_unshuffle) {
                width *= test_.op.factor;
                height *= test_.op.factor;
            }
            tensors_.push_back(fixture::random_map(width, height, test_.channels[i], storage_,
                                                   static_cast<unsigned>(i + 1)));
            const int rows = std::min(height, most_rows(i, height));
            rings_.push_back(std::make_unique<TestRing>(context_, storage_, width, height,
                                                        test_.channels[i], rows));
        }
    }

    void band(RowRange rows) {
        for (std::size_t i = 0; i < rings_.size(); i++) {
            const RowRange needed = needed_rows(i, rows, tensors_[i].height);
            TestRing fresh(context_, storage_, rings_[i]->ring().width, rings_[i]->ring().height,
                           test_.channels[i], rings_[i]->ring().rows);
            refill(i, fresh, needed);
        }
        vk::CommandBuffer commands(context_);
        commands.begin();
        operation_->record(commands, weights_, rows);
        commands.submit(vk::QueueLease(*context_));
        commands.wait();
        compare(rows, test_.op.output);
        if (test_.op.duplicate_output) compare(rows, *test_.op.duplicate_output);
    }

    // NaN everywhere but in the rows needed
    void refill(std::size_t i, const TestRing& empty, RowRange needed) {
        rings_[i]->clear(empty.values());
        if (i == 0 || i >= 3) rings_[i]->put(tensors_[i], needed);
        rings_[i]->upload();
    }

    void compare(RowRange rows, const ChannelSlice& slice) {
        TestRing& ring = *rings_[idx(slice.tensor)];
        std::vector<float> untouched = ring.values();
        ring.download();
        const FeatureMap& expected = expected_[idx(slice.tensor)];
        for (int y = static_cast<int>(rows.first); y < rows.end(); y++) {
            for (int x = 0; x < test_.width; x++) {
                for (int c = 0; c < round_up(slice.channels, 4); c++) {
                    const float got = ring.value(x, y, slice.channel + c);
                    untouched[ring.index(x, y, slice.channel + c)] = got;
                    if (c >= slice.channels) continue;  // padding
                    const double exact = expected.pixel(x, y)[slice.channel + c];
                    worst_ = std::max(worst_, error(double{got}, exact));
                    results_[{slice.tensor, y, x, c}] = got;
                }
            }
        }
        const auto same = [](float a, float b) {
            return a == b || (std::isnan(a) && std::isnan(b));
        };
        CHECK(std::equal(untouched.begin(), untouched.end(), ring.values().begin(), same));
    }

    static double error(double got, double v) {
        if (!std::isfinite(got)) return std::numeric_limits<double>::infinity();
        return std::abs(got - v) / (std::abs(v) + 1);
    }

    const Case& test_;
    vk::Storage storage_;
    std::shared_ptr<vk::Context> context_;
    vk::Weights weights_;
    vk::LayerWeights placed_;
    ConvolutionWeights layer_;
    std::vector<FeatureMap> tensors_;
    std::vector<FeatureMap> expected_;
    std::vector<std::unique_ptr<TestRing>> rings_;
    std::unique_ptr<vk::Operation> operation_;
    double worst_ = 0;
    Results results_;
};

// fp32: rounding of a sum of 864 terms. fp16: half a unit in the last place of the stored result;
// with sums in fp16 also of each of up to 36 such sums, whose roundings have any sign.
double tolerance(vk::Storage storage, const vk::KernelConfig& choice) {
    if (storage == vk::Storage::fp32) return 2e-6;
    return choice.half_products > 0 ? 2e-3 : 5.2e-4;
}

void run_case(const Case& test, vk::Storage storage, const vk::KernelConfig& choice) {
    const std::string name =
        test.name + (storage == vk::Storage::fp16 ? " fp16 " : " fp32 ") + choice.text();
    Runner runner(test, storage, choice);
    const double worst = runner.run();
    if (!(worst <= tolerance(storage, choice))) {
        throw check::Failure(name + " is off by " + std::to_string(worst));
    }
    Case whole = test;
    whole.band = test.height;
    Runner at_once(whole, storage, choice);
    CHECK(at_once.run() <= tolerance(storage, choice));
    CHECK(at_once.results() == runner.results());  // the same bits, whatever the band
}

}  // namespace

TEST_CASE("convolutions agree with the reference and do not depend on the band") {
    std::size_t turn = 0;
    for (const Case& test : fixture::convolution_cases()) {
        for (const vk::Storage storage : {vk::Storage::fp32, vk::Storage::fp16}) {
            std::vector<vk::KernelConfig> matrices;
            for (const auto& choice : vk::kernel_configs(*fixture::context(), storage)) {
                if (choice.kernel != vk::KernelKind::matrix) {
                    run_case(test, storage, choice);
                } else {
                    matrices.push_back(choice);
                }
            }
            // Drivers take long to compile these: the cases take the tilings in turn.
            if (!matrices.empty()) run_case(test, storage, matrices[turn++ % matrices.size()]);
        }
    }
}

TEST_CASE(
    "shuffles, resizes, depthwise convolutions and norms agree with the reference and do not "
    "depend on the band") {
    for (const Case& test : fixture::pointwise_cases()) {
        for (const vk::Storage storage : {vk::Storage::fp32, vk::Storage::fp16}) {
            run_case(test, storage, vk::KernelKind::plain);
        }
    }
}

int main() {
    return check::run_all();
}
