#pragma once

#include <cstddef>
#include <cstdint>

namespace realesrgan::winograd {

inline constexpr int kGroup = 8;  // channels that lie side by side for one pixel
inline constexpr int kTaps = 9;   // of a Winograd kernel
// The sides of an output tile that there are kernels for. The large one needs a fifth fewer
// products and rounds four times as much, which a deep network amplifies beyond the contract.
inline constexpr int kSmallTile = 4;
inline constexpr int kLargeTile = 6;
inline constexpr int kBlockStep = 12;  // every ISA's kTiles divides it
inline constexpr std::size_t kSkew =
    16;  // floats between planes that keep them out of the same cache sets

constexpr int groups_of(int channels) {
    return (channels + kGroup - 1) / kGroup;
}

inline constexpr int kMostPixel = 2 * kGroup;

// How the groups of a tensor's rows lie: `pixel` floats from one pixel to the next, kGroup or
// kMostPixel. So many groups lie side by side in a pixel; the next ones are `group_stride` floats
// on. The rows of this project have kGroup; ncnn's have 16 on processors with AVX-512.
struct GroupLayout {
    std::size_t group_stride = 0;
    int pixel = kGroup;

    constexpr std::ptrdiff_t offset(int group) const {
        const int beside = pixel / kGroup;
        return group / beside * static_cast<std::ptrdiff_t>(group_stride) + group % beside * kGroup;
    }
};

// Rows of a tensor: rows[y] points at channel group 0 of pixel 0. A null row reads as zeros.
struct RowsView {
    const float* const* rows = nullptr;
    GroupLayout layout;
};

struct MutableRowsView {
    float* const* rows = nullptr;
    GroupLayout layout;
};

inline constexpr int kMostKernelSkips = 2;

// `slopes`: max(v, 0) + slope * min(v, 0), the others as in program.hpp.
enum class Curve { slopes, silu, mish, gelu, sigmoid };

// What is stored: (scale * v + sum of weight * skip + shift) * gate, v = act(convolution + bias);
// the gate is 1, or sigmoid(v) + gate_offset with `gate`. With `product` the first skip is no part
// of the sum: v is multiplied by it before.
struct Epilogue {
    struct Skip {
        RowsView rows;  // kGroup floats a pixel
        float weight = 1.0f;
    };
    float scale = 1.0f;
    float shift = 0.0f;
    int skip_count = 0;
    Skip skips[kMostKernelSkips];
    Curve curve = Curve::slopes;
    bool product = false;
    bool gate = false;
    float gate_offset = 0.0f;
    // Whether more than slopes and a sum of skips is needed.
    bool general() const { return curve != Curve::slopes || gate || product || shift != 0.0f; }
};

// Everything a kernel must know of one convolution over one band of rows.
struct Task {
    int in_channels = 0;
    int out_channels = 0;
    int out_groups = 0;
    int kernel = 3;         // side
    int width = 0;          // output pixels
    int height = 0;         // output rows
    bool upsample = false;  // the input is half as wide, and each of its pixels is read twice
    RowsView input;         // height + kernel - 1 rows, the first one kernel / 2 above the output's
    MutableRowsView output;
    Epilogue epilogue;
    const float* bias = nullptr;  // out_groups * kGroup, as the slopes
    const float* slopes = nullptr;
    const float* weights = nullptr;  // transformed, or the taps themselves for the direct form
};

// A rectangle of tiles; for the direct form, a run of pixels in one row.
struct Block {
    int row = 0;
    int column = 0;
    int rows = 0;
    int columns = 0;
    int count() const { return rows * columns; }
};

// Weights as stored for the kernels: panels of output channels, each [in channel][tap][channel of
// the panel]. `Value` is float or, for half precision, std::uint16_t.
template <class Value>
struct PackedTaps {
    const Value* values = nullptr;
    int in_channels = 0;
    int out_groups = 0;
    int taps = kTaps;
};

template <class Value>
struct WeightFunctions {
    void (*transform)(const PackedTaps<Value>&, int begin, int end, float* transformed);
    void (*separate)(const PackedTaps<Value>&, int begin, int end, float* taps);
};

// One instruction set's code for one size of tile. `data`, `products` are the block's scratch: in
// `multiply` a point's products lie where data of the points before it were (Convolution::Layout).
struct Kernel {
    const char* name;  // of the instruction set
    int tile;          // an output tile's side
    int points;        // products per tile and channel pair
    int tiles;         // multiplied at once: a block has a multiple of it
    int panel;         // output channels produced at once
    void (*transform_input)(const Task&, const Block&, float* data);
    void (*multiply)(const Task&, const Block&, const float* data, float* products);
    void (*transform_output)(const Task&, const Block&, const float* products);
    void (*gather_input)(const Task&, const Block&, float* data);  // the direct form's three steps
    void (*multiply_taps)(const Task&, const Block&, const float* data, float* products);
    void (*store_output)(const Task&, const Block&, const float* products);
    void (*multiply_depthwise)(const Task&, const Block&, const float* data, float* products);
    // Of the input channels [begin, end), in every panel: the transformed planes, one a point, or
    // (for the direct form) the taps, each laid out as [panel][in channel][channel of the panel].
    WeightFunctions<float> from_float;
    WeightFunctions<std::uint16_t> from_half;
    // Sums of products of `count` rows of `inputs` finite halves with a vector.
    void (*multiply_rows)(const std::uint16_t* rows, int count, int inputs, const float* vector,
                          float* sums);
    double (*fma_peak)(
        long rounds);  // arithmetic only: returns the operations done, for benchmarks
};

// The width of the panel that begins at channel `start` of `channels` (a multiple of kGroup): full
// ones, then narrower ones, so that no product is wasted on padding beyond a group.
constexpr int panel_width(int panel, int channels, int start) {
    const int left = channels - start;
    while (panel > left) panel /= 2;
    return panel;
}

}  // namespace realesrgan::winograd
