// Checks of a network before ncnn or the row stream computes with it: inputs and outputs,
// parameters, sizes.

#include <chrono>

#include "model/graph.hpp"
#include "model/layer_sizes.hpp"
#include "model/size_expression.hpp"
#include "realesrgan/errors.hpp"
#include "realesrgan/upscaler.hpp"
#include "support/check.hpp"
#include "support/picture.hpp"
#include "support/tiny_network.hpp"

using realesrgan::evaluate_sizes;
using realesrgan::expression_inputs;
using realesrgan::inspect;
using realesrgan::ModelError;
using realesrgan::Options;
using realesrgan::read_graph;
using realesrgan::Shape;
using realesrgan::size_fault;
using realesrgan::Upscaler;

namespace {

const tiny::Folder folder;

realesrgan::NetworkInfo inspected(const std::string& text) {
    return inspect(read_graph(folder.file("network.param", text)));
}

// A network of one layer between an input of three channels and the output.
std::string with(const std::string& layer) {
    return "7767517\n2 2\nInput in 0 1 data\n" + layer + "\n";
}

// With a second blob from a convolution to `channels` channels.
std::string with_two(const std::string& layer, int channels) {
    return "7767517\n4 5\nInput in 0 1 data\nSplit s 1 2 data a b\nConvolution c 1 1 a x 0=" +
           std::to_string(channels) + " 1=3 4=1 6=" + std::to_string(27 * channels) + "\n" + layer +
           "\n";
}

realesrgan::Layer layer(const std::string& type, std::map<int, realesrgan::ParamValue> params,
                        std::size_t inputs = 1) {
    return {type, "l", std::vector<int>(inputs, 0), {1}, std::move(params)};
}

struct Refused {
    std::string network;
    std::vector<std::string> message;
};

std::string many_slices(int count) {
    std::string line = "Slice s 1 " + std::to_string(count) + " x";
    std::string list = " -23300=" + std::to_string(count);
    for (int i = 0; i < count; ++i) {
        line += " p" + std::to_string(i);
        list += ",-233";
    }
    line += list + "\nConcat k " + std::to_string(count) + " 1";
    for (int i = 0; i < count; ++i) line += " p" + std::to_string(i);
    return "7767517\n4 " + std::to_string(count + 3) +
           "\nInput in 0 1 data\nConvolution c 1 1 data x 0=64 1=3 4=1 6=1728\n" + line + " out\n";
}

}  // namespace

TEST_CASE("a layer's inputs, outputs and parameters are checked, with its line and its name") {
    const std::vector<Refused> all = {
        {"7767517\n3 4\nInput in 0 1 data\nNoop n 1 2 data a b\nConcat k 2 1 a b out\n",
         {"line 4", "'n' (Noop)", "2 outputs"}},
        {with("Eltwise e 1 1 data out 0=2"), {"'e' (Eltwise)", "1 input"}},
        {with("BinaryOp b 1 1 data out 0=2"), {"'b' (BinaryOp)", "1 input"}},
        {with_two("BinaryOp b 2 1 x b out 0=2 1=1 2=2.0", 3), {"'b' (BinaryOp)", "2 inputs"}},
        {with("MultiHeadAttention m 1 1 data out 0=8 1=3 2=64"), {"'m' (MultiHead", "heads"}},
        {with("SDPA s 1 1 data out"), {"'s' (SDPA)", "1 input"}},
        {with("Slice s 1 1 data out -23300=2,1,2"), {"'s' (Slice)", "list gives 2"}},
        {with_two("Eltwise e 2 1 x b out 0=1 -23301=2,8,1.0", 3), {"line 6", "whole numbers"}},
        {with_two("Eltwise e 2 1 x b out 0=1 -23301=1,8.0", 3), {"'e' (Eltwise)", "1 factor"}},
        {with("Convolution c 1 1 data out 0=3.0 1=3 4=1 6=81"), {"parameter 0", "whole number"}},
        {with("Convolution c 1 1 data out 0=3 1=3 4=-5 6=81"), {"'c' (Convolution)", "padding"}},
        {with("Convolution c 1 1 data out 0=3 1=3 4=1 6=81 8=2"), {"quantized", "16-bit"}},
        {with("Convolution c 1 1 data out 0=3 1=3 4=1 6=81 9=2"), {"activation"}},
        {with("Convolution c 1 1 data out 0=3 1=3 4=1 6=81 7=0"), {"parameter 7", "not 1"}},
        {with("Deconvolution c 1 1 data out 0=3 1=3 4=1 6=81 7=0"), {"parameter 7", "not 1"}},
        {with("ConvolutionDepthWise c 1 1 data out 0=3 1=3 4=1 6=27 7=0"), {"parameter 7"}},
        {with("PixelShuffle p 1 1 data out 0=32768"), {"parameter 0", "from 1 to 64"}},
        {with("Interp i 1 1 data out 1=2.0 2=2.0"), {"'i' (Interp)", "how it resizes"}},
        {with("Interp i 1 1 data out 0=1 1=1e30 2=1e30"), {"parameter 1", "number"}},
        {with("Reshape r 1 1 data out 6=\"0w,*(0h)\""), {"'r' (Reshape)", "'0w,*(0h)'"}},
        {with("ReLU r 1 1 data out 40=1"), {"from 0 to 31", "'40=1'"}},
        {with("ReLU r 1 1 data out 0=fast"), {"parameter 0", "a number"}},
    };
    for (const Refused& refused : all) {
        CHECK_THROWS(ModelError, refused.message, inspected(refused.network));
    }
}

