#include "model/graph.hpp"
#include "model/shape_inference.hpp"
#include "program/fuse.hpp"
#include "realesrgan/errors.hpp"
#include "support/check.hpp"
#include "support/tiny_network.hpp"

using realesrgan::Graph;
using realesrgan::inspect;
using realesrgan::is_row_local;
using realesrgan::ModelError;
using realesrgan::NetworkInfo;
using realesrgan::read_graph;
using realesrgan::trace;
using realesrgan::Trace;

namespace {

const tiny::Folder folder;

Graph read(const std::string& text) {
    return read_graph(folder.file("network.param", text));
}

struct Damage {
    std::string text;
    std::vector<std::string> message;  // parts of it
};

const std::string kConv = "Convolution c 1 1 data out 0=3 1=3 4=1 5=1 6=81\n";

}  // namespace

TEST_CASE("onnx2ncnn's dialect") {
    const Graph graph = read(tiny::compact().param);
    CHECK_EQUAL(graph.layers.size(), 8U);
    CHECK_EQUAL(graph.input_name(), "data");
    CHECK_EQUAL(graph.output_name(), "output");
    CHECK_EQUAL(graph.layers[2].integer(6, 0), 432);
    const NetworkInfo info = inspect(graph);
    CHECK_EQUAL(info.scale, 2);
    CHECK_EQUAL(info.input_channels, 3);
    CHECK_EQUAL(info.output_channels, 3);
    CHECK_EQUAL(info.receptive_field, 2);
    CHECK(is_row_local(graph));
}

TEST_CASE("pnnx's dialect, with scalars, lists of both kinds and a shuffle to channels") {
    const Graph graph = read(
        "7767517\r\n6 7\r\n\r\n"
        "Input in0 0 1 in0\r\n"
        "Reorg u 1 1 in0 1 0=2 1=1\r\n"
        "Convolution c 1 1 1 2 0=48 1=3 11=3 2=1 12=1 3=1 13=1 4=1 14=1 15=1 16=1 5=1 6=5184 9=2 "
        "-23310=1,2.000000e-01\r\n"
        "Split s 1 2 2 3 4\r\n"
        "BinaryOp m 1 1 3 5 0=2 1=1 2=2e-1\r\n"
        "Eltwise a 2 1 5 4 out0 0=1 1=0.2,1\r\n");
    CHECK_EQUAL(graph.layers[2].array(10).size(), 1U);
    CHECK_NEAR(graph.layers[2].array(10)[0], 0.2F, 1e-7F);
    CHECK_NEAR(graph.layers[4].number(2, 0.0F), 0.2F, 1e-7F);
    CHECK_EQUAL(graph.layers[5].array(1).size(), 2U);
    CHECK_THROWS(ModelError, (std::vector<std::string>{"out0", "0.5"}), inspect(graph));
    const NetworkInfo info = inspect(read(tiny::unshuffled().param));
    CHECK_EQUAL(info.scale, 2);
    CHECK_EQUAL(info.input_channels, 3);
    CHECK_EQUAL(info.receptive_field, 3);  // one row of pairs, and the other row of the own pair
}

TEST_CASE("scale follows a resize behind the network") {
    const std::string zoomed =
        "7767517\n4 4\nInput in 0 1 data\n"
        "Convolution c 1 1 data a 0=48 1=3 4=1 5=1 6=1296\nPixelShuffle d 1 1 a b 0=4\n"
        "Interp r 1 1 b output 0=3 1=";
    CHECK_EQUAL(inspect(read(zoomed + "5.0e-01 2=5.0e-01\n")).scale, 2);
    CHECK_EQUAL(inspect(read(zoomed + "0.75 2=0.75\n")).scale, 3);
    CHECK(is_row_local(read(zoomed + "0.5 2=0.5\n")));
    // ncnn takes this factor as it is, and repeats other samples than for 2.
    CHECK(!is_row_local(read(zoomed + "2.0000020e+00 2=2.000000e+00\n")));
    CHECK(!is_row_local(read(zoomed + "2.0000020e+00 2=2.0000020e+00\n")));
    CHECK(is_row_local(read(zoomed + "2.000000e+00 2=2.000000e+00\n")));
    CHECK_EQUAL(inspect(read(zoomed + "0.5 2=0.75\n")).scale, 0);
    CHECK_EQUAL(inspect(read(zoomed + "2.500001e-01 2=2.500001e-01\n")).scale, 1);
    CHECK_EQUAL(inspect(read(zoomed + "2.50001e-01 2=2.50001e-01\n")).scale, 0);
}

