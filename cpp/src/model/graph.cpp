#include "model/graph.hpp"

#include <unordered_map>
#include <utility>

#include "base/escape.hpp"
#include "base/integers.hpp"
#include "model/layer_kinds.hpp"
#include "model/param_parser.hpp"
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
            fail_at(path_, line.number, "blob " + shown_name(name) + " is produced a second time");
        }
        graph_.blobs.push_back(name);
        used_.push_back(false);
        return id;
    }

    int consumed(const std::string& name, const ParamLine& line) {
        const auto found = ids_.find(name);
        if (found == ids_.end()) {
            fail_at(path_, line.number,
                    "layer " + shown_name(line.name) + " uses blob " + shown_name(name) +
                        ", which no line before it produces");
        }
        used_[idx(found->second)] = true;
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
        text += (i == 0 ? "" : ", ") + shown_name(graph.blobs[idx(ids[i])]);
    }
    return text + (ids.size() > kShown ? ", ..." : "");
}

void find_ends(const std::string& path, const BlobTable& blobs, Graph& graph) {
    if (graph.input < 0) {
        throw ModelError(shown_path(path) +
                         ": no Input layer; this is not a network that takes a picture");
    }
    const std::vector<int> ends = blobs.unused();
    if (ends.size() != 1) {
        throw ModelError(
            shown_path(path) + ": expected one output, the blob that no layer uses, found " +
            std::to_string(ends.size()) + (ends.empty() ? "" : ": ") + names(graph, ends));
    }
    graph.output = ends.front();
    if (graph.output == graph.input) {
        throw ModelError(shown_path(path) + ": the network has no layer after its input");
    }
}

// Blobs are numbered in the order in which layers make them, as ncnn numbers them.
void number_blobs(Graph& graph) {
    std::vector<int> numbers(graph.blobs.size());
    std::vector<std::string> names;
    for (Layer& layer : graph.layers) {
        for (int& blob : layer.inputs) blob = numbers[idx(blob)];
        for (int& blob : layer.outputs) {
            const auto written = static_cast<std::size_t>(blob);
            numbers[written] = static_cast<int>(names.size());
            names.push_back(graph.blobs[written]);
            blob = numbers[written];
        }
    }
    graph.blobs = std::move(names);
    graph.input = numbers[idx(graph.input)];
    graph.output = numbers[idx(graph.output)];
}

// A blob with several readers gets a Split, as converters write it: ncnn frees a blob after its
// first reader.
void split_shared_blobs(Graph& graph) {
    std::vector<int> readers(graph.blobs.size());
    for (const Layer& layer : graph.layers) {
        for (const int blob : layer.inputs) ++readers[idx(blob)];
    }
    std::unordered_map<int, std::vector<int>> parts;  // of a blob, those that nobody reads yet
    std::vector<Layer> layers;
    for (Layer& layer : graph.layers) {
        for (int& blob : layer.inputs) {
            const auto shared = parts.find(blob);
            if (shared == parts.end()) continue;
            blob = shared->second.back();
            shared->second.pop_back();
        }
        const std::vector<int> outputs = layer.outputs;
        layers.push_back(std::move(layer));
        for (const int blob : outputs) {
            const int count = readers[idx(blob)];
            if (count < 2) continue;
            const std::string name = graph.blobs[idx(blob)];
            Layer split{"Split", name, {blob}, {}, {}};
            for (int i = 0; i < count; ++i) {
                split.outputs.push_back(static_cast<int>(graph.blobs.size()));
                graph.blobs.push_back(name);
            }
            parts[blob] = {split.outputs.rbegin(), split.outputs.rend()};
            layers.push_back(std::move(split));
        }
    }
    graph.layers = std::move(layers);
    number_blobs(graph);
}

template <typename Value>
const Value* find(const std::map<int, ParamValue>& params, int id) {
    const auto found = params.find(id);
    return found == params.end() ? nullptr : std::get_if<Value>(&found->second);
}

}  // namespace

int Layer::integer(int id, int fallback) const {
    const int* value = find<int>(params, id);
    return value == nullptr ? fallback : *value;
}

float Layer::number(int id, float fallback) const {
    if (const int* value = find<int>(params, id)) return static_cast<float>(*value);
    const float* value = find<float>(params, id);
    return value == nullptr ? fallback : *value;
}

std::vector<int> Layer::integers(int id) const {
    const auto* values = find<std::vector<int>>(params, id);
    return values == nullptr ? std::vector<int>() : *values;
}

std::vector<float> Layer::array(int id) const {
    if (const auto* values = find<std::vector<float>>(params, id)) return *values;
    const std::vector<int> values = integers(id);
    return {values.begin(), values.end()};
}

std::string Layer::text(int id) const {
    const auto* value = find<std::string>(params, id);
    return value == nullptr ? std::string() : *value;
}

Graph read_graph(const std::string& param_path) {
    const ParamText text = read_param_text(param_path);
    Graph graph;
    BlobTable blobs(param_path, graph);
    for (const ParamLine& line : text.layers) {
        graph.layers.push_back(link(line, blobs));
        const std::string fault = layer_fault(graph.layers.back());
        if (!fault.empty()) {
            fail_at(param_path, line.number, layer_title(graph.layers.back()) + " " + fault);
        }
        if (line.type == "Input") {
            note_input(param_path, line, graph);
        }
    }
    if (graph.blobs.size() != static_cast<std::size_t>(text.blob_count)) {
        throw ModelError(shown_path(param_path) + ", line 2: expected " +
                         std::to_string(text.blob_count) + " blobs, but the layers make " +
                         std::to_string(graph.blobs.size()));
    }
    find_ends(param_path, blobs, graph);
    split_shared_blobs(graph);
    return graph;
}

}  // namespace realesrgan
