#include "model/weight_file.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <ios>
#include <system_error>
#include <utility>

#include "base/escape.hpp"
#include "base/half.hpp"
#include "base/integers.hpp"
#include "model/layer_weights.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {

namespace {

// As ncnn's modelbin.cpp has them.
constexpr std::uint32_t kHalfTag = 0x01306B47;
constexpr std::uint32_t kBfloatTag = 0x01348B83;
constexpr std::uint32_t kInt8Tag = 0x000D4B38;
constexpr std::uint32_t kFloatTag = 0;
constexpr std::uint32_t kScaledFloatTag = 0x0002C056;  // 32 bits, and not to be quantized
constexpr std::size_t kTableSize = 256;

// Walks through the file, one field after the other, and reads nothing but the tags.
class Cursor {
  public:
    using Read = std::function<void(std::uintmax_t offset, std::size_t bytes, void* to)>;

    Cursor(const std::string& path, std::uintmax_t size, Read read)
        : path_(path), size_(size), read_(std::move(read)) {}

    std::uintmax_t take(std::uintmax_t bytes, const std::string& layer) {
        if (bytes > size_ - at_) {
            throw ModelError(
                "the weights " + shown_path(path_) + " end within layer " + shown_name(layer) +
                " (" + std::to_string(size_) + " bytes, at least " + std::to_string(at_ + bytes) +
                " needed); the file is truncated or damaged, or belongs to another network");
        }
        const std::uintmax_t offset = at_;
        at_ += bytes;
        return offset;
    }

    std::uint32_t tag(const std::string& layer) {
        std::uint32_t value = 0;
        read_(take(sizeof(value), layer), sizeof(value), &value);
        return value;
    }

    void finish() const {
        if (at_ != size_) {
            throw ModelError("the weights " + shown_path(path_) + " go on for " +
                             std::to_string(size_ - at_) +
                             " bytes after the last layer; the file belongs to another network");
        }
    }

  private:
    const std::string& path_;
    std::uintmax_t size_;
    Read read_;
    std::uintmax_t at_ = 0;
};

ModelError unreadable(const std::string& path) {
    return ModelError("cannot read the weights " + shown_path(path) +
                      "; check that the file exists and may be read");
}

}  // namespace

StoredHalves::StoredHalves(std::string path, std::uintmax_t offset)
    : path_(std::move(path)), offset_(offset) {
    const std::filesystem::path file = std::filesystem::u8path(path_);
    std::error_code error;
    size_ = std::filesystem::file_size(file, error);
    if (!error) time_ = std::filesystem::last_write_time(file, error);
    if (error) throw unreadable(path_);
}

void StoredHalves::read(std::size_t first, std::vector<std::uint16_t>& halves) const {
    const std::filesystem::path path = std::filesystem::u8path(path_);
    std::ifstream file;
    file.rdbuf()->pubsetbuf(nullptr, 0);
    file.open(path, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset_ + first * sizeof(std::uint16_t)));
    file.read(reinterpret_cast<char*>(halves.data()),
              static_cast<std::streamsize>(halves.size() * sizeof(std::uint16_t)));
    std::error_code error;
    const bool same = std::filesystem::file_size(path, error) == size_ && !error &&
                      std::filesystem::last_write_time(path, error) == time_ && !error;
    if (file && same) return;
    throw ModelError("the weights " + shown_path(path_) +
                     " were changed or removed while the network was in use; load it again");
}