TEST_CASE("sizes that follow from the graph are checked when it is read") {
    const std::vector<Refused> all = {
        {with_two("Concat k 2 1 x b y\nPReLU p 1 1 y out 0=5", 3), {"expected 4 layers"}},
        {with("PReLU p 1 1 data out 0=2"), {"'p' (PReLU)", "2 slopes for 3 channels"}},
        {with("PixelShuffle p 1 1 data out 0=2"), {"'p' (PixelShuffle)", "3 channels by 2"}},
        {with_two("BinaryOp b 2 1 x b out 0=0", 4), {"'b' (BinaryOp)", "do not fit"}},
        {with_two("Eltwise e 2 1 x b out 0=1", 1), {"'e' (Eltwise)", "do not fit"}},
        {with("ConvolutionDepthWise d 1 1 data out 0=4 1=3 4=1 6=36 7=4"),
         {"'d' (ConvolutionDepthWise)", "for 4 channels, but reads 3"}},
        {"7767517\n5 6\nInput in 0 1 data\nSplit s 1 2 data a b\nConvolution c 1 1 a x 0=12 1=3 "
         "4=1 6=324\nPixelShuffle p 1 1 x y 0=2\nConcat k 2 1 y b out\n",
         {"'k' (Concat)", "do not fit"}},
        {"7767517\n3 4\nInput in 0 1 data\nSlice s 1 2 data a b -23300=2,1,1\nConcat k 2 1 a b o\n",
         {"'s' (Slice)", "fit into 3"}},
    };
    for (const Refused& refused : all) {
        CHECK_THROWS(ModelError, refused.message, inspected(refused.network));
    }
    CHECK_EQUAL(inspected(with_two("BinaryOp b 2 1 x b out 0=0", 1)).scale, 1);  // broadcast
    CHECK_EQUAL(inspected(with("PReLU p 1 1 data out 0=1")).scale, 1);
}

TEST_CASE("sizes known only in a run are checked before the layer computes") {
    // Behind a global pooling the number of dimensions depends on ncnn.
    const auto run = [&](const std::string& middle, int slopes) {
        const std::string text =
            "7767517\n7 8\nInput in 0 1 data\nSplit s 1 2 data a b\nPooling g 1 1 a x 0=1 4=1\n"
            "PReLU p 1 1 x y 0=" +
            std::to_string(slopes) + "\n" + middle +
            "Sigmoid q 1 1 z v\nBinaryOp m 2 1 b v out 0=2\n";
        const std::vector<float> numbers(static_cast<std::size_t>(slopes), 0.5F);
        const Upscaler upscaler(folder.file("n.param", text),
                                folder.file("n.bin", tiny::Weights().floats(numbers).bytes()),
                                Options{});
        const Picture input = Picture::random(16, 16);
        Picture output(16, 16);
        upscaler.run(input.view(), output.writable());
    };
    run("ReLU r 1 1 y z\n", 3);
    CHECK_THROWS(ModelError, (std::vector<std::string>{"n.param", "'p' (PReLU)", "2 slopes for 3"}),
                 run("ReLU r 1 1 y z\n", 2));
    CHECK_THROWS(ModelError, (std::vector<std::string>{"'h' (PixelShuffle)", "of 1 dimensions"}),
                 run("PixelShuffle h 1 1 y z 0=1\n", 3));
}

