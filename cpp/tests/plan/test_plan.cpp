#include <algorithm>
#include <iostream>
#include <map>
#include <random>
#include <set>

#include "base/integers.hpp"
#include "model/graph.hpp"
#include "plan/plan.hpp"
#include "program/fuse.hpp"
#include "program/residual_precision.hpp"
#include "realesrgan/errors.hpp"
#include "support/check.hpp"
#include "support/random_network.hpp"
#include "support/temporary_folder.hpp"

using namespace realesrgan;

namespace {

// Which row of which tensor lies in a slot; the channels of every written slice are kept apart.
struct Place {
    int tensor = -1;
    Row row = -1;
    bool operator==(const Place& other) const { return tensor == other.tensor && row == other.row; }
};

// Rows an operation reads for one output row, from the definition of its kind, clamped to the
// picture.
std::set<Row> rows_read(const Op& op, Row row, Row height) {
    std::set<Row> rows;
    const auto add = [&](Row y) {
        if (y >= 0 && y < height) rows.insert(y);
    };
    if (op.kind == OpKind::layer_norm) {
        add(row);
    } else if (op.kind == OpKind::convolution || op.kind == OpKind::depthwise) {
        for (Row y = row - op.kernel / 2; y <= row + op.kernel / 2; ++y) {
            if (y >= 0 && y < height * op.upsample) add(y / op.upsample);
        }
    } else if (op.kind == OpKind::pixel_shuffle) {
        if (row >= op.phase) add((row - op.phase) / op.factor);
    } else if (op.kind == OpKind::pixel_unshuffle) {
        for (int i = 0; i < op.factor; ++i) add(row * op.factor + op.phase + i);
    } else {
        const double centre = (row + 0.5) * op.resize.denominator / op.resize.numerator - 0.5;
        const auto base = static_cast<Row>(std::floor(centre));
        const bool cubic = op.resize.filter == ResizeFilter::bicubic;
        for (int t = cubic ? -1 : 0; t <= (cubic ? 2 : 1); ++t)
            add(std::clamp<Row>(base + t, 0, height - 1));
    }
    return rows;
}

// Simulates a plan row by row and fails at the first row that is read before it is written, read
// after it was overwritten, or computed twice.
class Simulator {
  public:
    explicit Simulator(const ExecutionPlan& plan) : plan_(plan), program_(plan.program()) {
        note(program_.input);
        for (const Op& op : program_.ops) {
            note(op.output);
            if (op.duplicate_output) note(*op.duplicate_output);
        }
        base_.assign(program_.tensors.size(), -1);
    }

    void play(bool borders) {
        borders_ = borders;
        Row picture = 0;
        Row result = 0;
        for (int i = 0; i < plan_.steps(); ++i) {
            const Step step = plan_.step(i);
            if (step.input.count > 0) CHECK_EQUAL(step.input.first, picture);
            picture += step.input.count;
            CHECK(step.input.count <= plan_.max_input_rows());
            for (const Command& command : step.commands) obey(command);
            if (step.output.count > 0) CHECK_EQUAL(step.output.first, result);
            result += step.output.count;
            CHECK(step.output.count <= plan_.max_output_rows());
            CHECK_EQUAL(sent_, result);
        }
        CHECK_EQUAL(picture, plan_.config().height);
        CHECK_EQUAL(result, plan_.tensor_height(program_.output.tensor));
        CHECK_EQUAL(result, plan_.config().height * program_.scale());
    }

    int pairs() const { return pairs_; }
    int stored() const { return stored_; }

  private:
    void note(const ChannelSlice& slice) { slices_[slice.tensor].push_back(slice); }

    Place& slot(int tensor, int channel, Row row) {
        const RingStorage& storage = plan_.rings()[idx(tensor)];
        const int buffer = storage.shared_buffer >= 0 ? -1 - storage.shared_buffer : tensor;
        return slots_[{buffer, channel, row % storage.rows}];
    }

