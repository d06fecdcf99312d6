#pragma once

#include <cstdint>
#include <vector>

#include "model/graph.hpp"
#include "model/row_dependency.hpp"

namespace realesrgan {

// A positive fraction in lowest terms of numbers up to kMostRatio; 0/1 stands for "unknown".
struct Ratio {
    std::int64_t numerator = 0;
    std::int64_t denominator = 1;

    bool known() const { return numerator > 0; }
    double value() const { return static_cast<double>(numerator) / denominator; }
};

inline constexpr std::int64_t kMostRatio = 1 << 20;

// Unknown where a number becomes larger than kMostRatio.
Ratio operator*(const Ratio& a, const Ratio& b);
bool operator==(const Ratio& a, const Ratio& b);

// What one layer does to sizes.
struct LayerRule {
    enum class Channels { same, fixed, sum, times, divided, slices };

    bool known = false;  // the size of the output and the rows read follow from the parameters
    Channels channels = Channels::same;
    std::int64_t factor = 0;  // fixed: the channels; times, divided: by how much
    RowDependency rows;
};

LayerRule layer_rule(const Layer& layer);

// A blob's size relative to the network's input.
struct BlobSize {
    int channels = 0;  // 0: unknown
    Ratio zoom;        // rows per input row
};

inline constexpr int kFieldUnknown = 64;  // the tile path's cap on the halo
inline constexpr std::int64_t kMostAlignment = 1024;

struct Trace {
    std::vector<LayerRule> rules;  // one for each layer
    std::vector<BlobSize> blobs;
    int input_channels = 0;
    std::int64_t alignment = 1;  // sides of the input must be multiples of it; above kMostAlignment
                                 // where that is not to be had
    bool known = true;           // no layer's rule is unknown
};

// Follows sizes from the input to the output. The number of input channels is the one that the
// convolutions' weights agree with (3 when they do not tell). Throws ModelError where no number
// fits, and for the first layer that cannot compute what it reads, as far as its inputs' sizes are
// known (layer_sizes.hpp).
Trace trace(const Graph& graph);

// Input rows that one output row depends on, beyond the row it lies in, at most; by going backwards
// through the layers. Only for a known trace with a known zoom at the output.
int receptive_field(const Graph& graph, const Trace& sizes);

}  // namespace realesrgan
