#pragma once

#include <net.h>

#include <cstddef>
#include <memory>
#include <string>

#include "model/graph.hpp"

namespace realesrgan {

// An ncnn::Net that checks the input sizes of each layer before it computes (layer_sizes.hpp), and
// that its outputs are within their memory. A layer with wrong sizes fails with kFault, and the
// reason is kept for the thread that ran it.
class CheckedNet : public ncnn::Net {
  public:
    static constexpr int kNoMemory = -100;  // ncnn's code for a failed allocation
    static constexpr int kFault = -1000;    // none of ncnn's codes

    // Once the weights are loaded. `graph` is what was loaded.
    void check_layers(const Graph& graph);

    // Puts a layer in the place of the one that load_param() has made.
    void replace(std::size_t index, std::unique_ptr<ncnn::Layer> layer);

    // Keeps the reason why a layer fails on this thread; returns kFault.
    static int fail(const std::string& reason);

    // The name and the reason of the layer that failed last on this thread.
    static std::string last_fault();
};

}  // namespace realesrgan
