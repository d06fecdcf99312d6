#include "model/param_writer.hpp"

#include <locale>
#include <sstream>
#include <variant>
#include <vector>

#include "model/layer_kinds.hpp"

namespace realesrgan {

namespace {

constexpr int kFeatureMask = 31;  // of any layer: what ncnn must not use for it
constexpr int kMostMask = 255;

class Writer {
  public:
    Writer() {
        out_.imbue(std::locale::classic());
        out_.precision(8);  // nine digits give a 32-bit float exactly
        out_ << std::scientific;
    }

    void layer(const Layer& layer, std::size_t number) {
        out_ << layer.type << ' ' << number << ' ' << layer.inputs.size() << ' '
             << layer.outputs.size();
        for (const int blob : layer.inputs) out_ << ' ' << blob;
        for (const int blob : layer.outputs) out_ << ' ' << blob;
        for (const ParamRule& rule : layer_kind(layer.type)->params) {
            const auto found = layer.params.find(rule.id);
            if (found != layer.params.end() && layer.type != "Input") {
                std::visit([&](const auto& value) { write(rule, value); }, found->second);
            }
        }
        const int mask = layer.integer(kFeatureMask, 0);
        if (mask > 0 && mask <= kMostMask) out_ << ' ' << kFeatureMask << '=' << mask;
        out_ << '\n';
    }

    std::ostringstream& stream() { return out_; }

  private:
    template <typename Number>
    void write(const ParamRule& rule, Number value) {
        out_ << ' ' << rule.id << '=';
        if (rule.type == ParamType::real) {
            out_ << static_cast<float>(value);
        } else {
            out_ << value;
        }
    }

    void write(const ParamRule& rule, const std::string& value) {
        out_ << ' ' << rule.id << "=\"" << value << '"';
    }

    template <typename Number>
    void write(const ParamRule& rule, const std::vector<Number>& values) {
        constexpr int kListOffset = -23300;
        out_ << ' ' << kListOffset - rule.id << '=' << values.size();
        for (const Number value : values) {
            out_ << ',';
            if (rule.type == ParamType::reals) {
                out_ << static_cast<float>(value);
            } else {
                out_ << value;
            }
        }
    }

    std::ostringstream out_;
};

}  // namespace

std::string param_text(const Graph& graph) {
    Writer writer;
    writer.stream() << "7767517\n" << graph.layers.size() << ' ' << graph.blobs.size() << '\n';
    for (std::size_t i = 0; i < graph.layers.size(); ++i) writer.layer(graph.layers[i], i);
    return writer.stream().str();
}

}  // namespace realesrgan
