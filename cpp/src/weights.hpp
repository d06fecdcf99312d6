#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "graph.hpp"

namespace realesrgan {

// The .bin file beside a .param, checked to the last byte against the graph's Convolution and PReLU
// layers (the only ones with weights that a fused network has). Kernels are stored as fp16 after
// the tag 0x01306B47, padded to 4 bytes, or as fp32 after the tag 0; biases and slopes are bare
// fp32. The numbers stay in the file until they are asked for, by any number of threads: what is
// in no memory need not be found, filled and given back.
class WeightFile {
  public:
    // Throws ModelError for a file that cannot be read, ends early, goes on after the last weight,
    // or has an unknown tag.
    WeightFile(const Graph& graph, const std::string& bin_path);

    // Of the layer graph.layers[layer]. All throw ModelError when the file cannot be read any more.
    bool has_halves(std::size_t layer) const;                    // its kernel
    std::vector<std::uint16_t> halves(std::size_t layer) const;  // kernel() as the file has it
    std::vector<float> kernel(std::size_t layer) const;          // [output][input][ky][kx]
    std::vector<float> bias(std::size_t layer) const;            // empty where the layer has none
    std::vector<float> slopes(std::size_t layer) const;          // PReLU's, one or one a channel

  private:
    struct Span {
        std::uintmax_t offset = 0;
        std::size_t count = 0;
        bool half = false;
    };
    template <typename Value>
    std::vector<Value> read(const Span& span) const;
    void read_bytes(std::uintmax_t offset, std::size_t bytes, void* to) const;

    std::string path_;
    mutable std::mutex mutex_;
    mutable std::ifstream file_;
    std::map<std::size_t, Span> kernels_;  // by layer
    std::map<std::size_t, Span> vectors_;  // biases and slopes, by layer
};

}  // namespace realesrgan
