#include "cpu/convolution.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.hpp"
#include "base/thread_pool.hpp"

namespace realesrgan::cpu {

namespace {

// Pointers to rows of some channels, null for those outside the picture.
struct Rows {
    std::vector<const float*> pointers;
    std::size_t group_stride = 0;
    winograd::RowsView view() const { return {pointers.data(), {group_stride}}; }
};

// Rows [first, first + count) of the buffer's picture made `enlarge` times as high.
Rows rows_of(const LineBuffer& buffer, int channel, int first, int count, int enlarge) {
    Rows rows;
    rows.group_stride = static_cast<std::size_t>(buffer.layout().group_stride());
    for (int y = first; y < first + count; ++y) {
        const bool inside = y >= 0 && y < buffer.height() * enlarge;
        rows.pointers.push_back(inside ? buffer.row(channel, y / enlarge) : nullptr);
    }
    return rows;
}

std::size_t row_floats(int channels, int width) {
    return static_cast<std::size_t>(round_up(channels, kGroup)) * static_cast<std::size_t>(width);
}

// The same rows `enlarge` times as wide, `width` pixels, in `memory`: for what the kernel cannot
// enlarge as it reads.
Rows widen(const Rows& source, int channels, int width, int enlarge, float* memory, int threads) {
    const int count = static_cast<int>(source.pointers.size());
    const std::size_t row = row_floats(kGroup, width);
    Rows rows = source;
    rows.group_stride = row * source.pointers.size();
    for (std::size_t y = 0; y < rows.pointers.size(); ++y) {
        if (source.pointers[y] != nullptr) rows.pointers[y] = memory + y * row;
    }
    ThreadPool::shared().run(
        round_up(channels, kGroup) / kGroup * count, threads, [&](int item, int) {
            const auto y = static_cast<std::size_t>(item % count);
            const auto group = static_cast<std::size_t>(item / count);
            if (source.pointers[y] == nullptr) return;
            const float* from = source.pointers[y] + group * source.group_stride;
            float* to = memory + group * rows.group_stride + y * row;
            for (int x = 0; x < width; ++x) {
                std::memcpy(to + x * kGroup, from + x / enlarge * kGroup, kGroup * sizeof(float));
            }
        });
    return rows;
}

winograd::Curve curve_of(Activation activation) {
    switch (activation) {
        case Activation::silu:
            return winograd::Curve::silu;
        case Activation::mish:
            return winograd::Curve::mish;
        case Activation::gelu:
            return winograd::Curve::gelu;
        case Activation::sigmoid:
            return winograd::Curve::sigmoid;
        case Activation::none:
        case Activation::leaky_relu:
        case Activation::prelu:
            break;
    }
    return winograd::Curve::slopes;
}

// The program scales and adds one skip after the other; the kernel takes one weight for each.
winograd::Epilogue epilogue_of(const Op& op, const RowBand& band, int threads, float* spare,
                               Rows (&rows)[kMaxSkips]) {
    winograd::Epilogue epilogue;
    epilogue.skip_count = static_cast<int>(op.skips.size());
    epilogue.curve = curve_of(op.activation);
    epilogue.gate = op.gate.has_value();
    epilogue.gate_offset = op.gate.value_or(0.0F);
    const int width = band.output->layout().width;
    for (std::size_t s = 0; s < op.skips.size(); ++s) {
        const Skip& skip = op.skips[s];
        rows[s] = rows_of(*band.skips[s], skip.from.channel, band.first, band.count, skip.upsample);
        if (skip.upsample > 1) {
            rows[s] = widen(rows[s], op.output.channels, width, skip.upsample, spare, threads);
            spare += row_floats(op.output.channels, width) * static_cast<std::size_t>(band.count);
        }
        epilogue.product = epilogue.product || skip.product;
        epilogue.shift = epilogue.shift * skip.value_scale + skip.shift;
        epilogue.scale *= skip.value_scale;
        for (std::size_t before = 0; before < s; ++before) {
            epilogue.skips[before].weight *= skip.value_scale;
        }
        epilogue.skips[s] = {rows[s].view(), skip.skip_scale};
    }
    return epilogue;
}

void copy_output(const Op& op, const RowBand& band, int threads) {
    const int groups = round_up(op.output.channels, kGroup) / kGroup;
    const std::size_t bytes = row_floats(kGroup, band.output->layout().width) * sizeof(float);
    ThreadPool::shared().run(groups * band.count, threads, [&](int item, int) {
        const int y = band.first + item % band.count;
        const int channel = item / band.count * kGroup;
        std::memcpy(band.duplicate_output->row(op.duplicate_output->channel + channel, y),
                    band.output->row(op.output.channel + channel, y), bytes);
    });
}

winograd::Convolution make_convolution(const Op& op, const ConvolutionWeights& weights,
                                       winograd::WeightForm form, const winograd::Kernel& kernel) {
    winograd::Description description;
    description.depthwise = op.kind == OpKind::depthwise;
    description.in_channels = description.depthwise ? weights.outputs : weights.inputs;
    description.out_channels = weights.outputs;
    description.kernel = op.kernel;
    description.bias = weights.bias.data();
    if (op.activation == Activation::leaky_relu) description.slopes = {op.slope};
    if (op.activation == Activation::prelu) description.slopes = weights.slopes;
    std::vector<std::uint16_t> halves;
    if (form == winograd::WeightForm::packed) {
        halves = as_fp16(weights.kernel.data(), weights.kernel.size());
    }
    if (halves.empty()) {
        description.taps = weights.kernel.data();
    } else {
        description.fp16_taps = halves.data();
    }
    return {description, form, kernel};
}

}  // namespace

std::vector<std::uint16_t> as_fp16(const float* values, std::size_t count) {
    std::vector<std::uint16_t> halves;
    halves.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        halves.push_back(float_to_half(values[i]));
        if (!std::isfinite(values[i]) || half_to_float(halves.back()) != values[i]) return {};
    }
    return halves;
}

