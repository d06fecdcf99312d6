#pragma once

#include <vector>

#include "graph.hpp"

namespace realesrgan {

// A positive fraction in lowest terms; 0/1 stands for "unknown".
struct Ratio {
    int numerator = 0;
    int denominator = 1;

    bool known() const { return numerator > 0; }
    double value() const { return static_cast<double>(numerator) / denominator; }
};

Ratio operator*(const Ratio& a, const Ratio& b);
bool operator==(const Ratio& a, const Ratio& b);

// The rows of a layer's input that its output row y needs:
// floor(y * step + offset) + low to floor(y * step + offset) + high. The same for columns.
struct Footprint {
    Ratio step{1, 1};
    double offset = 0;
    int low = 0;
    int high = 0;
};

// What one layer does to sizes.
struct LayerRule {
    enum class Channels { same, fixed, sum, times, divided, slices };

    bool known = false;      // the size of the output and the footprint follow from the input's
    bool row_local = false;  // and the row stream has it
    bool constant = false;   // weights kept as a blob: no picture goes in
    Channels channels = Channels::same;
    int factor = 0;  // fixed: the channels; times, divided: by how much
    Footprint footprint;
};

LayerRule layer_rule(const Layer& layer);

// A blob's size relative to the network's input.
struct BlobSize {
    int channels = 0;  // 0: unknown
    Ratio zoom;        // rows per input row
};

struct Trace {
    std::vector<LayerRule> rules;  // one for each layer
    std::vector<BlobSize> blobs;
    int input_channels = 0;
    int alignment = 1;       // sides of the input must be multiples of it
    bool known = true;       // no layer's rule is unknown
    bool consistent = true;  // every convolution's weights fit its input's channels
};

// Follows sizes from the input to the output. The number of input channels is the one that the
// convolutions' weights agree with (3 when they do not tell).
Trace trace(const Graph& graph);

// Input rows that one output row depends on, beyond the row it lies in, at most; by going backwards
// through the footprints. Only for a known trace with a known zoom at the output.
int receptive_field(const Graph& graph, const Trace& sizes);

}  // namespace realesrgan