    // The window a contiguous buffer shows: it moves only when a row would fall off its end.
    void reach(int tensor, Row end, Row first_live_row) {
        const RingStorage& storage = plan_.rings()[idx(tensor)];
        Row& base = base_[idx(tensor)];
        CHECK(first_live_row >= base || storage.shared_buffer >= 0);
        const Row last = end + (borders_ && end == plan_.tensor_height(tensor) ? 1 : 0);
        if (last - base > storage.rows) {
            CHECK(storage.shared_buffer < 0);  // a shared buffer's window moves between steps only
            base = first_live_row;
        }
        CHECK(last - base <= storage.rows);
    }

    void write(const ChannelSlice& slice, Row row) {
        CHECK(row >= base_[idx(slice.tensor)]);
        slot(slice.tensor, slice.channel, row) = {slice.tensor, row};
    }

    void read(const ChannelSlice& from, Row row) {
        CHECK(row >= base_[idx(from.tensor)]);
        for (const ChannelSlice& slice : slices_[from.tensor]) {
            if (slice.channel + slice.channels <= from.channel ||
                slice.channel >= from.channel + from.channels) {
                continue;
            }
            CHECK((slot(from.tensor, slice.channel, row) == Place{from.tensor, row}));
        }
    }

    void obey(const Command& command) {
        switch (command.kind) {
            case CommandKind::input:
                CHECK_EQUAL(command.rows.first, rows_fed_);
                rows_fed_ = command.rows.end();
                reach(0, rows_fed_, command.first_live_row);
                for (Row y = command.rows.first; y < rows_fed_; ++y) write(program_.input, y);
                break;
            case CommandKind::run:
                run(command);
                break;
            case CommandKind::output:
                CHECK(!plan_.fused_store());
                CHECK_EQUAL(command.rows.first, sent_);
                for (Row y = sent_; y < command.rows.end(); ++y) read(program_.output, y);
                sent_ = command.rows.end();
                break;
            case CommandKind::halo:
                copy_halo_rows(command);
                break;
        }
    }

    void run(const Command& command) {
        if (command.pair) return run_pair(command);
        const Op& op = program_.ops[idx(command.index)];
        CHECK(command.rows.count <= plan_.max_run_rows(command.index));
        const int input_height = plan_.tensor_height(op.input.tensor);
        for (Row y = command.rows.first; y < command.rows.end(); ++y) {
            CHECK(computed_.insert({command.index, y}).second);
            for (const Row row : rows_read(op, y, input_height)) read(op.input, row);
            for (const Skip& skip : op.skips) read(skip.from, y / skip.upsample);
            if (borders_ && row_dependency(op).first_row(0) < 0 && y == 0) {
                CHECK_EQUAL(base_[idx(op.input.tensor)], -1);
            }
        }
        CHECK_EQUAL(command.store, plan_.fused_store() && command.index + 1 == ssize(program_.ops));
        if (command.store) return store(command.rows);
        reach(op.output.tensor, command.rows.end(), command.first_live_row);
        if (op.duplicate_output)
            reach(op.duplicate_output->tensor, command.rows.end(),
                  command.duplicate_first_live_row);
        for (Row y = command.rows.first; y < command.rows.end(); ++y) {
            write(op.output, y);
            if (op.duplicate_output) write(*op.duplicate_output, y);
        }
    }

    // The result leaves without a tensor that holds it.
    void store(RowRange rows) {
        CHECK_EQUAL(plan_.rings()[idx(program_.output.tensor)].rows, 0);
        CHECK_EQUAL(rows.first, sent_);
        sent_ = rows.end();
        ++stored_;
    }

    // The first one's rows that the second one reads are computed again from its own input.
    void run_pair(const Command& command) {
        const Op& first = program_.ops[idx(command.index)];
        const Op& second = program_.ops[idx(command.index + 1)];
        const int height = plan_.tensor_height(first.input.tensor);
        CHECK(command.rows.count <= plan_.max_run_rows(command.index));
        for (Row y = command.rows.first; y < command.rows.end(); ++y) {
            CHECK(computed_.insert({command.index, y}).second);
            CHECK(computed_.insert({command.index + 1, y}).second);
            for (const Row middle : rows_read(second, y, height)) {
                for (const Row row : rows_read(first, middle, height)) read(first.input, row);
            }
        }
        reach(first.output.tensor, command.rows.end(), command.first_live_row);
        for (Row y = command.rows.first; y < command.rows.end(); ++y) {
            write(first.output, y);
            write(second.output, y);
        }
        ++pairs_;
    }