TEST_CASE("a size that an expression gives is unknown") {
    const Graph graph = read(
        "7767517\n3 3\nInput in 0 1 data\n"
        "Convolution c 1 1 data a 0=3 1=3 4=1 5=1 6=81\n"
        "Interp r 1 1 a out 0=2 9=\"*(0w,2),*(0h,2)\"\n");
    CHECK_EQUAL(inspect(graph).scale, 0);
    CHECK(!is_row_local(graph));
}

TEST_CASE("layers that look beyond rows, or are unknown, go to the tile path") {
    const Graph pooling = read(
        "7767517\n5 6\nInput in 0 1 data\nSplit s 1 2 data a b\n"
        "Pooling p 1 1 a g 0=1 4=1\nSigmoid q 1 1 g h\nBinaryOp m 2 1 b h out 0=2\n");
    const NetworkInfo pooled = inspect(pooling);
    CHECK(!is_row_local(pooling));
    CHECK_EQUAL(pooled.scale, 1);
    CHECK_EQUAL(pooled.receptive_field, 64);
    const Graph mystery = read("7767517\n2 2\nInput in 0 1 data\nMystery m 1 1 data out\n");
    CHECK(!is_row_local(mystery));
    CHECK_EQUAL(inspect(mystery).scale, 0);
}

TEST_CASE("a transposed convolution has its stride for a scale, and runs in the row stream") {
    const Graph deconvolution = read(
        "7767517\n2 2\nInput in 0 1 data\nDeconvolution d 1 1 data out 0=3 1=4 3=2 4=1 6=144\n");
    const NetworkInfo transposed = inspect(deconvolution);
    CHECK(is_row_local(deconvolution));
    CHECK_EQUAL(transposed.scale, 2);
    CHECK_EQUAL(transposed.receptive_field, 1);
}

TEST_CASE("the border that a result lacks is found from the graph, with sides that suit it") {
    const std::string head = "7767517\n4 4\nInput in 0 1 data\n";
    const auto convolution = [](const std::string& from, const std::string& to,
                                const std::string& more) {
        return "Convolution " + to + " 1 1 " + from + " " + to + " 0=3 6=81 1=3 " + more + "\n";
    };
    const Graph valid = read(head + convolution("data", "a", "") + convolution("a", "b", "4=1") +
                             "Deconvolution d 1 1 b out 0=3 1=4 3=2 4=3 6=144\n");
    const NetworkInfo info = inspect(valid);
    CHECK_EQUAL(info.scale, 2);
    CHECK_EQUAL(info.border, 2);
    CHECK_EQUAL(info.receptive_field, 3);
    CHECK(!info.pools_all && !is_row_local(valid));
    // A padding layer in front keeps the size; its rows are no border.
    const Graph reflected = read(head + "Padding p 1 1 data a 0=2 1=2 2=2 3=2 4=2\n" +
                                 convolution("a", "b", "") + convolution("b", "out", ""));
    CHECK_EQUAL(inspect(reflected).border, 0);
    CHECK_EQUAL(inspect(reflected).scale, 1);
    CHECK_EQUAL(inspect(reflected).receptive_field, 2);
    // 2k + 1 rows become k, then k - 2, then 2k - 3; of 2k rows there would be 5 less.
    const Graph odd = read(head + convolution("data", "a", "3=2") + convolution("a", "b", "") +
                           "Deconvolution d 1 1 b out 0=3 1=3 3=2 6=81\n");
    const Trace sizes = trace(odd);
    CHECK_EQUAL(sizes.alignment, 2);
    CHECK_EQUAL(sizes.rest, 1);
    CHECK_EQUAL(sizes.border.value_or(-1), 2);
    // One row less on one side alone: left to a run of the network.
    const Graph uneven = read(
        "7767517\n2 2\nInput in 0 1 data\n"
        "Convolution c 1 1 data out 0=3 1=2 6=36\n");
    CHECK_EQUAL(inspect(uneven).scale, 0);
    CHECK(!trace(uneven).border);
}