TEST_CASE("sizes that ncnn does not check: windows, broadcasting, crops and reshapes") {
    const Shape picture = Shape::picture(16, 12, 8);
    const Shape row{1, 8, 1, 1, 1};
    CHECK(size_fault(layer("BinaryOp", {}, 2), {picture, row}).empty());
    CHECK(size_fault(layer("BinaryOp", {}, 2), {picture, Shape{1, 16, 1, 1, 1}}).empty());
    CHECK(!size_fault(layer("BinaryOp", {}, 2), {picture, Shape{1, 12, 1, 1, 1}}).empty());
    CHECK(size_fault(layer("BinaryOp", {}, 2), {picture, Shape{2, 12, 8, 1, 1}}).empty());
    CHECK(size_fault(layer("Softmax", {{0, -3}}), {picture}).empty());
    CHECK(!size_fault(layer("Softmax", {{0, 3}}), {picture}).empty());
    const auto padded = [&](int side) {
        return size_fault(layer("Padding", {{0, side}, {4, 2}}), {picture});
    };
    CHECK(padded(11).empty() && !padded(12).empty());
    const auto pooled = [&](int kernel) {
        return size_fault(layer("Pooling", {{1, kernel}, {5, 1}}), {picture});
    };
    CHECK(pooled(12).empty() && !pooled(13).empty());
    const auto reshaped = [&](int w, int h) {
        return size_fault(layer("Reshape", {{0, w}, {1, h}}), {picture});
    };
    CHECK(reshaped(-1, 8).empty() && reshaped(0, 96).empty());
    CHECK(!reshaped(-1, 7).empty() && !reshaped(0, 95).empty());
    const auto cropped = [&](int from, int to) {
        return size_fault(layer("Crop", {{9, std::vector<int>{from}},
                                         {10, std::vector<int>{to}},
                                         {11, std::vector<int>{1}}}),
                          {picture});
    };
    CHECK(cropped(2, -2).empty() && cropped(-12, 12).empty());
    CHECK(!cropped(-13, 12).empty() && !cropped(12, 13).empty());
    const auto product = [&](const Shape& a, const Shape& b) {
        return size_fault(layer("MatMul", {}, 2), {a, b});
    };
    CHECK(product(picture, Shape::picture(5, 16, 8)).empty());
    CHECK(!product(picture, Shape::picture(16, 5, 8)).empty());
    CHECK(!product(picture, Shape::picture(5, 16, 7)).empty());
}

TEST_CASE("sizes written as text") {
    const std::vector<Shape> inputs{Shape::picture(10, 6, 4)};
    const auto sizes = evaluate_sizes("*(0w,2),-(0h,//(0c,3)),-1", inputs);
    CHECK(sizes && *sizes == (std::vector<std::int64_t>{20, 5, -1}));
    CHECK(!evaluate_sizes("//(0w,0)", inputs) && !evaluate_sizes("1w", inputs));
    CHECK(!evaluate_sizes("*(2147483647,2)", inputs));
    CHECK(expression_inputs("0w,1h") == 2 && expression_inputs("3") == 0);
    for (const char* broken : {"", "+", "*(0w)", "0x", "4w2", "sqrt(0w)"}) {
        CHECK(!expression_inputs(broken));
    }
}

TEST_CASE("slices cost one pass, however many there are") {
    for (const int count : {2, 22, 64}) {
        const auto start = std::chrono::steady_clock::now();
        CHECK_EQUAL(inspected(many_slices(count)).output_channels, 64);
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
        CHECK_BELOW(passed.count(), 1.0);
    }
}