    void copy_halo_rows(const Command& command) {
        for (const HaloCopy& rows : command.saves) {
            const HaloSlice& slice = halo_slice(rows);
            CHECK(rows.rows.count <= slice.rows);
            for (Row y = rows.rows.first; y < rows.rows.end(); ++y) {
                const Place place = slot(rows.tensor, slice.channel, y);
                CHECK((place == Place{rows.tensor, y}));
                saved_.insert({rows.tensor, slice.channel, y});
            }
        }
        for (const AcquiredBuffer& acquired : command.acquired) {
            const RingStorage& storage = plan_.rings()[idx(acquired.tensor)];
            CHECK(storage.shared_buffer >= 0);
            base_[idx(acquired.tensor)] = acquired.first_live_row;
            for (const ChannelSlice& slice : slices_[acquired.tensor]) {
                for (int y = 0; y < storage.rows; ++y)
                    slot(acquired.tensor, slice.channel, y) = Place{};
            }
        }
        for (const HaloCopy& rows : command.loads) {
            const HaloSlice& slice = halo_slice(rows);
            for (Row y = rows.rows.first; y < rows.rows.end(); ++y) {
                CHECK(saved_.erase({rows.tensor, slice.channel, y}) == 1);
                slot(rows.tensor, slice.channel, y) = {rows.tensor, y};
            }
        }
    }

    const HaloSlice& halo_slice(const HaloCopy& rows) const {
        return plan_.rings()[idx(rows.tensor)].halo[idx(rows.slice)];
    }

    const ExecutionPlan& plan_;
    const Program& program_;
    std::map<int, std::vector<ChannelSlice>> slices_;   // written ones, by tensor
    std::map<std::tuple<int, int, Row>, Place> slots_;  // by buffer, channel and slot
    std::set<std::tuple<int, int, Row>> saved_;         // tensor, channel, row
    std::set<std::pair<int, Row>> computed_;            // op, row
    std::vector<Row> base_;                             // first row of a tensor's window
    bool borders_ = false;
    Row rows_fed_ = 0;
    Row sent_ = 0;
    int pairs_ = 0;
    int stored_ = 0;
};

// Of every fourth seed so deep that the sums along its trunk can share shared buffers.
NetworkBuilder random_builder(unsigned seed) {
    if (seed % 4 != 3) return seed % 5 == 1 ? random_unet(seed) : random_network(seed);
    const bool dense = seed % 8 == 3;  // has pairs of convolutions
    RrdbConfig config;
    config.width = dense ? 32 : 16 + static_cast<int>(seed % 20);
    config.growth = dense ? 16 : 4;
    config.blocks = 8 + static_cast<int>(seed / 4 % 5);
    config.inner = 1 + static_cast<int>(seed / 4 % 3);
    config.depth = 1 + static_cast<int>(seed / 4 % 2) + (dense ? 2 : 0);
    config.enlarge = {2};
    NetworkBuilder builder(seed);
    builder.rrdbnet(config);
    return builder;
}

Program random_program(unsigned seed, const std::string& stem) {
    const auto [param, bin] = random_builder(seed).save(stem);
    const FuseResult fused = fuse(read_graph(param), bin);
    if (!fused.network)
        throw std::runtime_error("seed " + std::to_string(seed) + ": " + fused.reason);
    return fused.network->program;
}

}  // namespace