TEST_CASE("input channels are those the weights fit") {
    CHECK_EQUAL(
        inspect(
            read("7767517\n2 2\nInput in 0 1 data\nConvolution c 1 1 data out 0=1 1=3 4=1 6=9\n"))
            .input_channels,
        1);
    CHECK_THROWS(ModelError, std::vector<std::string>{"no number of input channels"},
                 inspect(read("7767517\n2 2\nInput in 0 1 data\n"
                              "Convolution c 1 1 data out 0=7 1=3 4=1 6=50\n")));
}

TEST_CASE("every malformed file is a ModelError with line and reason") {
    const std::string head = "7767517\n2 2\nInput in 0 1 data\n";
    const std::vector<Damage> damages = {
        {"", {"network.param", "empty"}},
        {"\x89PNG\r\n\x1a\n", {"line 1", "7767517"}},
        {"7767518\n2 2\n", {"line 1", "7767517", "'7767518'"}},
        {"7767517\n", {"line 2", "the numbers of layers and blobs"}},
        {"7767517\n2\n", {"line 2", "the number of blobs"}},
        {"7767517\n-2 2\n" + kConv, {"line 2", "the number of layers", "'-2'"}},
        {"7767517\n99999999999 2\n", {"line 2", "the number of layers"}},
        {head, {"expected 2 layers, found 1"}},
        {head + kConv + kConv, {"expected 2 layers, found 3"}},
        {head + "Convolution\n", {"line 4", "a layer's name"}},
        {head + "Convolution c x 1 data out\n", {"line 4", "the number of inputs", "'x'"}},
        {head + "Convolution c 1 2 data out\n", {"line 4", "output 2 of 2"}},
        {head + "Convolution c 1 1 data out 0=\n", {"line 4", "'0='"}},
        {head + "Convolution c 1 1 data out 0:3\n", {"line 4", "'0:3'"}},
        {head + "Convolution c 1 1 data out 0=3=4\n", {"line 4", "'0=3=4'"}},
        {head + "Convolution c 1 1 data out -23310=2,0.1\n", {"line 4", "as many numbers"}},
        {head + "Convolution c 1 1 data out 0=\"open\n", {"line 4", "closing quote"}},
        {head + "Convolution c 1 1 other out 0=3\n", {"line 4", "'other'", "no line before"}},
        {head + "Convolution c 1 1 data data 0=3\n", {"line 4", "'data'", "second time"}},
        {"7767517\n2 3\nInput in 0 1 data\n" + kConv, {"line 2", "expected 3 blobs", "make 2"}},
        {"7767517\n2 2\nInput in 0 1 data\nInput b 0 1 out\n", {"line 4", "second Input"}},
        {"7767517\n1 1\nMemoryData m 0 1 out\n", {"no Input layer"}},
        {"7767517\n1 1\nInput in 0 1 data\n", {"no layer after"}},
        {"7767517\n2 3\nInput in 0 1 data\nSplit s 1 2 data a b\n", {"found 2", "'a', 'b'"}},
    };
    for (const Damage& damage : damages) {
        CHECK_THROWS(ModelError, damage.message, read(damage.text));
    }
    CHECK_THROWS(ModelError, std::vector<std::string>{"no such file"},
                 read_graph("/no/such.param"));
}

int main() {
    return check::run_all();
}
