#pragma once

#include <net.h>

#include <string>

#include "model/graph.hpp"

namespace realesrgan {

// An ncnn::Net whose layers are asked, each time before one computes, whether it may compute inputs
// of their sizes (layer_sizes.hpp), and whose results are checked to lie in their memory. A layer
// that may not fails with kFault, and its reason is kept for the thread that ran it.
class CheckedNet : public ncnn::Net {
  public:
    static constexpr int kNoMemory = -100;  // ncnn's code for a failed allocation
    static constexpr int kFault = -1000;    // none of ncnn's codes

    // Once the weights are loaded. `graph` is what was loaded.
    void check_layers(const Graph& graph);

    // What the layer that failed last on this thread had to say: its name and the reason.
    static std::string last_fault();
};

}  // namespace realesrgan