TEST_CASE("rows are written once, before they are read, and kept until the last read") {
    const TemporaryFolder folder;
    std::mt19937 random(7);
    const auto pick = [&](int low, int high) {
        return std::uniform_int_distribution<int>(low, high)(random);
    };
    int shared = 0;
    int shared_skips = 0;
    int pairs = 0;
    int stored = 0;
    int apart = 0;
    for (unsigned seed = 0; seed < 150; ++seed) {
        Program program = random_program(seed, (folder.path / "net").string());
        if (seed % 2 == 1) keep_skips_apart(program);
        for (int round = 0; round < 6; ++round) {
            BandConfig config;
            config.width = program.alignment * pick(1, 5);
            config.height = program.alignment * pick(1, 70);
            config.band = pick(1, round == 0 ? 200 : 20);
            config.tail_band = pick(0, 4);
            StorageModel storage;
            storage.border_rows = pick(0, 1) == 1;
            storage.tensors_per_turn = pick(1, 3);
            storage.share_above = pick(0, 1) == 0 ? 0 : std::uint64_t{1} << 40U;
            storage.share_skips = pick(0, 1) == 1;
            storage.pair_outputs = 16 * pick(0, 2);
            storage.fused_store = pick(0, 1) == 1;
            const ExecutionPlan plan(program, config, storage);
            for (const RingStorage& tensor : plan.rings()) {
                shared_skips += tensor.shared_buffer >= 0 && tensor.skip_only ? 1 : 0;
            }
            shared += plan.shared_buffers().empty() ? 0 : 1;
            try {
                Simulator simulator(plan);
                simulator.play(storage.border_rows);
                pairs += simulator.pairs();
                stored += simulator.stored();
                apart += storage.fused_store && simulator.stored() == 0 ? 1 : 0;
            } catch (const check::Failure& failure) {
                throw check::Failure(
                    std::string(failure.what()) + " (seed " + std::to_string(seed) + ", height " +
                    std::to_string(config.height) + ", band " + std::to_string(config.band) + ")");
            }
        }
    }
    CHECK(shared > 100);  // shared buffers were really tried
    CHECK(shared_skips > 100);
    CHECK(pairs > 100);
    CHECK(stored > 100);
    CHECK(apart > 10);  // where another operation is the last, or its result is read
}

TEST_CASE("rows are kept where a resize follows a shuffle, for all factors") {
    const TemporaryFolder folder;
    int round = 0;
    for (int shuffle = 2; shuffle <= 16; ++shuffle) {
        for (int scale = 1; scale <= 16; ++scale, ++round) {
            NetworkBuilder builder(1);
            builder.shuffled(shuffle, 2 + round % 2, scale);
            const auto [param, bin] = builder.save((folder.path / "net").string());
            const FuseResult fused = fuse(read_graph(param), bin);
            CHECK(fused.network.has_value());
            StorageModel storage;
            storage.border_rows = round % 2 == 0;
            BandConfig config;
            config.width = 2;
            config.height = 1 + round % 23;
            config.band = 1 + round % 5;
            config.tail_band = round % 3;
            Simulator(ExecutionPlan(fused.network->program, config, storage))
                .play(storage.border_rows);
            config.height = 256;
            const std::uint64_t low =
                ExecutionPlan(fused.network->program, config, storage).memory().total();
            for (const int height : {4096, 1 << 26}) {
                config.height = height;
                CHECK_EQUAL(ExecutionPlan(fused.network->program, config, storage).memory().total(),
                            low);
            }
        }
    }
}

TEST_CASE("the rows an operation reads agree with each other far down a picture, too") {
    const auto at = [](Row row, int numerator, int denominator) {  // of the centre, exactly
        const Row twice = (2 * row + 1) * denominator - numerator;
        return (twice - (twice % (2 * numerator) + 2 * numerator) % (2 * numerator)) /
               (2 * numerator);
    };
    for (const Row from : {Row{-3}, Row{1} << 20, Row{1} << 30, kEndlessRows}) {
        for (int numerator = 1; numerator <= 16; ++numerator) {
            for (int denominator = 1; denominator <= kMostScale; ++denominator) {
                Op op;
                op.kind = OpKind::resize;
                op.resize = {ResizeFilter::bicubic, numerator, denominator};
                for (Row row = from; row < from + 5; ++row) {
                    CHECK_EQUAL(row_dependency(op).first_row(row),
                                at(row, numerator, denominator) - 1);
                    const Row end = row_dependency(op).rows_end(row + 1);
                    CHECK_EQUAL(end, at(row, numerator, denominator) + 3);
                    const Row possible = row_dependency(op).rows_possible(end);
                    CHECK(possible <= row + 1 + numerator);
                    CHECK(row_dependency(op).rows_end(possible) <= end);
                    CHECK(row_dependency(op).rows_end(possible + 1) > end);
                }
            }
        }
    }
}

