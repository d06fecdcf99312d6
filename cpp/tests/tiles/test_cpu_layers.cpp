#include <datareader.h>
#include <layer.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/openmp.hpp"
#include "model/graph.hpp"
#include "model/weight_file.hpp"
#include "realesrgan/upscaler.hpp"
#include "support/check.hpp"
#include "support/network_writer.hpp"
#include "support/temporary_folder.hpp"
#include "tiles/checked_net.hpp"
#include "tiles/cpu_layers.hpp"
#include "tiles/tile_memory.hpp"

using realesrgan::CheckedNet;
using realesrgan::CpuLayers;
using realesrgan::Graph;

namespace {

using Files = std::pair<std::string, std::string>;

// Calls of its fastMalloc that were not given back, in bytes, at most.
class Counted final : public ncnn::Allocator {
  public:
    void* fastMalloc(std::size_t size) override {
        now_ += size;
        most_ = std::max(most_, now_);
        void* const pointer = ncnn::fastMalloc(size);
        sizes_.emplace(pointer, size);
        return pointer;
    }
    void fastFree(void* pointer) override {
        now_ -= sizes_.at(pointer);
        sizes_.erase(pointer);
        ncnn::fastFree(pointer);
    }
    std::size_t most() const { return most_; }

  private:
    std::map<void*, std::size_t> sizes_;
    std::size_t now_ = 0;
    std::size_t most_ = 0;
};

// A network in stock ncnn, or with the layers of CpuLayers in it.
class Loaded {
  public:
    Loaded(const Files& files, const CpuLayers* own, int threads)
        : graph_(realesrgan::read_graph(files.first)),
          weights_(graph_, files.second),
          bytes_(content(files.second)) {
        realesrgan::prepare_openmp();
        net_.opt.num_threads = threads;
        net_.opt.use_local_pool_allocator = false;
        net_.opt.use_fp16_packed = net_.opt.use_fp16_storage = net_.opt.use_fp16_arithmetic = false;
        const std::string text = content(files.first);
        const auto* param = reinterpret_cast<const unsigned char*>(text.c_str());
        CHECK_EQUAL(net_.load_param(ncnn::DataReaderFromMemory(param, text.size())), 0);
        for (std::size_t i = 0; own != nullptr && i < graph_.layers.size(); ++i) {
            std::unique_ptr<ncnn::Layer> layer = own->make(graph_, i, weights_);
            if (layer == nullptr) continue;
            net_.replace(i, std::move(layer));
            ++replaced;
        }
        const auto* bin = reinterpret_cast<const unsigned char*>(bytes_.data());
        CHECK_EQUAL(net_.load_model(ncnn::DataReaderFromMemory(bin, bytes_.size())), 0);
        net_.check_layers(graph_);
    }

    int run(const ncnn::Mat& input, ncnn::Mat& output, Counted* memory = nullptr) const {
        ncnn::Extractor extractor = net_.create_extractor();
        if (memory != nullptr) {
            extractor.set_blob_allocator(memory);
            extractor.set_workspace_allocator(memory);
        }
        CHECK_EQUAL(extractor.input(graph_.input, input), 0);
        ncnn::Mat result;
        const int code = extractor.extract(graph_.output, result);
        output = result.clone();
        return code;
    }

    const Graph& graph() const { return graph_; }
    int replaced = 0;