WeightFile::WeightFile(const Graph& graph, const std::string& bin_path) : path_(bin_path) {
    const std::filesystem::path path = std::filesystem::u8path(bin_path);
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(path, error);  // of a regular file only
    file_.rdbuf()->pubsetbuf(nullptr, 0);  // tags are far apart, and the rest is large
    file_.open(path, std::ios::binary);
    if (error || !file_) throw unreadable(path_);
    if (size == 0)
        throw ModelError("the weights " + shown_path(path_) +
                         " are empty; download or copy the file again");
    Cursor cursor(path_, size, [this](auto... arguments) { read_bytes(arguments...); });
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
        const Layer& layer = graph.layers[i];
        for (const WeightBlock& block : weight_blocks(layer)) {
            const auto storage = block.tagged
                                     ? storage_of(cursor.tag(layer.name), path_, layer.name)
                                     : Storage::fp32;
            const auto count = static_cast<std::uintmax_t>(block.count);
            const std::uintmax_t offset = cursor.take(bytes_of(storage, count), layer.name);
            spans_[i].push_back(Span{offset, static_cast<std::size_t>(count), storage});
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

WeightFile::Storage WeightFile::storage_of(std::uint32_t tag, const std::string& path,
                                           const std::string& layer) {
    switch (tag) {
        case kFloatTag:
        case kScaledFloatTag:
            return Storage::fp32;
        case kHalfTag:
            return Storage::fp16;
        case kBfloatTag:
            return Storage::bfloat16;
        case kInt8Tag:
            throw ModelError("the weights " + shown_path(path) +
                             " are quantized to 8 bits at layer " + shown_name(layer) +
                             ", which is not supported; use the network with 16-bit or 32-bit "
                             "weights");
        default:
            return Storage::table;
    }
}

std::uintmax_t WeightFile::bytes_of(Storage storage, std::uintmax_t count) {
    const auto padded = [](std::uintmax_t bytes) { return round_up(bytes, 4); };
    switch (storage) {
        case Storage::fp32:
            return count * sizeof(float);
        case Storage::fp16:
        case Storage::bfloat16:
            return padded(count * sizeof(std::uint16_t));
        case Storage::table:
            break;
    }
    return kTableSize * sizeof(float) + padded(count);
}

template <typename Value>
std::vector<Value> WeightFile::read(std::uintmax_t offset, std::size_t count) const {
    std::vector<Value> values(count);
    read_bytes(offset, count * sizeof(Value), values.data());
    return values;
}

std::vector<float> WeightFile::floats(const Span& span) const {
    if (span.storage == Storage::fp32) return read<float>(span.offset, span.count);
    std::vector<float> values(span.count);
    if (span.storage == Storage::table) {
        const std::vector<float> table = read<float>(span.offset, kTableSize);
        const auto indices =
            read<std::uint8_t>(span.offset + kTableSize * sizeof(float), span.count);
        std::transform(indices.begin(), indices.end(), values.begin(),
                       [&](std::uint8_t index) { return table[index]; });
        return values;
    }
    const auto stored = read<std::uint16_t>(span.offset, span.count);
    if (span.storage == Storage::fp16) {
        std::transform(stored.begin(), stored.end(), values.begin(), half_to_float);
    } else {
        std::transform(stored.begin(), stored.end(), values.begin(), bfloat16_to_float);
    }
    return values;
}

bool WeightFile::has_kernel(std::size_t layer) const {
    return spans_.count(layer) != 0;
}

bool WeightFile::has_fp16(std::size_t layer) const {
    return spans_.at(layer)[0].storage == Storage::fp16;
}

std::vector<std::uint16_t> WeightFile::fp16(std::size_t layer) const {
    const Span& span = spans_.at(layer)[0];
    return read<std::uint16_t>(span.offset, span.count);
}

StoredHalves WeightFile::stored_halves(std::size_t layer) const {
    return {path_, spans_.at(layer)[0].offset};
}

std::vector<float> WeightFile::kernel(std::size_t layer) const {
    return floats(spans_.at(layer)[0]);
}

std::vector<float> WeightFile::bias(std::size_t layer) const {
    const std::vector<Span>& spans = spans_.at(layer);
    return spans.size() < 2 ? std::vector<float>() : floats(spans[1]);
}

std::vector<float> WeightFile::slopes(std::size_t layer) const {
    return floats(spans_.at(layer)[0]);
}

}  // namespace realesrgan
