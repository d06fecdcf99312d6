// Planned bytes against allocated bytes, and runs with less memory.

#include <cmath>

#include "base/fault_injection.hpp"
#include "image/array_rows.hpp"
#include "model/graph.hpp"
#include "plan/planner.hpp"
#include "program/fuse.hpp"
#include "realesrgan/errors.hpp"
#include "stream/executor.hpp"
#include "support/check.hpp"
#include "support/disarm_at_end.hpp"
#include "support/stream_fixture.hpp"

using namespace realesrgan;
using namespace stream_fixture;

namespace {

// Small, and of a receptive field that column tiles can have.
Files narrow(const TemporaryFolder& folder) {
    return compact_network(3, 12, 3).save(folder.file("narrow"));
}

std::uint64_t total_bytes(const PlanReport& plan) {
    return plan.memory_bytes.back().second;
}

// With a limit just too small for a row of the whole width.
Upscaler in_column_tiles(const Files& files, const Picture& picture) {
    const RunShape size{picture.width, picture.height, SampleType::f32, SampleType::f32};
    Options small = options(1);
    small.memory_limit = total_bytes(Upscaler(files.first, files.second, small).plan(size));
    // so low a limit selects packed weights
    small.memory_limit = total_bytes(Upscaler(files.first, files.second, small).plan(size)) - 1;
    Upscaler upscaler(files.first, files.second, small);
    CHECK(upscaler.plan(size).column_tiles > 1);
    CHECK(upscaler.plan(size).halo >= 64);
    return upscaler;
}

}  // namespace

TEST_CASE("column tiles agree with the whole width where the halo is the receptive field") {
    const TemporaryFolder folder;
    const Files files = compact(folder);
    Picture picture = noise(700, 40, 5);
    const Upscaler whole(files.first, files.second, options(1));
    Options small = options(1);
    const auto bytes = [&](const Upscaler& upscaler) {
        return upscaler.plan(picture.width, picture.height).memory_bytes.back().second;
    };
    small.memory_limit = bytes(whole);  // so low a limit selects packed weights
    small.memory_limit = bytes(Upscaler(files.first, files.second, small)) - 1;
    const Upscaler column_tiles(files.first, files.second, small);
    const PlanReport cut = column_tiles.plan(picture.width, picture.height);
    CHECK(cut.column_tiles > 1);
    CHECK(cut.memory_bytes.back().second <= small.memory_limit);
    CHECK(difference(run(column_tiles, picture), run(whole, picture)) < 5e-5F);
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
        for (const int run : {0, 1, 2}) {
            const int width = run % 2 == 0 ? 37 : 300;
            CpuBackendOptions kernel;
            kernel.threads = 2;
            kernel.memory_limit = run == 2 ? 1 : 0;  // packed weights
            const auto backend = make_cpu_backend(*fused.network, kernel);
            Picture picture = noise(width, 70, 1);
            BandConfig config;
            config.width = width;
            config.height = picture.height;
            config.tail_band = backend->storage().tail_band;
            config.format = {SampleType::f32, SampleType::f32};
            const auto plan = std::make_shared<const ExecutionPlan>(fused.network->program, config,
                                                                    backend->storage());
            Picture result(width * 4, picture.height * 4);
            ArraySource source(picture.as_const());
            ArraySink sink(result.view());
            StreamRecord record;
            run_plan(*backend, plan, source, 0, sink, nullptr, record);
            const auto planned =
                static_cast<double>(plan->memory().total() - plan->memory().weights);
            const auto real = static_cast<double>(record.allocated_bytes);
            if (std::abs(real - planned) > 0.1 * planned) {
                throw check::Failure("planned " + std::to_string(planned) + ", allocated " +
                                     std::to_string(real) + " at width " + std::to_string(width));
            }
        }
    }
}