  private:
    static std::string content(const std::string& path) {
        std::ifstream file(std::filesystem::u8path(path), std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    Graph graph_;
    realesrgan::WeightFile weights_;
    std::string bytes_;  // of which ncnn keeps parts
    CheckedNet net_;
};

ncnn::Mat random_input(int width, int height, int channels) {
    std::mt19937 random(3);
    std::uniform_real_distribution<float> uniform(0.0F, 1.0F);
    ncnn::Mat input(width, height, channels);
    for (int c = 0; c < channels; ++c) {
        float* const plane = input.channel(c);
        for (int i = 0; i < width * height; ++i) plane[i] = uniform(random);
    }
    return input;
}

float largest_difference(const ncnn::Mat& a, const ncnn::Mat& b) {
    CHECK_EQUAL(a.w, b.w);
    CHECK_EQUAL(a.h, b.h);
    CHECK_EQUAL(a.c, b.c);
    float most = 0.0F;
    for (int c = 0; c < a.c; ++c) {
        const float* const one = a.channel(c);
        const float* const other = b.channel(c);
        for (int i = 0; i < a.w * a.h; ++i) most = std::max(most, std::abs(one[i] - other[i]));
    }
    return most;
}

// Groups of 8 alone and in pairs, all activations, a mask against Winograd in ncnn, and layers that
// stay ncnn's: few channels, another activation, a padding that is not 0.
Files convolutions(const TemporaryFolder& folder, bool fp16) {
    NetworkWriter to(11, fp16);
    std::string made = to.convolution(to.input(), 3, 8);
    made = to.convolution(made, 8, 24, "9=1");
    made = to.convolution(made, 24, 48, "9=2 -23310=1,0.2");
    made = to.convolution(made, 48, 32, "31=64");
    made = to.convolution(made, 32, 16, "9=3 -23310=2,-0.6,0.6");
    made = to.layer("ReLU", {to.convolution(made, 16, 16, "5=1")}, "0=0.1");
    made = to.convolution(made, 16, 16, "18=0.5");
    return to.save(folder.file(fp16 ? "halves" : "floats"));
}

}  // namespace

TEST_CASE("convolutions and matrices agree with stock ncnn, with weights in either form") {
    const TemporaryFolder folder;
    for (const bool fp16 : {true, false}) {
        const Files files = convolutions(folder, fp16);
        const Loaded stock(files, nullptr, 1);
        for (const std::uint64_t most : {std::uint64_t{0}, CpuLayers::kMostTransformed}) {
            const CpuLayers own(stock.graph(), most);
            const Loaded loaded(files, &own, 2);
            const bool here = own.has_convolution(stock.graph().layers[2]);
            CHECK_EQUAL(loaded.replaced, here ? 4 : 0);
            for (const auto& [width, height] :
                 {std::pair{37, 21}, std::pair{5, 1}, std::pair{1, 9}}) {
                const ncnn::Mat input = random_input(width, height, 3);
                ncnn::Mat expected;
                ncnn::Mat made;
                CHECK_EQUAL(stock.run(input, expected), 0);
                CHECK_EQUAL(loaded.run(input, made), 0);
                CHECK_BELOW(largest_difference(made, expected), 2e-5F);
            }
        }
    }
}

TEST_CASE("a run takes the memory that is planned for it") {
    const TemporaryFolder folder;
    NetworkWriter to(12);
    std::string made = to.convolution(to.input(), 8, 32);
    for (int i = 0; i < 3; ++i) made = to.convolution(made, 32, 32, "9=1");
    const Files files = to.save(folder.file("net"));
    realesrgan::Options options;
    options.threads = 1;
    const Graph graph = realesrgan::read_graph(files.first);
    const CpuLayers own(graph);
    if (!own.has_convolution(graph.layers[1])) throw check::Skip("ncnn's convolutions run here");
    const Loaded loaded(files, &own, 1);
    const realesrgan::TileMemory planned(graph, options, nullptr);
    Counted memory;
    ncnn::Mat result;
    CHECK_EQUAL(loaded.run(random_input(200, 150, 8), result, &memory), 0);
    const double ratio =
        static_cast<double>(memory.most()) / static_cast<double>(planned.used(200, 150));
    CHECK_BELOW(std::abs(ratio - 1), 0.02);
}

TEST_CASE("a matrix is read from its file in every run, and a changed file is noticed") {
    const TemporaryFolder folder;
    NetworkWriter to(13, true);
    const int inputs = 40 * 25;
    const int outputs = 1200;
    std::string made = to.layer("Flatten", {to.input()}, "");
    made = to.linear(made, inputs, outputs);
    made = to.linear(made, outputs, 900);
    made = to.layer("Reshape", {made}, "0=30 1=10 2=3");
    const Files files = to.save(folder.file("matrix"));
    const Loaded stock(files, nullptr, 1);
    const CpuLayers own(stock.graph());
    const Loaded loaded(files, &own, 2);
    CHECK_EQUAL(loaded.replaced, 2);
    const ncnn::Mat input = random_input(40, 25, 1);
    ncnn::Mat expected;
    ncnn::Mat result;
    CHECK_EQUAL(stock.run(input, expected), 0);
    CHECK_EQUAL(loaded.run(input, result), 0);
    CHECK_BELOW(largest_difference(result, expected), 1e-5F);
    std::ofstream(files.second, std::ios::app) << "more";
    CHECK_EQUAL(loaded.run(input, result), CheckedNet::kFault);
    CHECK(CheckedNet::last_fault().find("were changed or removed") != std::string::npos);
#ifndef _WIN32  // which does not remove a file that is open
    std::filesystem::remove(files.second);
    CHECK_EQUAL(loaded.run(input, result), CheckedNet::kFault);
#endif
}

int main() {
    return check::run_all();
}
