#pragma once

#include <cstdint>
#include <optional>
#include <set>
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
    enum class Channels { same, second, fixed, sum, times, divided, slices };

    bool known = false;  // the size of the output and the rows read follow from the parameters
    Channels channels = Channels::same;
    std::int64_t factor = 0;  // fixed: the channels; times, divided: by how much
    RowDependency rows;
    // The output has (rows.up * input rows + more) / rows.down rows, rounded down.
    std::int64_t more = 0;
    bool pools_all = false;  // one value a channel, of all rows and columns
    bool as_second = false;  // as many rows and channels as the second input
};

LayerRule layer_rule(const Layer& layer);

// The layers of norms of each pixel's channels, three for each: a Permute that makes the channels
// the columns, the LayerNorm of as many, and the Permute back. Between them the blobs are counted
// as if they were not permuted.
std::set<std::size_t> pixel_norms(const Graph& graph);

// A blob's size relative to the network's input: `zoom` times its rows, and `offset` more.
struct BlobSize {
    int channels = 0;  // 0: unknown
    Ratio zoom;        // unknown where the blob is no picture, or nothing is known
    double offset = 0;
    bool vector =
        false;  // no picture: values of whole pictures' channels, and what is made of them

    double rows(double input_rows) const;
};

inline constexpr int kFieldUnknown = 64;  // stands for a receptive field that is not known
inline constexpr std::int64_t kMostAlignment = 1024;

struct Trace {
    std::vector<LayerRule> rules;  // one for each layer
    std::vector<BlobSize> blobs;
    std::set<std::size_t> pixel_norms;  // layers of norms of each pixel's channels
    int input_channels = 0;
    std::int64_t alignment = 1;  // sides of the input must be multiples of it, and `rest` more;
                                 // above kMostAlignment where that is not to be had
    std::int64_t rest = 0;
    std::optional<int> border;  // input pixels on each side that the output lacks; if it is known
    bool known = true;          // no layer's rule is unknown
    bool local = true;          // none but of layers of vectors, which hold values of all rows
};

// Follows sizes from the input to the output. The number of input channels is the one that the
// convolutions' weights agree with (3 when they do not tell). Throws ModelError where no number
// fits, and for the first layer that cannot compute what it reads, as far as its inputs' sizes are
// known (layer_sizes.hpp).
Trace trace(const Graph& graph);

// Whether the receptive field is: each layer's rows are known, and the output's size.
bool is_field_known(const Graph& graph, const Trace& sizes);

// Input rows that one output row depends on, beyond the row it lies in, at most; by going backwards
// through the layers, vectors left out. Only for a local trace with a known zoom at the output.
int receptive_field(const Graph& graph, const Trace& sizes);

}  // namespace realesrgan