FusedConvolution::FusedConvolution(const Op& op, const ConvolutionWeights& weights,
                                   winograd::WeightForm form, const winograd::Kernel& kernel,
                                   int threads)
    : op_(op), convolution_(make_convolution(op, weights, form, kernel)), threads_(threads) {}

void FusedConvolution::run(const RowBand& band, const HostBuffer& scratch) const {
    const int width = band.output->layout().width;
    const std::size_t own = convolution_.workspace_bytes(width, band.count, threads_);
    float* spare = scratch.floats() + own / sizeof(float);

    winograd::OutputRows job;
    job.width = width;
    job.height = band.count;
    Rows input = rows_of(*band.input, op_.input.channel, band.first - op_.kernel / 2,
                         band.count + op_.kernel - 1, op_.upsample);
    job.upsample = op_.upsample == 2;
    if (op_.upsample > 2) {
        input = widen(input, op_.input.channels, width, op_.upsample, spare, threads_);
        spare += row_floats(op_.input.channels, width) * input.pointers.size();
    }
    job.input = input.view();
    std::vector<float*> output;
    for (int y = band.first; y < band.first + band.count; ++y) {
        output.push_back(band.output->row(op_.output.channel, y));
    }
    job.output = {output.data(), {static_cast<std::size_t>(band.output->layout().group_stride())}};
    Rows skips[kMaxSkips];
    job.epilogue = epilogue_of(op_, band, threads_, spare, skips);
    winograd::Workspace workspace(threads_, scratch.floats(), own);
    convolution_.run(job, workspace);
    if (band.duplicate_output != nullptr) copy_output(op_, band, threads_);
}

std::uint64_t FusedConvolution::scratch_bytes(int width, int rows) const {
    std::size_t floats = 0;
    if (op_.upsample > 2) {
        floats +=
            row_floats(op_.input.channels, width) * static_cast<std::size_t>(rows + op_.kernel - 1);
    }
    for (const Skip& skip : op_.skips) {
        if (skip.upsample == 1) continue;
        floats += row_floats(op_.output.channels, width) * static_cast<std::size_t>(rows);
    }
    return convolution_.workspace_bytes(width, rows, threads_) + floats * sizeof(float);
}

}  // namespace realesrgan::cpu
