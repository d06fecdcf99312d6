#include "weights.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <ios>
#include <system_error>
#include <utility>

#include "half.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {

namespace {

constexpr std::uint32_t kHalfTag = 0x01306B47;
constexpr std::uint32_t kFloatTag = 0;

// Walks through the file, one field after the other, and reads nothing but the tags.
class Cursor {
  public:
    using Read = std::function<void(std::uintmax_t offset, std::size_t bytes, void* to)>;

    Cursor(const std::string& path, std::uintmax_t size, Read read)
        : path_(path), size_(size), read_(std::move(read)) {}

    std::uintmax_t take(std::size_t bytes, const std::string& layer) {
        if (bytes > size_ - at_) {
            throw ModelError(
                "the weights " + path_ + " end within layer " + layer + " (" +
                std::to_string(size_) + " bytes, at least " + std::to_string(at_ + bytes) +
                " needed); the file is truncated or damaged, or belongs to another network");
        }
        const std::uintmax_t offset = at_;
        at_ += bytes;
        return offset;
    }

    std::uint32_t tag(const std::string& layer) {
        std::uint32_t value = 0;
        read_(take(sizeof(value), layer), sizeof(value), &value);
        if (value != kHalfTag && value != kFloatTag) {
            throw ModelError("the weights " + path_ + " have an unknown tag at layer " + layer +
                             "; the file is damaged, belongs to another network, or is quantized "
                             "(fp32 and fp16 weights are supported)");
        }
        return value;
    }

    void finish() const {
        if (at_ != size_) {
            throw ModelError("the weights " + path_ + " go on for " + std::to_string(size_ - at_) +
                             " bytes after the last layer; the file belongs to another network");
        }
    }

  private:
    const std::string& path_;
    std::uintmax_t size_;
    Read read_;
    std::uintmax_t at_ = 0;
};

std::size_t count_of(const Layer& layer, int id, const std::string& path) {
    const int count = layer.integer(id, 0);
    if (count <= 0) {
        throw ModelError("layer " + layer.name + " beside " + path +
                         " has no count of weights; the .param is damaged");
    }
    return static_cast<std::size_t>(count);
}

ModelError unreadable(const std::string& path) {
    return ModelError("cannot read the weights " + path +
                      "; check that the file exists and may be read");
}

}  // namespace

WeightFile::WeightFile(const Graph& graph, const std::string& bin_path) : path_(bin_path) {
    const std::filesystem::path path = std::filesystem::u8path(bin_path);
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(path, error);  // of a regular file only
    file_.rdbuf()->pubsetbuf(nullptr, 0);  // tags are far apart, and the rest is large
    file_.open(path, std::ios::binary);
    if (error || !file_) throw unreadable(path_);
    if (size == 0) throw ModelError("the weights " + path_ + " are empty; get the file again");
    Cursor cursor(path_, size, [this](auto... arguments) { read_bytes(arguments...); });
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
        const Layer& layer = graph.layers[i];
        if (layer.type == "Convolution") {
            const std::size_t count = count_of(layer, 6, bin_path);
            const bool half = cursor.tag(layer.name) == kHalfTag;
            const std::size_t bytes = half ? (count * 2 + 3) / 4 * 4 : count * 4;
            kernels_[i] = Span{cursor.take(bytes, layer.name), count, half};
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

void WeightFile::read_bytes(std::uintmax_t offset, std::size_t bytes, void* to) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    file_.seekg(static_cast<std::streamoff>(offset));
    file_.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes));
    if (!file_) throw unreadable(path_);
}

template <typename Value>
std::vector<Value> WeightFile::read(const Span& span) const {
    std::vector<Value> values(span.count);
    read_bytes(span.offset, span.count * sizeof(Value), values.data());
    return values;
}

bool WeightFile::has_halves(std::size_t layer) const {
    return kernels_.at(layer).half;
}

std::vector<std::uint16_t> WeightFile::halves(std::size_t layer) const {
    return read<std::uint16_t>(kernels_.at(layer));
}

std::vector<float> WeightFile::kernel(std::size_t layer) const {
    const Span& span = kernels_.at(layer);
    if (!span.half) return read<float>(span);
    const std::vector<std::uint16_t> stored = read<std::uint16_t>(span);
    std::vector<float> values(stored.size());
    std::transform(stored.begin(), stored.end(), values.begin(), half_to_float);
    return values;
}

std::vector<float> WeightFile::bias(std::size_t layer) const {
    const auto found = vectors_.find(layer);
    return found == vectors_.end() ? std::vector<float>() : read<float>(found->second);
}

std::vector<float> WeightFile::slopes(std::size_t layer) const {
    return read<float>(vectors_.at(layer));
}

}  // namespace realesrgan
