// Weights of a .bin: read on demand, in the type of the file or in fp32.

#include <cstdint>
#include <cstring>
#include <filesystem>

#include "base/half.hpp"
#include "model/graph.hpp"
#include "program/fuse.hpp"
#include "realesrgan/errors.hpp"
#include "realesrgan/upscaler.hpp"
#include "support/check.hpp"
#include "support/picture.hpp"
#include "support/tiny_network.hpp"

using realesrgan::ConvolutionWeights;
using realesrgan::FusedNetwork;
using realesrgan::ModelError;

namespace {

const tiny::Folder folder;
const tiny::Network kNetwork = tiny::filter({0.5F, 0, -1, 0, 2, 0, 0.25F, 0, 1});

// The same numbers in 16 bits, padded to four bytes.
std::string halved(const std::string& bin) {
    constexpr std::uint32_t kTag = 0x01306B47;
    constexpr std::size_t kCount = 81;
    std::string bytes(sizeof(kTag), 0);
    std::memcpy(bytes.data(), &kTag, sizeof(kTag));
    for (std::size_t i = 0; i < kCount; i++) {
        float value = 0.0F;
        std::memcpy(&value, &bin[4 + i * sizeof(value)], sizeof(value));
        const std::uint16_t half = realesrgan::float_to_half(value);
        bytes.append(reinterpret_cast<const char*>(&half), sizeof(half));
    }
    bytes.append(2, 0);
    return bytes + bin.substr(4 + kCount * sizeof(float));
}

FusedNetwork fused(const std::string& bin) {
    const auto graph = realesrgan::read_graph(folder.file("network.param", kNetwork.param));
    return std::move(*realesrgan::fuse(graph, bin).network);
}

}  // namespace

TEST_CASE("fp16 weights are read as stored where accepted, otherwise as the same floats") {
    const ConvolutionWeights single = fused(folder.file("s.bin", kNetwork.bin)).weights(0, true);
    CHECK(single.fp16.empty());  // fp32 weights stay fp32
    const FusedNetwork network = fused(folder.file("h.bin", halved(kNetwork.bin)));
    const ConvolutionWeights floats = network.weights(0, false);
    const ConvolutionWeights fp16 = network.weights(0, true);
    CHECK(floats.kernel == single.kernel);
    CHECK(floats.bias == single.bias && fp16.bias == single.bias);
    CHECK(floats.fp16.empty() && fp16.kernel.empty());
    CHECK_EQUAL(fp16.fp16.size(), single.kernel.size());
    for (std::size_t i = 0; i < fp16.fp16.size(); i++) {
        CHECK_EQUAL(realesrgan::half_to_float(fp16.fp16[i]), single.kernel[i]);
    }
}

TEST_CASE("every way ncnn stores a kernel is read as ncnn reads it, and int8 is refused") {
    const auto word = [](std::uint32_t value) {
        std::string bytes(sizeof(value), 0);
        std::memcpy(bytes.data(), &value, sizeof(value));
        return bytes;
    };
    constexpr std::size_t kCount = 81;
    const std::string floats = kNetwork.bin.substr(4, kCount * sizeof(float));
    const std::string biases = kNetwork.bin.substr(4 + kCount * sizeof(float));
    std::string bfloats;  // the numbers of this kernel have no lower half
    std::string table(256 * sizeof(float), 0);
    std::string indices;
    for (std::size_t i = 0; i < kCount; ++i) {
        bfloats += floats.substr(4 * i + 2, 2);
        table.replace(4 * i, 4, floats, 4 * i, 4);
        indices += static_cast<char>(i);
    }
    const std::string stored[] = {
        word(0x0002C056) + floats,
        word(0x01348B83) + bfloats + std::string(2, 0),
        word(0x00000001) + table + indices + std::string(3, 0),
    };
    const Picture input = Picture::random(20, 13);
    const std::string param = folder.file("network.param", kNetwork.param);
    Picture expected(20, 13);
    realesrgan::Upscaler(param, folder.file("f.bin", kNetwork.bin), {})
        .run(input.view(), expected.writable());
    for (const std::string& kernel : stored) {
        const std::string bin = folder.file("k.bin", kernel + biases);
        CHECK(fused(bin).weights(0, true).kernel ==
              fused(folder.file("f.bin", kNetwork.bin)).weights(0, true).kernel);
        realesrgan::Options whole;
        whole.tile = realesrgan::kTileWhole;
        for (const realesrgan::Options& options : {realesrgan::Options{}, whole}) {
            Picture output(20, 13);
            realesrgan::Upscaler(param, bin, options).run(input.view(), output.writable());
            CHECK_BELOW(largest_difference(output, expected), 1e-5F);
        }
    }
    CHECK_THROWS(ModelError, (std::vector<std::string>{"i.bin", "quantized to 8 bits", "'c'"}),
                 fused(folder.file("i.bin", word(0x000D4B38) + indices + biases)));
}

TEST_CASE("a file truncated after it was opened is a ModelError") {
    for (const bool fp16 : {false, true}) {
        const std::string bin = folder.file("n.bin", halved(kNetwork.bin));
        const FusedNetwork network = fused(bin);
        std::filesystem::resize_file(bin, 20);
        CHECK_THROWS(ModelError, (std::vector<std::string>{"cannot read", "n.bin"}),
                     network.weights(0, fp16));
    }
}

int main() {
    return check::run_all();
}
