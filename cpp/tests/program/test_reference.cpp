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
    for (unsigned seed = 0; seed < 136; ++seed) {
        NetworkBuilder builder = random_network(seed);
        if (seed >= 120) {
            builder = random_unet(seed);
        } else if (seed >= 100) {
            builder = random_plksr(seed);
        } else if (seed >= 80) {
            builder = random_mosr(seed);
        } else if (seed >= 60) {
            builder = random_span(seed);
        } else if (seed >= 40) {  // shuffles and resizes of sizes that ncnn's floats are exact for
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
        const int cut = fused.network->program.border * fused.network->program.scale();
        CHECK_EQUAL(result.width - 2 * cut, expected.width);
        CHECK_EQUAL(result.height - 2 * cut, expected.height);
        CHECK_EQUAL(result.channels, expected.channels);
        for (int i = 0; i < expected.width * expected.height; ++i) {
            const int x = i % expected.width;
            const int y = i / expected.width;
            double off = 0.0;
            for (int c = 0; c < expected.channels; ++c) {
                off = std::max(
                    off, std::abs(result.pixel(x + cut, y + cut)[c] - expected.pixel(x, y)[c]));
            }
            if (!(off <= 5e-5)) {
                check::fail(__FILE__, __LINE__,
                            "seed " + std::to_string(seed) + " is off by " + std::to_string(off));
            }
            largest = std::max(largest, off);
        }
    }
    std::cout << "        largest difference " << largest << '\n';
}

TEST_CASE("products, sigmoids and constants that no operation can take in are refused") {
    const TemporaryFolder folder;
    const auto reason = [&](const std::string& layers, int count, int blobs) {
        const std::string path = folder.file("net.param");
        std::ofstream(path) << "7767517\n"
                            << count << ' ' << blobs << "\nInput in 0 1 data\n"
                            << layers;
        const Graph graph = read_graph(path);
        CHECK(!is_row_local(graph));
        return fuse(graph, folder.file("none.bin")).reason;
    };
    const std::string convolutions =
        "Split s 1 2 data d0 d1\nConvolution a 1 1 d0 x 0=3 1=3 4=1 5=1 6=81\n"
        "Convolution b 1 1 d1 y 0=3 1=3 4=1 5=1 6=81\n";
    const auto contains = [](const std::string& text, const std::string& part) {
        if (text.find(part) == std::string::npos) check::fail(__FILE__, __LINE__, text);
    };
    // Neither is what a convolution has just made.
    contains(reason("Split s 1 2 data d0 d1\nBinaryOp p 2 1 d0 d1 z 0=2\n", 3, 4),
             "multiplies two tensors");
    contains(reason("Split s 1 3 data d0 d1 d2\nConvolution a 1 1 d0 x 0=3 1=3 4=1 5=1 6=81\n"
                    "Convolution b 1 1 d1 y 0=3 1=3 4=1 5=1 6=81\nBinaryOp q 2 1 x y u 0=0\n"
                    "BinaryOp p 2 1 u d2 z 0=2\n",
                    6, 8),
             "multiplies two tensors");
    contains(reason("Convolution a 1 1 data x 0=4 1=3 4=1 5=1 6=108\n"
                    "Slice s 1 2 x y z -23300=2,2,2\nConcat c 2 1 y z u 0=0\n"
                    "Slice t 1 2 u v w -23300=2,2,2\nBinaryOp p 2 1 v w o 0=2\n",
                    6, 8),
             "divides what is not");
    // What lacks a border lies inside its tensor, and other things around it.
    const std::string valid = "Convolution a 1 1 data x 0=3 1=3 5=1 6=81\n";
    contains(reason(valid + "Convolution b 1 1 x z 0=3 1=3 4=1 5=1 6=81\n", 3, 3),
             "pads with zeros what has lost a border");
    contains(reason(valid + "Interp r 1 1 x z 0=3 1=2.0 2=2.0\n", 3, 3),
             "resizes what has lost a border");
    contains(reason(valid + "Deconvolution d 1 1 x z 0=3 1=4 3=2 4=1 5=1 6=144\n", 3, 3),
             "reads beyond the end of what has lost a border");
    contains(reason("Split s 1 2 data d0 d1\nConvolution a 1 1 d0 x 0=3 1=2 5=1 6=36\n"
                    "Interp u 1 1 x y 0=1 1=2.0 2=2.0\nInterp v 1 1 d1 p 0=1 1=2.0 2=2.0\n"
                    "Convolution b 1 1 p q 0=3 1=3 5=1 6=81\nBinaryOp e 2 1 y q r 0=0\n"
                    "Convolution f 1 1 r z 0=3 1=3 5=1 6=81\n",
                    8, 9),
             "do not lie at the same rows");
    contains(reason("Convolution a 1 1 data x 0=4 1=3 4=1 5=1 6=108\nGELU g 1 1 x z 0=1\n", 3, 3),
             "approximation of GELU");
    contains(reason("Convolution a 1 1 data x 0=4 1=3 4=1 5=1 6=108\n"
                    "ConvolutionDepthWise d 1 1 x z 0=4 1=3 4=1 5=1 6=72 7=2\n",
                    3, 3),
             "in groups of several channels");
    contains(reason("Convolution a 1 1 data x 0=4 1=4 4=1 5=1 6=192\n", 2, 2),
             "lacks on each side does not follow");
    contains(reason("Convolution a 1 1 data x 0=4 1=3 4=1 5=1 6=108\nPermute p 1 1 x y 0=3\n"
                    "LayerNorm l 1 1 y z 0=4 1=1e-6 2=1\nPermute q 1 1 z o 0=1\n",
                    5, 5),
             "is not an operation the row stream knows");
    // The sigmoid of the sum, not of what it was before.
    contains(reason(convolutions + "BinaryOp a 2 1 y x u 0=0\nSplit t 1 2 u u0 u1\n"
                                   "Sigmoid g 1 1 u0 t\nBinaryOp p 2 1 u1 t z 0=2\n",
                    8, 10),
             "multiplies two tensors");
    contains(reason("Sigmoid g 1 1 data z\n", 2, 2), "does not follow a convolution");
    contains(reason("MemoryData m 0 1 c 0=1 1=1 2=2\nBinaryOp p 2 1 data c e 0=1\n"
                    "Convolution a 1 1 e x 0=3 1=3 4=1 5=1 6=81\n",
                    4, 4),
             "does not hold a number for each channel");
    contains(reason("MemoryData m 0 1 c 0=1 1=1 2=3\nSplit s 1 2 data d0 d1\n"
                    "BinaryOp p 2 1 d0 c e 0=1\nConvolution a 1 1 e x 0=3 1=3 4=1 5=1 6=81\n"
                    "BinaryOp q 2 1 x d1 z 0=0\n",
                    6, 7),
             "");
}

int main() {
    return check::run_all();
}
