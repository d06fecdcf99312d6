#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/integers.hpp"
#include "realesrgan/upscaler.hpp"

namespace realesrgan {

inline constexpr int kMostScale = 64;  // of a tensor over the input, and of a network

// One value of a layer's parameter list ("0=64 9=2 -23310=1,0.2 6="0w,0h""): lists lose their
// -23300 offset, texts their quotes.
using ParamValue = std::variant<int, float, std::vector<int>, std::vector<float>, std::string>;

struct Layer {
    std::string type;
    std::string name;
    std::vector<int> inputs;   // blob ids
    std::vector<int> outputs;  // blob ids
    std::map<int, ParamValue> params;

    // What ncnn's ParamDict gives for the same id. The types and ranges that layer_kinds.hpp states
    // were checked when the graph was read.
    int integer(int id, int fallback) const;
    float number(int id, float fallback) const;
    std::vector<int> integers(int id) const;
    std::vector<float> array(int id) const;
    std::string text(int id) const;
};

// A .param file as data, checked: every blob is produced once before it is used, counts agree.
struct Graph {
    std::vector<Layer> layers;
    std::vector<std::string> blobs;
    int input = -1;   // blob id: the one Input layer's blob
    int output = -1;  // blob id: the one blob nobody consumes

    const std::string& input_name() const { return blobs[idx(input)]; }
    const std::string& output_name() const { return blobs[idx(output)]; }
};

// Throws ModelError naming the file and the line for anything that is not an image-to-image graph.
Graph read_graph(const std::string& param_path);

// Scale, channels and receptive field, by following sizes through the layers of
// either converter (onnx2ncnn: Eltwise, blobs data/output; pnnx: BinaryOp with scalar, in0/out0).
// Layers it does not know leave the receptive field at the 64-pixel cap. `row_local` is left false:
// is_row_local() of program/fuse.hpp tells.
NetworkInfo inspect(const Graph& graph);

}  // namespace realesrgan
