#include "vulkan/operations/operation.hpp"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/integers.hpp"

namespace realesrgan::vulkan {

namespace {

constexpr int kBlockedChannels = 32;

// Pixels of a row that a workgroup stores where the shader makes one an invocation: whole subgroups
// of every size, and words.
constexpr int kRowPixels = 128;

// The push constants of operation.glsl.
struct Push {
    int width, height, y0, rows;
    int src_row, src_rows, dst_row, dst_rows, duplicate_row, duplicate_rows;
    int skip0_row, skip0_rows, skip1_row, skip1_rows;
    int in_channels, out_offset, x0;
};

// A specialization constant of this value makes the shader use its push constant.
constexpr int kPushed = -1;

const RingBuffer& ring_of(const std::vector<RingBuffer>& rings, const ChannelSlice& slice) {
    return rings.at(idx(slice.tensor));
}

// Constants 0 to 29 of operation.glsl. `pushed`: those that may be push constants are kPushed.
Constants common_constants(const Op& op, const std::vector<RingBuffer>& rings, bool pushed) {
    const ChannelSlice duplicate = op.duplicate_output.value_or(op.output);
    Constants constants;
    // Padding channels are zero in ring buffers and weights, so whole groups are read.
    constants << (pushed ? kPushed : round_up(op.input.channels, 4)) << op.input.channel
              << ring_of(rings, op.input).channels;
    constants << round_up(op.output.channels, 4) << (pushed ? kPushed : op.output.channel)
              << ring_of(rings, op.output).channels;
    constants << int{op.duplicate_output.has_value()}
              << (op.duplicate_output ? duplicate.channel : 0)
              << ring_of(rings, duplicate).channels;
    constants << static_cast<int>(op.skips.size());
    std::array<ChannelSlice, kMaxSkips> added;
    for (std::size_t i = 0; i < kMaxSkips; i++) {
        const Skip skip = i < op.skips.size() ? op.skips[i] : Skip{op.input, 1.0F, 1.0F, 1};
        constants << skip.from.channel << ring_of(rings, skip.from).channels << skip.upsample
                  << skip.value_scale << skip.skip_scale;
        added.at(i) = skip.from;
    }
    for (const ChannelSlice& slice : {op.input, op.output, duplicate, added[0], added[1]}) {
        constants << int{ring_of(rings, slice).full_precision};
    }
    constants << int{op.gate.has_value()} << op.gate.value_or(0.0F);
    constants << int{!op.skips.empty() && op.skips[0].product};
    for (std::size_t i = 0; i < kMaxSkips; i++)
        constants << (i < op.skips.size() ? op.skips[i].shift : 0.0F);
    return constants;
}

// ACTIVATION of convolution.glsl.
int activation_constant(Activation activation) {
    switch (activation) {
        case Activation::none:
            break;
        case Activation::leaky_relu:
        case Activation::prelu:
            return 1;
        case Activation::silu:
            return 2;
        case Activation::mish:
            return 3;
        case Activation::gelu:
            return 4;
        case Activation::sigmoid:
            return 5;
    }
    return 0;
}

}  // namespace

Operation::Operation(Context& context, Storage storage, const KernelConfig& choice, const Op& op,
                     const std::vector<RingBuffer>& rings, const LayerWeights* layer, int most_rows,
                     const std::optional<ResultSamples>& result)
    : src_(ring_of(rings, op.input)),
      dst_(ring_of(rings, op.output)),
      duplicate_(ring_of(rings, op.duplicate_output.value_or(op.output))),
      storage_(storage),
      in_channels_(round_up(op.input.channels, 4)),
      out_offset_(op.output.channel),
      skip_count_(op.skips.size()),
      duplicate_count_(op.duplicate_output.has_value() ? 1 : 0),
      result_(result),
      out_channels_(round_up(op.output.channels, 4)) {
    // A binding must name a buffer even where the pipeline does not use it.
    skips_.fill(src_);
    for (std::size_t i = 0; i < op.skips.size(); i++) {
        skips_.at(i) = ring_of(rings, op.skips[i].from);
        skip_upsample_.at(i) = op.skips[i].upsample;
    }
    const bool pushed = is_blocked(choice, op) && !choice.unroll;
    Constants constants = common_constants(op, rings, pushed);
    if (op.kind == OpKind::pixel_shuffle || op.kind == OpKind::pixel_unshuffle ||
        op.kind == OpKind::resize) {
        choose_pointwise(context, std::move(constants), op);
        find_limits(context);
        return;
    }
    layer_ = *layer;
    has_weights_ = true;
    enlarge_ = op.upsample;
    if (op.kind == OpKind::convolution) {
        halo_ = op.kernel - 1;
        choose_convolution(context, choice, std::move(constants), op, most_rows);
    } else {
        choose_channelwise(context, std::move(constants), op);
    }
    find_limits(context);
}

void Operation::find_limits(const Context& context) {
    const int axis = channels_first_ ? 1 : 0;  // of the columns; the rows' comes next
    most_columns_ = most_items(context.most_groups(axis), tile_width_);
    most_rows_ = most_items(context.most_groups(axis + 1), tile_height_);
}

// It stages values as they are stored, as the matrix kernel does; few output channels would leave
// most of a workgroup idle.
bool Operation::is_blocked(const KernelConfig& choice, const Op& op) const {
    return op.kind == OpKind::convolution && choice.kernel == KernelKind::blocked &&
           op.kernel <= 3 && out_channels_ > 8 && !src_.full_precision;
}

void Operation::choose_convolution(Context& context, const KernelConfig& choice,
                                   Constants constants, const Op& op, int most_rows) {
    const bool blocked = is_blocked(choice, op);
    constants << layer_.weight_pitch << op.upsample << activation_constant(op.activation)
              << (blocked && !choice.unroll ? kPushed : layer_.weight_rows) << op.kernel;
    if (choice.kernel == KernelKind::matrix && op.kernel <= 3 && !src_.full_precision) {
        choose_matrix(context, choice, std::move(constants), most_rows, op);
        return;
    }
    if (blocked) {
        choose_blocked(context, choice, std::move(constants), most_rows);
        return;
    }
    const int channel_groups = std::min(8, out_channels_ / 4);
    const int invocations = result_ ? kRowPixels : kInvocations;
    const LocalSize local = {channel_groups, invocations / channel_groups, 1};
    pipeline_ = &context.pipelines().get_or_create(
        {"convolution_plain", storage_, constants, local, row_variant()});
    channels_first_ = true;
    // rounded up to whole subgroups
    tile_channels_ = pipeline_->local_size().x * 4;
    tile_width_ = pipeline_->local_size().y;
    tile_height_ = pipeline_->local_size().z;
}

void Operation::choose_blocked(Context& context, const KernelConfig& choice, Constants constants,
                               int most_rows) {
    // Tiles have as few rows as the row band. The order of summation, and so every bit, is
    // independent of the tile shape.
    tile_height_ = most_rows >= 4 ? 4 : most_rows >= 2 ? 2 : 1;
    tile_width_ = kInvocations / tile_height_;
    tile_channels_ = kBlockedChannels;
    constants << tile_width_ << tile_height_ << (storage_ == Storage::fp16 ? 16 : 8);
    pipeline_ = &context.pipelines().get_or_create(
        {"convolution_blocked", storage_, constants, {kInvocations}, blocked_variant(choice)});
}

void Operation::choose_matrix(Context& context, const KernelConfig& choice, Constants constants,
                              int most_rows, const Op& op) {
    const MatrixShape& shape = choice.shape;
    const MatrixTiling tiling = matrix_tiling(choice, out_channels_, most_rows,
                                              context.limits().maxComputeSharedMemorySize);
    const auto fits = [&](const ChannelSlice& slice) {
        return kChannelAlignment % shape.n == 0 && slice.channel % shape.n == 0;
    };
    // A matrix must not extend into the next group of 16 channels, which is not contiguous.
    const bool whole = fits(op.output) && (!op.duplicate_output || fits(*op.duplicate_output)) &&
                       std::all_of(op.skips.begin(), op.skips.end(), [&](const Skip& skip) {
                           return skip.upsample == 1 && fits(skip.from);
                       });
    constants << tiling.m_tiles << tiling.n_tiles << tiling.r_tiles << tiling.columns << tiling.rows
              << shape.subgroup_size << int{whole} << int{choice.prefetch};
    tile_width_ = tiling.columns * tiling.m_tiles * shape.m;
    tile_height_ = tiling.rows * tiling.r_tiles;
    tile_channels_ = tiling.n_tiles * shape.n;
    const int invocations = tiling.columns * tiling.rows * shape.subgroup_size;
    ShaderVariant variant = matrix_variant(choice);
    if (result_) write_samples(variant, *result_);
    pipeline_ = &context.pipelines().get_or_create(
        {"convolution_matrix", storage_, constants, {invocations}, variant});
}

void Operation::choose_pointwise(Context& context, Constants constants, const Op& op) {
    const char* shader = "pixel_shuffle";
    if (op.kind == OpKind::pixel_shuffle) {
        enlarge_ = op.factor;
        constants << op.factor << op.output.channels << op.phase;
    } else if (op.kind == OpKind::pixel_unshuffle) {
        shader = "pixel_unshuffle";
        reduce_ = op.factor;
        first_row_ = op.phase;
        constants << op.factor << op.output.channels << op.phase;
    } else {
        shader = "resize";
        enlarge_ = op.resize.numerator;
        reduce_ = op.resize.denominator;
        constants << enlarge_ << reduce_ << int{op.resize.filter == ResizeFilter::bicubic};
    }
    if (op.activation != Activation::none || op.gate) {
        throw std::logic_error("an activation or a gate without a convolution in the program");
    }
    const int invocations = result_ ? kRowPixels : kInvocations;
    use(context.pipelines().get_or_create(
        {shader, storage_, constants, {invocations}, row_variant()}));
}

// A depthwise convolution or a layer norm.
void Operation::choose_channelwise(Context& context, Constants constants, const Op& op) {
    const bool norm = op.kind == OpKind::layer_norm;
    constants << layer_.weight_pitch << op.upsample << activation_constant(op.activation)
              << layer_.weight_rows << op.kernel;
    if (norm) {
        constants << op.input.channels << op.epsilon;
    } else {
        halo_ = op.kernel - 1;
    }
    use(context.pipelines().get_or_create(
        {norm ? "layer_norm" : "depthwise", storage_, constants, {kInvocations}, {}}));
    if (norm) tile_channels_ = out_channels_;
}

// Of a shader that makes one pixel an invocation.
ShaderVariant Operation::row_variant() const {
    ShaderVariant variant;
    if (!result_) return variant;
    write_samples(variant, *result_);
    variant.defines += "#define ROW_PIXELS " + std::to_string(kRowPixels) + "\n";
    return variant;
}

void Operation::use(Pipeline& pipeline) {
    pipeline_ = &pipeline;
    tile_width_ = pipeline_->local_size().x;
    tile_height_ = pipeline_->local_size().y;
    tile_channels_ = pipeline_->local_size().z * 4;
}

// Bytes of ring buffers that a dispatch of `rows` output rows reads and writes, each counted once.
std::uint64_t Operation::ring_bytes(int rows) const {
    const auto bytes = [&](const RingBuffer& ring, int ring_rows, int channels) {
        return vulkan::ring_bytes(ring, ring_rows, channels, storage_);
    };
    const int source_rows = ceil_div(rows * reduce_, enlarge_) + halo_;
    std::uint64_t total = bytes(src_, std::min(source_rows, src_.height), in_channels_);
    if (!result_) total += bytes(dst_, rows, out_channels_);
    if (duplicate_count_ > 0) total += bytes(duplicate_, rows, out_channels_);
    for (std::size_t i = 0; i < skip_count_; i++) {
        total += bytes(skips_.at(i), ceil_div(rows, skip_upsample_.at(i)), out_channels_);
    }
    return total;
}

void Operation::record(CommandBuffer& commands, const Weights& weights, RowRange rows,
                       const ResultRows& result) const {
    while (rows.count > 0) {
        const RowRange part{rows.first, rows_at_once(rows)};
        record_part(commands, weights, part, result);
        rows = {part.end(), rows.count - part.count};
    }
}

// Rows from rows.first on that one dispatch can compute: all, unless a ring buffer is bound in
// parts or the device's workgroup limit is reached.
int Operation::rows_at_once(RowRange rows) const {
    int count = static_cast<int>(std::min<Row>(rows.count, most_rows_));
    for (const RingBuffer* ring : {&dst_, &duplicate_}) {
        count = rows_in_window(*ring, storage_, rows.first, count);
    }
    for (std::size_t i = 0; i < skip_count_; i++) {
        const int upsample = skip_upsample_.at(i);
        const Row first = rows.first / upsample;
        const Row most = (rows.first + count - 1) / upsample - first + 1;
        const int shown = rows_in_window(skips_.at(i), storage_, first, static_cast<int>(most));
        count = static_cast<int>(std::min<Row>(count, (first + shown) * upsample - rows.first));
    }
    return count;
}

RingWindow Operation::skip_window(std::size_t index, RowRange rows) const {
    const int upsample = skip_upsample_.at(index);
    const Row first = rows.first / upsample;
    const Row count = (rows.end() - 1) / upsample - first + 1;
    return window(skips_.at(index), storage_, first, static_cast<int>(count), false);
}

void Operation::record_part(CommandBuffer& commands, const Weights& weights, RowRange rows,
                            const ResultRows& result) const {
    const int first = static_cast<int>(rows.first);  // a plan's rows fit the shaders' 32 bits
    const int count = static_cast<int>(rows.count);
    const RingWindow dst =
        result_ ? RingWindow{{result.buffer, 0, 0, true}, static_cast<int>(first - result.first), 0}
                : window(dst_, storage_, first, count, true);
    const RingWindow duplicate = result_ ? dst : window(duplicate_, storage_, first, count, true);
    const RingWindow skip0 = skip_window(0, rows), skip1 = skip_window(1, rows);
    Push push = {dst_.width,
                 dst_.height,
                 first,
                 count,
                 src_.slot(rows.first * reduce_ / enlarge_ + first_row_),
                 src_.rows,
                 dst.row,
                 dst.rows,
                 duplicate.row,
                 duplicate.rows,
                 skip0.row,
                 skip0.rows,
                 skip1.row,
                 skip1.rows,
                 in_channels_,
                 out_offset_,
                 0};
    std::vector<Binding> bindings = {
        {src_.buffer, 0, 0, false}, dst.binding, duplicate.binding, skip0.binding, skip1.binding};
    if (has_weights_) {
        for (const WeightRange& range : {layer_.taps, layer_.epilogue}) {
            bindings.push_back({&weights.buffer(range), range.offset, range.bytes, false});
        }
    }
    std::uint64_t bytes = ring_bytes(count);
    for (; push.x0 < dst_.width; push.x0 += most_columns_) {
        const Groups tiles = {ceil_div(std::min(dst_.width - push.x0, most_columns_), tile_width_),
                              ceil_div(count, tile_height_),
                              ceil_div(out_channels_, tile_channels_)};
        commands.dispatch(*pipeline_, bindings, &push, sizeof(push),
                          channels_first_ ? Groups{tiles.z, tiles.x, tiles.y} : tiles,
                          std::exchange(bytes, 0));
    }
}

}  // namespace realesrgan::vulkan
