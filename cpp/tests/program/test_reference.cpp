// The reference itself, against stock ncnn, which reads the same files and runs layer after layer.

#include <datareader.h>
#include <net.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "model/graph.hpp"
#include "program/reference.hpp"
#include "support/check.hpp"
#include "support/random_network.hpp"
#include "support/random_program.hpp"
#include "support/temporary_folder.hpp"

using namespace realesrgan;

namespace {

std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

FeatureMap run_ncnn(const std::string& param, const std::string& bin, const Graph& graph,
                    const FeatureMap& picture) {
    const std::string text = content(param);
    const std::string weights = content(bin);
    ncnn::Net net;
    net.opt.num_threads = 1;
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = false;
    net.opt.use_bf16_storage = false;
    const auto* line = reinterpret_cast<const unsigned char*>(text.c_str());
    const auto* numbers = reinterpret_cast<const unsigned char*>(weights.data());
    CHECK_EQUAL(net.load_param(ncnn::DataReaderFromMemory(line)), 0);
    CHECK_EQUAL(net.load_model(ncnn::DataReaderFromMemory(numbers)), 0);
    ncnn::Mat input(picture.width, picture.height, picture.channels);
    for (int c = 0; c < picture.channels; ++c) {
        for (int y = 0; y < picture.height; ++y) {
            for (int x = 0; x < picture.width; ++x) {
                input.channel(c).row(y)[x] = static_cast<float>(picture.pixel(x, y)[c]);
            }
        }
    }
    ncnn::Extractor extractor = net.create_extractor();
    CHECK_EQUAL(extractor.input(graph.input_name().c_str(), input), 0);
    ncnn::Mat output;
    CHECK_EQUAL(extractor.extract(graph.output_name().c_str(), output), 0);
    FeatureMap result(output.w, output.h, output.c);
    for (int c = 0; c < result.channels; ++c) {
        for (int y = 0; y < result.height; ++y) {
            for (int x = 0; x < result.width; ++x) {
                result.pixel(x, y)[c] = output.channel(c).row(y)[x];
            }
        }
    }
    return result;
}

}  // namespace

TEST_CASE("fused networks computed by the reference give what ncnn gives") {
    const TemporaryFolder folder;
    double largest = 0.0;
    for (unsigned seed = 0; seed < 60; ++seed) {
        NetworkBuilder builder = random_network(seed);
        if (seed >= 40) {  // shuffles and resizes of sizes that ncnn's floats are exact for
            builder = NetworkBuilder(seed);
            const int scale = static_cast<int>(seed % 5) + 1;
            builder.shuffled(seed % 2 == 0 ? 2 : 4, seed % 4 < 2 ? 2 : 3, scale);
        }
        const auto [param, bin] = builder.save(folder.file("net"));
        const Graph graph = read_graph(param);
        const FuseResult fused = fuse(graph, bin);
        CHECK(fused.network.has_value());
        const FeatureMap picture = random_program::random_picture(fused.network->program, seed, 16);
        const FeatureMap result = compute_reference(*fused.network, picture);
        const FeatureMap expected = run_ncnn(param, bin, graph, picture);
        CHECK_EQUAL(result.width, expected.width);
        CHECK_EQUAL(result.values.size(), expected.values.size());
        for (std::size_t i = 0; i < result.values.size(); ++i) {
            const double off = std::abs(result.values[i] - expected.values[i]);
            if (!(off <= 5e-5)) {
                check::fail(__FILE__, __LINE__,
                            "seed " + std::to_string(seed) + " is off by " + std::to_string(off));
            }
            largest = std::max(largest, off);
        }
    }
    std::cout << "        largest difference " << largest << '\n';
}

int main() {
    return check::run_all();
}
