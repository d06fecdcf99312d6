#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "model/graph.hpp"

namespace realesrgan {

// Values of a .bin file that stay there until they are used. Each read opens the file, so that
// threads and forked processes share nothing.
class StoredHalves {
  public:
    StoredHalves(std::string path, std::uintmax_t offset);

    // Reads values from `first` on into `halves`, as many as it has. Throws ModelError when the
    // file was replaced, changed or removed since the constructor.
    void read(std::size_t first, std::vector<std::uint16_t>& halves) const;

  private:
    std::string path_;
    std::uintmax_t offset_;
    std::uintmax_t size_;
    std::filesystem::file_time_type time_;
};

// The .bin file beside a .param, checked to the last byte against the layers' weights
// (layer_weights.hpp). A tag in front of a kernel says how it is stored: as fp32 (tags 0 and
// 0x0002C056), as fp16 (0x01306B47) or bfloat16 (0x01348B83) padded to 4 bytes, or, for any other
// tag, as a table of 256 fp32 numbers and a byte for each weight, padded to 4 bytes. Biases and
// slopes are bare fp32. Weights stay on disk until requested, by any number of threads, which
// avoids allocating and zero-filling a buffer for the whole file.
class WeightFile {
  public:
    // Throws ModelError for a file that cannot be read, ends early, goes on after the last weight,
    // or is quantized to 8-bit integers.
    WeightFile(const Graph& graph, const std::string& bin_path);

    // Of the layer graph.layers[layer]. All throw ModelError when the file cannot be read any more.
    bool has_kernel(std::size_t layer) const;                  // or a norm's weights
    bool has_fp16(std::size_t layer) const;                    // its kernel
    std::vector<std::uint16_t> fp16(std::size_t layer) const;  // kernel() as the file has it
    StoredHalves stored_halves(std::size_t layer) const;       // fp16(), where they are
    std::vector<float> kernel(std::size_t layer) const;        // [output][input][ky][kx]
    std::vector<float> bias(std::size_t layer) const;          // empty where the layer has none
    std::vector<float> slopes(std::size_t layer) const;        // PReLU's, one or one a channel

  private:
    enum class Storage { fp32, fp16, bfloat16, table };
    struct Span {
        std::uintmax_t offset = 0;
        std::size_t count = 0;
        Storage storage = Storage::fp32;
    };
    static Storage storage_of(std::uint32_t tag, const std::string& path, const std::string& layer);
    static std::uintmax_t bytes_of(Storage storage, std::uintmax_t count);
    template <typename Value>
    std::vector<Value> read(std::uintmax_t offset, std::size_t count) const;
    std::vector<float> floats(const Span& span) const;
    void read_bytes(std::uintmax_t offset, std::size_t bytes, void* to) const;

    std::string path_;
    mutable std::mutex mutex_;
    mutable std::ifstream file_;
    std::map<std::size_t, std::vector<Span>> spans_;  // the blocks of a layer, by layer
};

}  // namespace realesrgan
