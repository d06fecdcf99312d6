#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/interruption.hpp"
#include "model/graph.hpp"
#include "plan/planner.hpp"
#include "program/fuse.hpp"
#include "program/residual_precision.hpp"
#include "realesrgan/errors.hpp"
#include "support/check.hpp"
#include "support/random_network.hpp"
#include "support/temporary_folder.hpp"

using namespace realesrgan;

namespace {

// A small RRDBNet.
Program narrow_rrdbnet(int blocks, std::vector<int> enlarge = {}) {
    const TemporaryFolder folder;
    NetworkBuilder builder(1);
    RrdbConfig config;
    config.width = 16;
    config.growth = 16;
    config.blocks = blocks;
    config.enlarge = std::move(enlarge);
    builder.rrdbnet(config);
    const auto [param, bin] = builder.save((folder.path / "net").string());
    Program program = fuse(read_graph(param), bin).network->program;
    keep_skips_apart(program);
    return program;
}

}  // namespace

TEST_CASE("a residual network keeps the sums along its trunk in full precision, and no others") {
    const TemporaryFolder folder;
    for (const bool onnx : {true, false}) {
        NetworkBuilder builder(2);
        RrdbConfig config;
        config.blocks = 3;
        config.onnx = onnx;
        builder.rrdbnet(config);
        const auto [param, bin] = builder.save((folder.path / "net").string());
        Program program = fuse(read_graph(param), bin).network->program;
        keep_skips_apart(program);
        int kept = 0;
        for (const Op& op : program.ops) kept += op.duplicate_output ? 1 : 0;
        CHECK_EQUAL(kept, config.blocks);  // what each block begins with
        int full_precision = 0;
        int rounded = 0;
        for (const Op& reader : program.ops) {
            for (const Skip& skip : reader.skips) {
                const bool read_twice =
                    std::any_of(program.ops.begin(), program.ops.end(),
                                [&](const Op& op) { return op.input.tensor == skip.from.tensor; });
                (read_twice ? rounded : full_precision)++;
            }
        }
        // A block's end reads its beginning, and the network's end the first block's.
        CHECK_EQUAL(full_precision, config.blocks + 1);
        CHECK_EQUAL(rounded, config.inner * config.blocks);
    }
}

TEST_CASE("a ring that only additions read may be larger than a binding, others may not") {
    const Program program = narrow_rrdbnet(23);
    StorageModel storage;
    storage.bytes_per_value = 2;
    storage.full_precision_bytes_per_value = 4;
    storage.own_memory = true;
    PlanConstraints wanted;
    wanted.shape.width = 300;
    wanted.shape.height = 2000;
    wanted.receptive_field = 350;
    wanted.budget = std::uint64_t{1} << 40;
    storage.max_binding_bytes = 16 * 1024 * 300 / 4;  // 64 rows of the widest full-precision tensor
    const std::optional<RunStrategy> plan = choose_plan(program, storage, wanted);
    CHECK(plan.has_value());
    CHECK_EQUAL(plan->column_tiles.tiles.size(), std::size_t{1});
    const ExecutionPlan& made = plan->widest_plan();
    CHECK(made.largest_binding() <= storage.max_binding_bytes);
    int parts = 0;
    for (std::size_t i = 0; i < made.rings().size(); ++i) {
        parts += made.binding_bytes(static_cast<int>(i)) > 0 ? 1 : 0;
    }
    CHECK(parts > 0);
    storage.max_binding_bytes = 250'000;  // less than a few rows of a dense block
    const std::optional<RunStrategy> column_tiles = choose_plan(program, storage, wanted);
    CHECK(column_tiles.has_value());
    CHECK(column_tiles->column_tiles.tiles.size() > 1);
    CHECK(column_tiles->shortage == Shortage::binding);
    storage.max_binding_bytes = 0;
    wanted.budget = column_tiles->bytes;
    CHECK(choose_plan(program, storage, wanted)->shortage == Shortage::memory);
}

TEST_CASE("narrow pictures take higher bands, in whole steps, and so does what the memory cuts") {
    const TemporaryFolder folder;
    NetworkBuilder builder(3);
    CompactConfig config;
    builder.compact(config);
    const auto [param, bin] = builder.save((folder.path / "net").string());
    const Program program = fuse(read_graph(param), bin).network->program;
    StorageModel storage;
    storage.band = 18;
    storage.tail_band = 3;
    storage.band_step = 6;
    storage.band_pixels = 4096;
    PlanConstraints wanted;
    wanted.receptive_field = 20;
    wanted.budget = std::uint64_t{1} << 40;
    const auto request = [&](int width, int height) {
        wanted.shape.width = width;
        wanted.shape.height = height;
        return choose_plan(program, storage, wanted)->widest_plan().config();
    };
    CHECK_EQUAL(request(512, 500).band, 18);  // 4096 pixels would be 8 rows
    CHECK_EQUAL(request(100, 500).band, 36);  // 40, in steps of 6
    CHECK_EQUAL(request(100, 500).tail_band, 6);
    CHECK_EQUAL(request(64, 50).band, 50);  // the whole picture
    CHECK_EQUAL(request(64, 5).band, 18);
    const auto fitting = [&](int rows) {
        const ExecutionPlan plan(program, BandConfig{512, 500, rows, 3}, storage);
        return plan.memory().total();
    };
    wanted.budget = fitting(14);
    CHECK_EQUAL(request(512, 500).band, 12);
    wanted.budget = fitting(5);
    CHECK_EQUAL(request(512, 500).band, 5);
}

