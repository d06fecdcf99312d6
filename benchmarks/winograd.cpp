// The fused convolution alone, layer by layer: time by phase, and the share of the processor's
// multiply-add rate that its products reach, measured in the same process. The two take turns, each
// for as long as the other, so that what else the machine does meets both; each turn gives a ratio,
// the middle of which counts. Beside it the ratio of the fastest turns, which have met the least.
//
//     build/default/cpp/tests/winograd_benchmark [instruction set] [threads] [rows] [width]
//     [rounds] [tile]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "base/thread_pool.hpp"
#include "cpu/winograd/convolution.hpp"
#include "cpu/winograd/instruction_set.hpp"

using namespace realesrgan::winograd;

namespace {

struct Settings {
    const Kernel* kernel;
    int threads;
    int rows;
    int width;
    int rounds;
};

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

double most(const std::vector<double>& values) {
    return *std::max_element(values.begin(), values.end());
}

// Operations a second of all threads together, each computing on registers alone for that long.
double peak(const Settings& s, double duration) {
    constexpr long kRounds = 2000;
    std::vector<double> done(static_cast<std::size_t>(s.threads));
    const double start = now();
    realesrgan::ThreadPool::shared().run(s.threads, s.threads, [&](int item, int) {
        do {
            done[static_cast<std::size_t>(item)] += s.kernel->fma_peak(kRounds);
        } while (now() - start < duration);
    });
    double sum = 0.0;
    for (const double operations : done) sum += operations;
    return sum / (now() - start);
}

// Rows with a pixel of padding on each side, a channel group after the other.
struct Rows {
    Rows(int channels, int width, int height)
        : stride(static_cast<std::size_t>(width + 2) * kGroup * static_cast<std::size_t>(height)),
          values(stride * static_cast<std::size_t>(groups_of(channels)), 0.5f) {
        for (int y = 0; y < height; ++y) {
            rows.push_back(values.data() +
                           (static_cast<std::size_t>(y * (width + 2)) + 1) * kGroup);
        }
        std::mt19937 random(1);
        for (float& value : values) value = static_cast<float>(random() % 2048) / 2048.0f;
    }
    std::size_t stride;
    std::vector<float> values;
    std::vector<float*> rows;
};

void measure(const Settings& s, int in, int out, int skips, WeightForm form) {
    std::vector<float> taps(static_cast<std::size_t>(in * out * kTaps), 0.01f);
    std::vector<std::uint16_t> halves(taps.size(), 0x2000);
    Description d;
    d.in_channels = in;
    d.out_channels = out;
    if (form == WeightForm::packed) {
        d.fp16_taps = halves.data();
    } else {
        d.taps = taps.data();
    }
    d.slopes = {0.2f};
    const Convolution convolution(d, form, *s.kernel);
    Rows input(in, s.width, s.rows + 2);
    Rows output(out, s.width, s.rows);
    Rows skip(out, s.width, s.rows);
    OutputRows band;
    band.width = s.width;
    band.height = s.rows;
    band.input = {input.rows.data(), {input.stride}};
    band.output = {output.rows.data(), {output.stride}};
    band.epilogue.skip_count = skips;
    for (auto& each : band.epilogue.skips) each = {{skip.rows.data(), {skip.stride}}, 0.2f};

    const double pixels = static_cast<double>(s.width) * s.rows;
    const double useful =
        2.0 * in * out * pixels *
        (form == WeightForm::packed && s.rows == 1
             ? kTaps
             : s.kernel->points / static_cast<double>(s.kernel->tile * s.kernel->tile));
    std::vector<double> walls, weights, inputs, multiplies, outputs, peaks, rates, ratios;
    Workspace workspace(s.threads, convolution.workspace_bytes(s.width, s.rows, s.threads));
    convolution.run(band, workspace);
    for (int round = 0; round < s.rounds; ++round) {
        const Profile before = workspace.profile();
        const double start = now();
        convolution.run(band, workspace);
        walls.push_back(now() - start);
        const Profile after = workspace.profile();
        weights.push_back((after.weights - before.weights) / s.threads);
        inputs.push_back((after.input - before.input) / s.threads);
        multiplies.push_back((after.multiply - before.multiply) / s.threads);
        outputs.push_back((after.output - before.output) / s.threads);
        rates.push_back(useful / multiplies.back());
        peaks.push_back(peak(s, walls.back()));
        ratios.push_back(rates.back() / peaks.back());
    }
    std::printf(
        "%4d -> %-3d %8.3f ms  weights %5.3f  input %6.3f  multiply %7.3f  output %6.3f | products "
        "%6.1f of %6.1f GFLOP/s = %.2f, fastest %.2f\n",
        in, out, median(walls) * 1e3, median(weights) * 1e3, median(inputs) * 1e3,
        median(multiplies) * 1e3, median(outputs) * 1e3, median(rates) * 1e-9, median(peaks) * 1e-9,
        median(ratios), most(rates) / most(peaks));
}

int argument(int argc, char** argv, int index, int fallback) {
    return argc > index ? std::atoi(argv[index]) : fallback;
}

}  // namespace

int main(int argc, char** argv) {
    Settings s{};
    s.kernel = &select_kernel(argc > 1 ? argv[1] : "", argument(argc, argv, 6, kSmallTile));
    s.threads = argument(argc, argv, 2, realesrgan::ThreadPool::shared().processors());
    s.rows = argument(argc, argv, 3, 16);
    s.width = argument(argc, argv, 4, 512);
    s.rounds = argument(argc, argv, 5, 51);
    std::printf("%s, tiles of %dx%d, %d threads, %dx%d\n", s.kernel->name, s.kernel->tile,
                s.kernel->tile, s.threads, s.width, s.rows);
    for (const WeightForm form : {WeightForm::transformed, WeightForm::packed}) {
        std::printf("%s weights\n", form == WeightForm::transformed ? "transformed" : "packed");
        for (const int in : {64, 96, 128, 160}) measure(s, in, 32, 0, form);
        measure(s, 192, 64, 2, form);
        measure(s, 64, 64, 0, form);
        measure(s, 3, 64, 0, form);
        measure(s, 64, 48, 0, form);
        measure(s, 64, 3, 0, form);
    }
    return 0;
}