TEST_CASE("a picture with more rows in a tensor than 32 bits count is refused") {
    const TemporaryFolder folder;
    NetworkBuilder builder(1);
    builder.shuffled(16, 3, 4);
    const auto [param, bin] = builder.save((folder.path / "net").string());
    const Program program = fuse(read_graph(param), bin).network->program;
    BandConfig config;
    config.width = 8;
    config.height = 1 << 26;
    CHECK_EQUAL(ExecutionPlan(program, config, StorageModel()).tensor_height(program.output.tensor),
                1 << 28);
    config.height = (1 << 26) + 1;
    CHECK_THROWS(ImageError, (std::vector<std::string>{"8x67108865", "2^30"}),
                 ExecutionPlan(program, config, StorageModel()));
}

// As in design.md and gpu.md.
TEST_CASE("x4plus in pairs: 214 dispatches a band, and at most 140 KB a pixel from 80 rows on") {
    const TemporaryFolder folder;
    NetworkBuilder builder(1);
    RrdbConfig x4plus;
    x4plus.blocks = 23;
    x4plus.enlarge = {2, 2};
    builder.rrdbnet(x4plus);
    const auto [param, bin] = builder.save((folder.path / "net").string());
    Program program = fuse(read_graph(param), bin).network->program;
    keep_skips_apart(program);
    StorageModel storage;
    storage.bytes_per_value = 2;
    storage.full_precision_bytes_per_value = 4;
    storage.share_skips = true;
    storage.fused_store = true;
    for (const bool pairs : {false, true}) {
        storage.pair_outputs = pairs ? 32 : 0;
        for (const bool share : {false, true}) {
            storage.share_above = share ? 0 : ~std::uint64_t{0};
            for (const int band : {80, 240, 2000}) {
                BandConfig config;
                config.width = 512;
                config.height = 2000;
                config.band = band;
                const ExecutionPlan plan(program, config, storage);
                const BandTraffic traffic = plan.traffic();
                std::cout << "    " << (pairs ? "pairs, " : "") << (share ? "shared" : "own")
                          << " buffers, band " << band << ": " << traffic.dispatches << ", "
                          << traffic.bytes_per_input_pixel / 1000 << " KB, "
                          << ((plan.memory().total()) >> 20U) << " MiB\n";
                CHECK_EQUAL(traffic.dispatches, pairs ? 214 : 352);
                CHECK((traffic.bytes_per_input_pixel <= 140e3) == pairs);
                StorageModel apart = storage;
                apart.fused_store = false;
                const ExecutionPlan other(program, config, apart);
                // The result's tensor is written and read once: 16 pixels of 4 channels in fp32.
                CHECK_EQUAL(other.traffic().dispatches, traffic.dispatches + 1);
                CHECK_NEAR(other.traffic().bytes_per_input_pixel,
                           traffic.bytes_per_input_pixel + 512, 1.0);
                CHECK(other.memory().rings - plan.memory().rings >=
                      product(std::min(band, config.height), 4, config.width, 4, 16, 4));
                CHECK_EQUAL(other.memory().shared_buffers, plan.memory().shared_buffers);
            }
        }
    }
}

TEST_CASE("bytes do not depend on the height of a high picture") {
    const TemporaryFolder folder;
    for (unsigned seed = 0; seed < 40; ++seed) {
        const Program program = random_program(seed, (folder.path / "net").string());
        BandConfig config;
        config.width = 40 * program.alignment;
        config.band = 8;
        config.height = 4000 * program.alignment;
        const std::uint64_t low = ExecutionPlan(program, config, StorageModel()).memory().total();
        config.height *= 50;
        CHECK_EQUAL(ExecutionPlan(program, config, StorageModel()).memory().total(), low);
    }
}

int main() {
    return check::run_all();
}