TEST_CASE("chains of enlargements and shuffles stay within 64 bits and within a second") {
    std::string shuffles;
    std::string blob = "data";
    constexpr int kCount = 12;
    for (int i = 0; i < kCount; ++i) {
        const std::string next = i + 1 == kCount ? "out" : "b" + std::to_string(i);
        shuffles += "Reorg r" + std::to_string(i) + " 1 1 " + blob + ' ' + next + " 0=16\n";
        blob = next;
    }
    const auto start = std::chrono::steady_clock::now();
    CHECK_THROWS(ModelError, std::vector<std::string>{"multiples"},
                 inspected("7767517\n13 13\nInput in 0 1 data\n" + shuffles));
    CHECK_THROWS(
        ModelError, std::vector<std::string>{"256 times"},
        inspected("7767517\n3 3\nInput in 0 1 data\nInterp a 1 1 data b 0=1 1=16.0 2=16.0\n"
                  "Interp c 1 1 b out 0=1 1=16.0 2=16.0\n"));
    // Doubling by concatenation: 2^40 tensors side by side are not laid out.
    std::string doubled =
        "7767517\n82 122\nInput in 0 1 data\nConvolution c 1 1 data b0 0=4 1=3 4=1 "
        "6=108\n";
    for (int i = 0; i < 40; ++i) {
        const std::string n = std::to_string(i);
        doubled += "Split s" + n + " 1 2 b" + n + " x" + n + " y" + n + "\nConcat k" + n +
                   " 2 1 x" + n + " y" + n + " b" + std::to_string(i + 1) + "\n";
    }
    CHECK_THROWS(ModelError, std::vector<std::string>{"network.bin"},
                 Upscaler(folder.file("network.param", doubled), folder.file("network.bin", "none"),
                          Options{}));
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    CHECK_BELOW(passed.count(), 1.0);
}

TEST_CASE("a blob with several readers and no Split runs as with one, in the stream and in tiles") {
    const tiny::Network split = tiny::compact();
    std::string shared = split.param;
    const auto replace = [&](const std::string& from, const std::string& to) {
        shared.replace(shared.find(from), from.size(), to);
    };
    replace("8 9", "7 7");
    replace("Split s 1 2 data a b\n", "");
    replace(" a f ", " data f ");
    replace(" b j ", " data j ");
    const Picture input = Picture::random(20, 13);
    for (const int tile : {realesrgan::kTileAuto, realesrgan::kTileWhole}) {
        Options options;
        options.tile = tile;
        std::vector<Picture> results(2, Picture(40, 26));
        const std::string texts[] = {split.param, shared};
        for (std::size_t i = 0; i < 2; ++i) {
            Upscaler(folder.file("network.param", texts[i]), folder.file("network.bin", split.bin),
                     options)
                .run(input.view(), results[i].writable());
        }
        CHECK_EQUAL(largest_difference(results[0], results[1]), 0.0F);
    }
}

TEST_CASE("a byte order mark is skipped, and a message names UTF-16") {
    CHECK_EQUAL(inspected("\xEF\xBB\xBF" + tiny::compact().param).scale, 2);
    std::string wide = "\xFF\xFE";
    for (const char letter : tiny::compact().param) wide += {letter, '\0'};
    CHECK_THROWS(ModelError, (std::vector<std::string>{"line 1", "UTF-16"}), inspected(wide));
    CHECK_THROWS(ModelError, (std::vector<std::string>{"line 1", "UTF-16"}),
                 inspected(wide.substr(2)));
}

TEST_CASE("names in messages are one line of UTF-8, and short") {
    CHECK_THROWS(ModelError, (std::vector<std::string>{"'\\xc9\\x1b[31m\xC3\xA9'"}),
                 inspected(with("PReLU \xC9\x1B[31m\xC3\xA9 1 1 data out 0=2")));
    const std::string name(5000, 'n');
    try {
        inspected(with("PReLU " + name + " 1 1 data out 0=2"));
        CHECK(false);
    } catch (const ModelError& error) {
        CHECK_BELOW(std::string(error.what()).size(), 300U);
    }
}

int main() {
    return check::run_all();
}
