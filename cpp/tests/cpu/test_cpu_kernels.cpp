#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "cpu/winograd/instruction_set.hpp"
#include "model/graph.hpp"
#include "program/fuse.hpp"
#include "stream/backend.hpp"
#include "support/check.hpp"
#include "support/random_network.hpp"

using namespace realesrgan;

namespace {

struct Picture {
    int width = 0;
    int height = 0;
    std::vector<float> samples;  // pixel after pixel
};

Picture random_picture(std::mt19937& random, int channels, int multiple) {
    Picture picture;
    picture.width = multiple * std::uniform_int_distribution<int>(1, 30)(random);
    picture.height = multiple * std::uniform_int_distribution<int>(1, 30)(random);
    std::uniform_real_distribution<float> uniform(0.0F, 1.0F);
    for (int i = 0; i < picture.width * picture.height * channels; ++i) {
        picture.samples.push_back(uniform(random));
    }
    return picture;
}

// The whole result of the network on a CPU backend, in bands.
std::vector<float> run(const FusedNetwork& network, const Picture& picture, int band,
                       const CpuBackendOptions& options) {
    const std::unique_ptr<Backend> backend = make_cpu_backend(network, options);
    BandConfig config;
    config.width = picture.width;
    config.height = picture.height;
    config.band = band;
    config.input_type = config.output_type = SampleType::f32;
    const ExecutionPlan plan(network.program, config, backend->storage());
    SessionFormat format{SampleType::f32, SampleType::f32, false};
    const std::unique_ptr<Session> session = backend->start(plan, format);
    const auto row = static_cast<std::size_t>(picture.width * network.program.picture_channels);
    std::vector<float> result;
    for (int i = 0; i < plan.steps(); ++i) {
        const Step step = plan.step(i);
        if (step.input.count > 0) {
            const MutableImageView rows = session->input_rows(static_cast<int>(step.input.count));
            std::memcpy(rows.data,
                        picture.samples.data() + static_cast<std::size_t>(step.input.first) * row,
                        static_cast<std::size_t>(step.input.count) * row * sizeof(float));
        }
        session->run(step);
        const ImageView rows = session->output_rows();
        const auto* first = reinterpret_cast<const float*>(rows.data);
        result.insert(
            result.end(), first,
            first + static_cast<std::ptrdiff_t>(rows.width) * rows.height * rows.channels);
    }
    CHECK_EQUAL(session->not_finite(), 0U);
    CHECK(session->allocated_bytes() <= plan.memory().total());
    return result;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    CHECK_EQUAL(a.size(), b.size());
    double largest = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
        largest = difference <= largest ? largest : difference;  // a NaN is kept
    }
    return largest;
}

}  // namespace

// Two ways of computing that share nothing below the session. Rounding differs, and no more.
TEST_CASE("random networks give the same on our convolutions as on ncnn's") {
    constexpr double kTolerance = 2e-5;
    const auto stem =
        (std::filesystem::temp_directory_path() / "realesrgan_test_cpu_kernels").string();
    double largest = 0.0;
    for (unsigned seed = 0; seed < 30; ++seed) {
        const auto [param, bin] = random_network(seed).save(stem);
        FuseResult fused = fuse(read_graph(param), bin);
        CHECK(fused.network.has_value());
        const FusedNetwork& network = *fused.network;
        std::mt19937 random(seed);
        const Picture picture =
            random_picture(random, network.program.picture_channels, network.program.unshuffle);
        CpuBackendOptions options;
        options.threads = 2;
        options.ncnn = true;
        const std::vector<float> expected = run(network, picture, 16, options);
        options.ncnn = false;
        const auto& kernels = winograd::supported_kernels();
        options.instruction_set = kernels[seed % kernels.size()]->name;
        for (const int band : {1, 7, 16}) {
            options.memory_limit = band == 1 ? 1 : 0;  // lean weights, directly convolved
            const double difference =
                largest_difference(run(network, picture, band, options), expected);
            if (!(difference <= kTolerance)) {
                check::fail(__FILE__, __LINE__,
                            "seed " + std::to_string(seed) + ", band " + std::to_string(band) +
                                ", " + options.instruction_set + ": differs by " +
                                std::to_string(difference));
            }
            largest = std::max(largest, difference);
        }
    }
    std::cout << "        largest difference " << largest << '\n';
    std::filesystem::remove(stem + ".param");
    std::filesystem::remove(stem + ".bin");
}

int main() {
    return check::run_all();
}
