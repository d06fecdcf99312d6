#include "vulkan/operations/dense_pair.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/integers.hpp"

namespace realesrgan::vulkan {

namespace {

// Must match dense_pair.comp.
constexpr int kPairGroup = 16;
constexpr int kPairPixelUnits = kPairGroup / 8 + 1;
constexpr int kPairUnitBytes = 16;
constexpr int kPairBorder =
    2;  // rows or columns that a tile of both results lacks of what is computed

// More columns need more shared memory, fewer are computed again more often.
constexpr int kPairColumns = 32;
constexpr int kMostPairRows = 4;
// With fewer rows of a subgroup most of the first convolution would be computed twice.
constexpr int kLeastPairRows = 2;

// The push constants of dense_pair.comp.
struct PairPush {
    int width, height, y0, rows, row, ring_rows, x0;
};

// Of a pixel of the results, and of an input channel's weights of a tap.
int tap_units(const MatrixShape& shape, const PairTiling& tiling) {
    return (tiling.n_tiles * shape.n / 8) | 1;
}

// The source's tile, and then the results, of which matrices read two pixels past the last one.
int tile_units(const MatrixShape& shape, const PairTiling& tiling) {
    const int grid = tiling.columns * tiling.m_tiles * shape.m;
    const int height = 2 * tiling.r_tiles;
    const int source = (height + 2 * kPairBorder) * (grid + kPairBorder) * kPairPixelUnits;
    const int results = (height + kPairBorder) * grid + kPairBorder;
    return std::max(source, results * tap_units(shape, tiling));
}

int slopes_constant(Activation activation) {
    return activation == Activation::none ? 0 : 1;
}

}  // namespace

std::uint64_t shared_bytes(const MatrixShape& shape, const PairTiling& tiling) {
    const int units = tile_units(shape, tiling) + 9 * kPairGroup * tap_units(shape, tiling);
    return static_cast<std::uint64_t>(units) * kPairUnitBytes;
}

std::optional<PairTiling> pair_tiling(const KernelConfig& choice, int outputs, int width,
                                      int most_rows, std::uint64_t limit,
                                      std::uint64_t most_invocations) {
    const MatrixShape& shape = choice.shape;
    // Matrices of any multiple of kChannelAlignment channels.
    if (choice.kernel != KernelKind::matrix || kChannelAlignment % shape.n != 0) {
        return std::nullopt;
    }
    PairTiling tiling;
    tiling.n_tiles = outputs / shape.n;
    // As few workgroups across as there can be, and all of them about full.
    const int tiles = ceil_div(width, kPairColumns - kPairBorder);
    tiling.columns = ceil_div(ceil_div(width, tiles) + kPairBorder, shape.m);
    tiling.r_tiles = std::clamp(ceil_div(most_rows, 2), 1, kMostPairRows);
    const int least = std::min(tiling.r_tiles, kLeastPairRows);
    const auto invocations =
        static_cast<std::uint64_t>(2 * tiling.columns) * idx(shape.subgroup_size);
    if (invocations > most_invocations) return std::nullopt;
    while (shared_bytes(shape, tiling) > limit) {
        if (--tiling.r_tiles < least) return std::nullopt;
    }
    return tiling;
}

namespace {

std::optional<PairTiling> tiling_on(const Context& context, const KernelConfig& choice, int outputs,
                                    int width, int most_rows) {
    return pair_tiling(choice, outputs, width, most_rows,
                       context.limits().maxComputeSharedMemorySize,
                       context.limits().maxComputeWorkGroupInvocations);
}

}  // namespace

bool can_pair(const Context& context, Storage storage, const KernelConfig& choice) {
    return storage == Storage::fp16 && tiling_on(context, choice, kMostPairOutputs,
                                                 kPairColumns - kPairBorder, 2 * kLeastPairRows)
                                           .has_value();
}

DensePair::DensePair(Context& context, const KernelConfig& choice, const Op& first,
                     const Op& second, const RingBuffer& ring, const LayerWeights& first_layer,
                     const LayerWeights& second_layer, int most_rows)
    : ring_(ring),
      first_(first_layer),
      second_(second_layer),
      read_channels_(first.input.channels),
      written_channels_(first.output.channels + second.output.channels) {
    const auto tiling = tiling_on(context, choice, first.output.channels, ring.width, most_rows);
    if (!tiling) throw std::logic_error("a pair of convolutions that the device cannot compute");
    Constants constants;
    constants << first.input.channels << first.input.channel << ring.channels
              << first.output.channel << second.output.channel << slopes_constant(first.activation)
              << slopes_constant(second.activation) << tiling->m_tiles << tiling->n_tiles
              << tiling->r_tiles << tiling->columns << choice.shape.subgroup_size
              << tile_units(choice.shape, *tiling);
    const int invocations = 2 * tiling->columns * choice.shape.subgroup_size;
    ShaderVariant variant = matrix_variant(choice);
    if (!choice.unroll) variant.defines += "#define NO_UNROLL 1\n";
    pipeline_ = &context.pipelines().get_or_create(
        {"dense_pair", Storage::fp16, constants, {invocations}, variant});
    tile_width_ = tiling->columns * tiling->m_tiles * choice.shape.m - kPairBorder;
    tile_height_ = 2 * tiling->r_tiles;
    most_columns_ = most_items(context.most_groups(0), tile_width_);
    most_rows_ = most_items(context.most_groups(1), tile_height_);
}

// Each byte counted once, as Operation does.
std::uint64_t DensePair::ring_bytes(int rows) const {
    const auto bytes = [&](int ring_rows, int channels) {
        return vulkan::ring_bytes(ring_, ring_rows, channels, Storage::fp16);
    };
    return bytes(std::min(rows + 2 * kPairBorder, ring_.height), read_channels_) +
           bytes(rows, written_channels_);
}

void DensePair::record(CommandBuffer& commands, const Weights& weights, RowRange rows) const {
    std::vector<Binding> bindings = {{ring_.buffer, 0, 0, false}, {ring_.buffer, 0, 0, true}};
    for (const LayerWeights* layer : {&first_, &second_}) {
        for (const WeightRange& range : {layer->taps, layer->epilogue}) {
            bindings.push_back({&weights.buffer(range), range.offset, range.bytes, false});
        }
    }
    while (rows.count > 0) {
        const int count = static_cast<int>(std::min<Row>(rows.count, most_rows_));
        PairPush push = {ring_.width,
                         ring_.height,
                         static_cast<int>(rows.first),
                         count,
                         ring_.slot(rows.first),
                         ring_.rows,
                         0};
        std::uint64_t bytes = ring_bytes(count);
        for (; push.x0 < ring_.width; push.x0 += most_columns_) {
            const int columns = std::min(ring_.width - push.x0, most_columns_);
            commands.dispatch(*pipeline_, bindings, &push, sizeof(push),
                              {ceil_div(columns, tile_width_), ceil_div(count, tile_height_), 1},
                              std::exchange(bytes, 0));
        }
        rows = {rows.first + count, rows.count - count};
    }
}

}  // namespace realesrgan::vulkan