// On x4plus in miniature: rings of 16 rows and more take turns in a few shared buffers.
TEST_CASE(
    "the highest band that fits is found, though a higher one may take less than a lower one") {
    const Program program = narrow_rrdbnet(12, {2, 2});
    for (const std::uint64_t share_above : {0, 1 << 20, 5 << 20, 1 << 30}) {
        StorageModel storage;
        storage.bytes_per_value = 2;
        storage.full_precision_bytes_per_value = 4;
        storage.share_skips = true;
        storage.share_from_band = 16;
        storage.share_above = share_above;
        storage.band = 40;
        storage.own_memory = true;
        PlanConstraints wanted;
        wanted.shape.width = 64;
        wanted.shape.height = 2000;
        wanted.receptive_field = 350;
        std::vector<std::uint64_t> bytes;  // of a band one row high, and higher ones
        for (int band = 1; band <= storage.band; ++band) {
            const BandConfig request{wanted.shape.width, wanted.shape.height, band, 0};
            bytes.push_back(ExecutionPlan(program, request, storage).memory().total());
        }
        if (share_above < 1 << 30) CHECK(bytes[15] < bytes[14]);
        for (std::uint64_t budget = bytes[0]; budget < 2 * bytes.back(); budget += budget / 16) {
            wanted.budget = budget;
            int highest = 0;
            for (int band = 1; band <= storage.band; ++band) {
                if (bytes[static_cast<std::size_t>(band) - 1] <= budget) highest = band;
            }
            const std::optional<RunStrategy> plan = choose_plan(program, storage, wanted);
            CHECK(plan.has_value());
            CHECK_EQUAL(plan->column_tiles.tiles.size(), std::size_t{1});
            CHECK_EQUAL(plan->widest_plan().config().band, highest);
        }
    }
}

// With fewer rows than a group of tensors shares from, a row band may take more memory than a
// higher one, and the smallest plan is neither that of one row nor that of
// StorageModel::share_from_band.
TEST_CASE("column tiles are as few as fit in any row band, also where only a higher one fits") {
    const Program program = narrow_rrdbnet(23);
    StorageModel storage;
    storage.bytes_per_value = 2;
    storage.full_precision_bytes_per_value = 4;
    storage.share_skips = true;
    storage.share_from_band = 4;
    storage.band = 12;
    storage.own_memory = true;
    PlanConstraints wanted;
    wanted.shape = {400, 2000};
    wanted.receptive_field = 64;
    const int most = 13;  // of 32 columns
    for (const std::uint64_t share_above : {0, 17 << 20, 1 << 30}) {
        storage.share_above = share_above;
        std::vector<std::uint64_t> least;  // bytes, of one column tile and more of them
        for (int count = 1; count <= most; ++count) {
            const AxisTiling tiles = tile_axis(
                wanted.shape.width,
                TileRequest{(wanted.shape.width + count - 1) / count, count > 1 ? 64 : 0});
            BandConfig band;
            band.width = static_cast<int>(tiles.longest_read());
            band.height = wanted.shape.height;
            band.format.output = count > 1 ? SampleType::f32 : SampleType::u8;
            std::uint64_t bytes = UINT64_MAX;
            for (band.band = 1; band.band <= storage.band; ++band.band) {
                bytes = std::min(bytes, ExecutionPlan(program, band, storage).memory().total());
            }
            least.push_back(bytes);
        }
        CHECK(smallest_plan_bytes(program, storage, wanted) <= least.back());
        for (const std::uint64_t budget : least) {
            wanted.budget = budget;
            const auto fits = [&](std::uint64_t bytes) { return bytes <= budget; };
            const auto fewest = std::find_if(least.begin(), least.end(), fits) - least.begin() + 1;
            const std::optional<RunStrategy> strategy = choose_plan(program, storage, wanted);
            CHECK(strategy.has_value());
            CHECK(strategy->bytes <= budget);
            CHECK_EQUAL(static_cast<std::ptrdiff_t>(strategy->plans.size()), fewest);
        }
    }
}

TEST_CASE("planning can be interrupted") {
    const TemporaryFolder folder;
    const auto [param, bin] = random_network(3).save((folder.path / "net").string());
    const Program program = fuse(read_graph(param), bin).network->program;
    PlanConstraints wanted;
    wanted.shape.width = 1 << 26;
    wanted.shape.height = 1 << 26;
    wanted.budget = 100'000'000;
    StorageModel storage;
    const Interruptible interruptible([] { throw Cancelled("enough"); });
    CHECK_THROWS(Cancelled, std::vector<std::string>{"enough"},
                 for (int i = 0; i < 1000; ++i) choose_plan(program, storage, wanted));
}

int main() {
    return check::run_all();
}
