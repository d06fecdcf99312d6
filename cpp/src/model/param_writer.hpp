#pragma once

#include <string>

#include "model/graph.hpp"

namespace realesrgan {

// A checked graph as a .param text for ncnn, with the parameters that layer_kinds.hpp knows and the
// numbers of layers and blobs as their names: so ncnn reads the values that were checked, whatever
// the file's spelling, and hints at sizes of a converter's sample picture do not reach it.
std::string param_text(const Graph& graph);

}  // namespace realesrgan
