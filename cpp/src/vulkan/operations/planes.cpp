#include "vulkan/operations/planes.hpp"

#include <algorithm>
#include <utility>

#include "base/integers.hpp"
#include "image/yuv_conversion.hpp"

namespace realesrgan::vulkan {

namespace {

constexpr int kChannels = 3;
constexpr int kMostAcross = 32768;  // workgroups of one row of store_planes.comp's dispatch

// The push constants of load_planes.comp and store_planes.comp.
struct LoadPush {
    int width, rows, dst_row, dst_rows, x0, y0;
    int picture_width, picture_height, first_row, luma_first;
    int chroma_first, chroma_rows, chroma_width, first_chroma, second_chroma;
};
struct StorePush {
    int width, picture_width, picture_height, first_row, rows, src_row, src_rows;
    int chroma_first, chroma_rows, chroma_width, luma_words, chroma_words, stride, first;
};

// The eleven constants of both shaders, behind those that a shader has before them.
Constants common_constants(const PlaneShape& shape, Constants constants = {}) {
    const YuvFormat& format = shape.planes.format;
    const ChromaAxis columns = shape.columns();
    const ChromaAxis rows = shape.rows();
    const Quantization luma = Quantization::luma(format);
    const Quantization chroma = Quantization::chroma(format);
    const int kind = !shape.planes.chroma ? 0 : format.matrix == YuvMatrix::rgb ? 2 : 1;
    constants << shape.sample_bytes() << format.low_bits << kind << columns.step << rows.step
              << int{columns.cosited} << int{rows.cosited} << luma.range << luma.offset
              << chroma.range << chroma.offset;
    return constants;
}

// Bytes of the ring rows that hold a picture's colours.
std::uint64_t colour_bytes(const RingBuffer& ring, Row rows, int channels, Storage storage) {
    return ring_bytes(ring, static_cast<int>(rows), round_up(channels, 4), storage);
}

int words(std::uint64_t bytes) {
    return static_cast<int>(bytes / 4);
}

}  // namespace

Constants transform_constants(const std::vector<InputTransform>& transform) {
    Constants constants;
    constants << int{!transform.empty()};
    for (std::size_t c = 0; c < kMostTransformed; ++c) {
        const InputTransform each = c < transform.size() ? transform[c] : InputTransform();
        constants << each.scale << each.shift;
    }
    return constants;
}

PlaneLoader::PlaneLoader(Context& context, Storage storage, const PlaneShape& shape,
                         const Program& program, const RingBuffer& ring)
    : context_(context),
      storage_(storage),
      shape_(shape),
      unshuffle_(program.unshuffle),
      ring_(ring) {
    const ColourWeights weights(luma_weights(shape.planes.format.matrix));
    Constants constants = common_constants(shape, transform_constants(program.input_transform));
    constants << weights.red << weights.blue << weights.green_of_red << weights.green_of_blue
              << unshuffle_ << ring.channels << int{ring.full_precision};
    pipeline_ =
        &context.pipelines().get_or_create({"load_planes", storage, constants, {kInvocations}, {}});
}

void PlaneLoader::record(CommandBuffer& commands, const Buffer& samples, RowRange rows) const {
    const RowRange picture_rows{rows.first * unshuffle_, rows.count * unshuffle_};
    const PlaneWindow window = window_to_load(shape_, picture_rows);
    const auto sample = static_cast<std::uint64_t>(shape_.sample_bytes());
    const int count = static_cast<int>(rows.count);
    const int channels = kChannels * unshuffle_ * unshuffle_;
    const int local = pipeline_->local_size().x;
    const int columns = most_items(context_.most_groups(0), local);
    std::uint64_t bytes = colour_bytes(ring_, rows.count, channels, storage_);
    LoadPush push = {ring_.width,
                     count,
                     ring_.slot(rows.first),
                     ring_.rows,
                     0,
                     0,
                     shape_.width,
                     shape_.height,
                     static_cast<int>(picture_rows.first),
                     static_cast<int>(window.luma.first),
                     static_cast<int>(window.chroma.first),
                     static_cast<int>(window.chroma.count),
                     shape_.columns().samples,
                     static_cast<int>(window.offsets[1] / sample),
                     static_cast<int>(window.offsets[2] / sample)};
    for (; push.y0 < count; push.y0 += context_.most_groups(1)) {
        for (push.x0 = 0; push.x0 < ring_.width; push.x0 += columns) {
            commands.dispatch(
                *pipeline_, {{&samples, 0, 0, false}, {ring_.buffer, 0, 0, true}}, &push,
                sizeof(push),
                {ceil_div(std::min(ring_.width - push.x0, columns), local),
                 std::min(count - push.y0, context_.most_groups(1)), ceil_div(channels, 4)},
                std::exchange(bytes, 0));
        }
    }
}

PlaneWriter::PlaneWriter(Context& context, Storage storage, const PlaneShape& shape, int channel,
                         const RingBuffer& ring)
    : context_(context), storage_(storage), shape_(shape), ring_(ring) {
    const YuvFormat& format = shape.planes.format;
    const LumaWeights weights = luma_weights(format.matrix);
    Constants constants = common_constants(shape);
    constants << weights.red << weights.green << weights.blue << 1 / (2 * (1 - weights.blue))
              << 1 / (2 * (1 - weights.red)) << static_cast<float>((1 << format.bits) - 1)
              << channel << ring.channels << int{ring.full_precision};
    pipeline_ = &context.pipelines().get_or_create(
        {"store_planes", storage, constants, {kInvocations}, {}});
}

void PlaneWriter::record(CommandBuffer& commands, const Buffer& result, RowRange rows) const {
    const PlaneWindow window = window_to_store(shape_, rows);
    const int local = pipeline_->local_size().x;
    const int all = words(window.bytes);
    const int across = std::min({ceil_div(all, local), context_.most_groups(0), kMostAcross});
    const int stride = across * local;
    const int most = most_items(context_.most_groups(1), std::max(stride, 1));
    const bool chroma = shape_.planes.chroma;
    const int chroma_words = chroma ? words(window.bytes - window.offsets[2]) : 0;
    std::uint64_t bytes = colour_bytes(ring_, rows.count, kChannels, storage_);
    StorePush push = {ring_.width,
                      shape_.width,
                      shape_.height,
                      static_cast<int>(window.luma.first),
                      static_cast<int>(window.luma.count),
                      ring_.slot(rows.first),
                      ring_.rows,
                      static_cast<int>(window.chroma.first),
                      static_cast<int>(window.chroma.count),
                      shape_.columns().samples,
                      all - 2 * chroma_words,
                      chroma_words,
                      stride,
                      0};
    for (; push.first < all; push.first += most) {
        commands.dispatch(*pipeline_, {{ring_.buffer, 0, 0, false}, {&result, 0, 0, true}}, &push,
                          sizeof(push),
                          {across, ceil_div(std::min(all - push.first, most), stride), 1},
                          std::exchange(bytes, 0));
    }
}

}  // namespace realesrgan::vulkan
