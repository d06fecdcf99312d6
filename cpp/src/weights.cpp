#include "weights.hpp"

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <utility>

#include "half.hpp"
#include "realesrgan/errors.hpp"
#include "whole_file.hpp"

namespace realesrgan {

namespace {

constexpr std::uint32_t kHalfTag = 0x01306B47;
constexpr std::uint32_t kFloatTag = 0;

std::vector<unsigned char> read_all(const std::string& path) {
    auto bytes = read_whole_file(std::filesystem::u8path(path));
    if (!bytes) {
        throw ModelError("cannot read the weights " + path +
                         "; check that the file exists and may be read");
    }
    if (bytes->empty()) throw ModelError("the weights " + path + " are empty; get the file again");
    return std::move(*bytes);
}

// Walks through the file, one field after the other.
class Cursor {
  public:
    Cursor(const std::vector<unsigned char>& bytes, const std::string& path)
        : bytes_(bytes), path_(path) {}

    std::size_t take(std::size_t size, const std::string& layer) {
        if (size > bytes_.size() - at_) {
            throw ModelError(
                "the weights " + path_ + " end within layer " + layer + " (" +
                std::to_string(bytes_.size()) + " bytes, at least " + std::to_string(at_ + size) +
                " needed); the file is truncated or damaged, or belongs to another network");
        }
        const std::size_t offset = at_;
        at_ += size;
        return offset;
    }

    std::uint32_t tag(const std::string& layer) {
        std::uint32_t value = 0;
        std::memcpy(&value, &bytes_[take(sizeof(value), layer)], sizeof(value));
        if (value != kHalfTag && value != kFloatTag) {
            throw ModelError("the weights " + path_ + " have an unknown tag at layer " + layer +
                             "; the file is damaged, belongs to another network, or is quantized "
                             "(fp32 and fp16 weights are supported)");
        }
        return value;
    }

    void finish() const {
        if (at_ != bytes_.size()) {
            throw ModelError("the weights " + path_ + " go on for " +
                             std::to_string(bytes_.size() - at_) +
                             " bytes after the last layer; the file belongs to another network");
        }
    }

  private:
    const std::vector<unsigned char>& bytes_;
    const std::string& path_;
    std::size_t at_ = 0;
};

std::size_t count_of(const Layer& layer, int id, const std::string& path) {
    const int count = layer.integer(id, 0);
    if (count <= 0) {
        throw ModelError("layer " + layer.name + " beside " + path +
                         " has no count of weights; the .param is damaged");
    }
    return static_cast<std::size_t>(count);
}

}  // namespace

WeightFile::WeightFile(const Graph& graph, const std::string& bin_path)
    : bytes_(read_all(bin_path)) {
    Cursor cursor(bytes_, bin_path);
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
        const Layer& layer = graph.layers[i];
        if (layer.type == "Convolution") {
            const std::size_t count = count_of(layer, 6, bin_path);
            const bool half = cursor.tag(layer.name) == kHalfTag;
            const std::size_t size = half ? (count * 2 + 3) / 4 * 4 : count * 4;
            kernels_[i] = Span{cursor.take(size, layer.name), count, half};
            const std::size_t outputs = count_of(layer, 0, bin_path);
            if (layer.integer(5, 0) != 0) {
                vectors_[i] = Span{cursor.take(outputs * 4, layer.name), outputs, false};
            }
        } else if (layer.type == "PReLU") {
            const std::size_t count = count_of(layer, 0, bin_path);
            vectors_[i] = Span{cursor.take(count * 4, layer.name), count, false};
        }
    }
    cursor.finish();
}

std::vector<float> WeightFile::read(const Span& span) const {
    std::vector<float> values(span.count);
    const unsigned char* from = bytes_.data() + span.offset;
    if (!span.half) {
        std::memcpy(values.data(), from, span.count * sizeof(float));
        return values;
    }
    for (std::size_t i = 0; i < span.count; ++i) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, from + i * sizeof(bits), sizeof(bits));
        values[i] = half_to_float(bits);
    }
    return values;
}

std::vector<float> WeightFile::kernel(std::size_t layer) const {
    return read(kernels_.at(layer));
}

std::vector<float> WeightFile::bias(std::size_t layer) const {
    const auto found = vectors_.find(layer);
    return found == vectors_.end() ? std::vector<float>() : read(found->second);
}

std::vector<float> WeightFile::slopes(std::size_t layer) const {
    return read(vectors_.at(layer));
}

}  // namespace realesrgan
