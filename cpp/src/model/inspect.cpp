#include <algorithm>
#include <cstdint>
#include <string>

#include "base/escape.hpp"
#include "base/integers.hpp"
#include "model/graph.hpp"
#include "model/shape_inference.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {
namespace {

bool all_row_local(const Graph& graph, const Trace& sizes) {
    const auto local = [](const LayerRule& rule) { return rule.row_local; };
    return std::all_of(sizes.rules.begin(), sizes.rules.end(), local) &&
           sizes.blobs[idx(graph.output)].zoom.known();
}

}  // namespace

NetworkInfo inspect(const Graph& graph) {
    const Trace sizes = trace(graph);
    if (!sizes.consistent) {
        throw ModelError("output " + shown_name(graph.output_name()) +
                         ": no number of input channels fits the sizes of the convolutions' "
                         "weights; the .param file is damaged");
    }
    check_sizes(graph, sizes);
    const BlobSize& output = sizes.blobs[idx(graph.output)];
    if (output.zoom.known() && output.zoom.denominator != 1) {
        throw ModelError("output " + shown_name(graph.output_name()) +
                         ": the network's result is " + std::to_string(output.zoom.value()) +
                         " times its input; only whole scales from 1 are supported");
    }
    if (output.zoom.numerator > kMostScale) {
        throw ModelError("output " + shown_name(graph.output_name()) +
                         ": the network's result is " + std::to_string(output.zoom.numerator) +
                         " times its input; scales to 64 are supported");
    }
    NetworkInfo info;
    info.scale = static_cast<int>(output.zoom.numerator);
    info.input_channels = sizes.input_channels;
    info.output_channels = output.channels;
    info.row_local = all_row_local(graph, sizes);
    info.receptive_field =
        sizes.known && output.zoom.known() ? receptive_field(graph, sizes) : kFieldUnknown;
    return info;
}

}  // namespace realesrgan