TEST_CASE("a failed allocation gives a smaller plan or one error, and the next call works") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Files files = random_network(4).save(folder.file("net"));
    Picture picture = noise(40, 30, 9);
    Options sum = options(0);
    sum.tta = true;
    const Upscaler upscalers[] = {Upscaler(files.first, files.second, options(0)),
                                  Upscaler(files.first, files.second, options(7)),
                                  Upscaler(files.first, files.second, sum)};
    int smaller = 0;
    int errors = 0;
    for (const Upscaler& upscaler : upscalers) {
        const Picture right = run(upscaler, picture);
        for (int n = 1;; ++n) {
            faults().host_allocation.arm(n);
            try {
                CHECK(difference(run(upscaler, picture), right) < 5e-5F);
                ++smaller;
            } catch (const OutOfMemoryError&) {
                ++errors;
            }
            if (faults().host_allocation.armed()) break;  // a run makes fewer than n
            faults().host_allocation.disarm();
        }
        faults().host_allocation.disarm();
        CHECK(difference(run(upscaler, picture), right) < 5e-5F);
    }
    CHECK(smaller > 10);
    CHECK(errors > 10);
}

TEST_CASE(
    "a failed allocation in column tiles gives the picture or one error, and the next call works") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Files files = narrow(folder);
    Picture picture = noise(400, 12, 9);
    const Upscaler upscaler = in_column_tiles(files, picture);
    const Picture right = run(upscaler, picture);
    int struck = 0;
    for (int n = 1;; n += 2) {
        faults().host_allocation.arm(n);
        try {
            CHECK(difference(run(upscaler, picture), right) < 5e-5F);
        } catch (const OutOfMemoryError& error) {
            CHECK(std::string(error.what()).find("memory") != std::string::npos);
        }
        if (faults().host_allocation.armed()) break;
        ++struck;
    }
    faults().host_allocation.disarm();
    CHECK(struck > 3);
    CHECK(difference(run(upscaler, picture), right) < 5e-5F);
}

TEST_CASE("a network that finds no memory to be loaded is an error") {
    const TemporaryFolder folder;
    const DisarmAtEnd disarm;
    const Files files = random_network(4).save(folder.file("net"));
    int errors = 0;
    for (int n = 1;; n += 3) {
        faults().host_allocation.arm(n);
        try {
            const Upscaler upscaler(files.first, files.second, options(0));
        } catch (const OutOfMemoryError& error) {
            CHECK(std::string(error.what()).find("to load") != std::string::npos);
            ++errors;
        }
        if (faults().host_allocation.armed()) break;
    }
    CHECK(errors > 2);
}

TEST_CASE("the plan of all orientations is the larger of upright and transposed") {
    const TemporaryFolder folder;
    const Files files = compact(folder);
    Options all = options(0);
    all.tta = true;
    const Upscaler upscaler(files.first, files.second, all);
    const auto of = [](const PlanReport& plan, const std::string& wanted) {
        for (const auto& [kind, bytes] : plan.memory_bytes) {
            if (kind == wanted) return bytes;
        }
        throw check::Failure("no " + wanted);
    };
    const PlanReport wide = upscaler.plan(900, 30);
    const PlanReport high = upscaler.plan(30, 900);
    CHECK_EQUAL(of(wide, "total"), of(high, "total"));
    CHECK_EQUAL(of(wide, "host"), std::uint64_t{900} * 30 * 16 * 3 * sizeof(float));
    all.memory_limit = of(wide, "total") / 2;
    const PlanReport tight = Upscaler(files.first, files.second, all).plan(30, 900);
    CHECK(of(tight, "total") <= all.memory_limit);
    const PlanReport bytes = Upscaler(files.first, files.second, options(0)).plan({300, 40});
    const PlanReport floats = Upscaler(files.first, files.second, options(0))
                                  .plan({300, 40, SampleType::f32, SampleType::f32});
    CHECK_EQUAL(of(floats, "staging"), 4 * of(bytes, "staging"));
}

int main() {
    return check::run_all();
}
