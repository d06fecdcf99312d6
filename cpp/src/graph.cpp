#include "graph.hpp"

#include <unordered_map>

#include "param_reader.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {
namespace {

// Gives blobs their numbers and checks that each is produced once, before it is used.
class BlobTable {
  public:
    BlobTable(const std::string& path, Graph& graph) : path_(path), graph_(graph) {}

    int produced(const std::string& name, const ParamLine& line) {
        const int id = static_cast<int>(graph_.blobs.size());
        if (!ids_.emplace(name, id).second) {
            fail_at(path_, line.number, "blob '" + name + "' is produced a second time");
        }
        graph_.blobs.push_back(name);
        used_.push_back(false);
        return id;
    }

    int consumed(const std::string& name, const ParamLine& line) {
        const auto found = ids_.find(name);
        if (found == ids_.end()) {
            fail_at(
                path_, line.number,
                "layer '" + line.name + "' uses blob '" + name + "', which no line before makes");
        }
        used_[static_cast<std::size_t>(found->second)] = true;
        return found->second;
    }

    std::vector<int> unused() const {
        std::vector<int> ids;
        for (std::size_t i = 0; i < used_.size(); ++i) {
            if (!used_[i]) {
                ids.push_back(static_cast<int>(i));
            }
        }
        return ids;
    }

  private:
    const std::string& path_;
    Graph& graph_;
    std::unordered_map<std::string, int> ids_;
    std::vector<bool> used_;
};

Layer link(const ParamLine& line, BlobTable& blobs) {
    Layer layer{line.type, line.name, {}, {}, line.params};
    for (const std::string& name : line.inputs) {
        layer.inputs.push_back(blobs.consumed(name, line));
    }
    for (const std::string& name : line.outputs) {
        layer.outputs.push_back(blobs.produced(name, line));
    }
    return layer;
}

void note_input(const std::string& path, const ParamLine& line, Graph& graph) {
    const Layer& layer = graph.layers.back();
    if (layer.outputs.size() != 1 || !layer.inputs.empty()) {
        fail_at(path, line.number, "expected one blob out of the Input layer");
    }
    if (graph.input >= 0) {
        fail_at(path, line.number,
                "a second Input layer; this is not a network from one picture to one picture");
    }
    graph.input = layer.outputs.front();
}

std::string names(const Graph& graph, const std::vector<int>& ids) {
    constexpr std::size_t kShown = 4;
    std::string text;
    for (std::size_t i = 0; i < ids.size() && i < kShown; ++i) {
        text += (i == 0 ? "'" : ", '") + graph.blobs[static_cast<std::size_t>(ids[i])] + "'";
    }
    return text + (ids.size() > kShown ? ", ..." : "");
}

void find_ends(const std::string& path, const BlobTable& blobs, Graph& graph) {
    if (graph.input < 0) {
        throw ModelError(path + ": no Input layer; this is not a network that takes a picture");
    }
    const std::vector<int> ends = blobs.unused();
    if (ends.size() != 1) {
        throw ModelError(path + ": expected one output, the blob that no layer uses, found " +
                         std::to_string(ends.size()) + (ends.empty() ? "" : ": ") +
                         names(graph, ends));
    }
    graph.output = ends.front();
    if (graph.output == graph.input) {
        throw ModelError(path + ": the network has no layer after its input");
    }
}

}  // namespace

int Layer::integer(int id, int fallback) const {
    const auto found = params.find(id);
    if (found == params.end()) {
        return fallback;
    }
    if (const int* value = std::get_if<int>(&found->second)) {
        return *value;
    }
    if (const float* value = std::get_if<float>(&found->second)) {
        return static_cast<int>(*value);
    }
    return fallback;
}

float Layer::number(int id, float fallback) const {
    const auto found = params.find(id);
    if (found == params.end()) {
        return fallback;
    }
    if (const int* value = std::get_if<int>(&found->second)) {
        return static_cast<float>(*value);
    }
    if (const float* value = std::get_if<float>(&found->second)) {
        return *value;
    }
    return fallback;
}

std::vector<float> Layer::array(int id) const {
    const auto found = params.find(id);
    if (found == params.end()) {
        return {};
    }
    if (const auto* values = std::get_if<std::vector<float>>(&found->second)) {
        return *values;
    }
    return {number(id, 0.0F)};
}

Graph read_graph(const std::string& param_path) {
    const ParamText text = read_param_text(param_path);
    Graph graph;
    BlobTable blobs(param_path, graph);
    for (const ParamLine& line : text.layers) {
        graph.layers.push_back(link(line, blobs));
        if (line.type == "Input") {
            note_input(param_path, line, graph);
        }
    }
    if (graph.blobs.size() != static_cast<std::size_t>(text.blob_count)) {
        throw ModelError(param_path + ", line 2: expected " + std::to_string(text.blob_count) +
                         " blobs, but the layers make " + std::to_string(graph.blobs.size()));
    }
    find_ends(param_path, blobs, graph);
    return graph;
}

}  // namespace realesrgan
