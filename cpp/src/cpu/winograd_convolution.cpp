#include <algorithm>
#include <cstring>
#include <utility>

#include "base/half.hpp"
#include "base/thread_pool.hpp"
#include "cpu/convolution.hpp"
#include "cpu/winograd/convolution.hpp"
#include "cpu/winograd/instruction_set.hpp"
#include "cpu/winograd/packed_taps.hpp"

namespace realesrgan::cpu {

namespace {

using winograd::kGroup;

// Pointers to rows of some channels, null for those outside the picture.
struct Rows {
    std::vector<const float*> pointers;
    std::size_t group_stride = 0;
    winograd::RowsView view() const { return {pointers.data(), group_stride}; }
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

struct WinogradScratch final : KernelScratch {
    WinogradScratch(Meter& meter, std::uint64_t bytes)
        : memory(meter, static_cast<std::size_t>(bytes)) {}
    Buffer memory;
};

class WinogradConvolution final : public Convolution {
  public:
    WinogradConvolution(const Op& op, winograd::Convolution convolution, int threads)
        : op_(op), convolution_(std::move(convolution)), threads_(threads) {}

    void run(const Band& band, KernelScratch& scratch) const override {
        const Buffer& memory = static_cast<WinogradScratch&>(scratch).memory;
        const int width = band.output->layout().width;
        const std::size_t own = convolution_.workspace_bytes(width, band.count, threads_);
        float* spare = memory.floats() + own / sizeof(float);

        winograd::Band job;
        job.width = width;
        job.height = band.count;
        Rows input =
            rows_of(*band.input, op_.input.channel, band.first - 1, band.count + 2, op_.upsample);
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
        job.output = {output.data(),
                      static_cast<std::size_t>(band.output->layout().group_stride())};
        Rows skips[kMaxSkips];
        job.epilogue = epilogue_of(band, spare, skips);
        winograd::Workspace workspace(threads_, memory.floats(), own);
        convolution_.run(job, workspace);
        if (band.duplicate_output != nullptr) copy_rows(band);
    }

    std::uint64_t scratch_bytes(int width, int rows) const override {
        std::size_t floats = 0;
        if (op_.upsample > 2) {
            floats += row_floats(op_.input.channels, width) * static_cast<std::size_t>(rows + 2);
        }
        for (const Skip& skip : op_.skips) {
            if (skip.upsample == 1) continue;
            floats += row_floats(op_.output.channels, width) * static_cast<std::size_t>(rows);
        }
        return convolution_.workspace_bytes(width, rows, threads_) + floats * sizeof(float);
    }

    std::uint64_t weight_bytes() const override { return convolution_.bytes(); }

  private:
    // The program scales and adds one skip after the other; the kernel takes one weight for each.
    winograd::Epilogue epilogue_of(const Band& band, float* spare, Rows (&rows)[kMaxSkips]) const {
        winograd::Epilogue epilogue;
        epilogue.skip_count = static_cast<int>(op_.skips.size());
        const int width = band.output->layout().width;
        for (std::size_t s = 0; s < op_.skips.size(); ++s) {
            const Skip& skip = op_.skips[s];
            rows[s] =
                rows_of(*band.skips[s], skip.from.channel, band.first, band.count, skip.upsample);
            if (skip.upsample > 1) {
                rows[s] =
                    widen(rows[s], op_.output.channels, width, skip.upsample, spare, threads_);
                spare +=
                    row_floats(op_.output.channels, width) * static_cast<std::size_t>(band.count);
            }
            epilogue.scale *= skip.value_scale;
            for (std::size_t before = 0; before < s; ++before) {
                epilogue.skips[before].weight *= skip.value_scale;
            }
            epilogue.skips[s] = {rows[s].view(), skip.skip_scale};
        }
        return epilogue;
    }

    void copy_rows(const Band& band) const {
        const int groups = round_up(op_.output.channels, kGroup) / kGroup;
        const std::size_t bytes = row_floats(kGroup, band.output->layout().width) * sizeof(float);
        ThreadPool::shared().run(groups * band.count, threads_, [&](int item, int) {
            const int y = band.first + item % band.count;
            const int channel = item / band.count * kGroup;
            std::memcpy(band.duplicate_output->row(op_.duplicate_output->channel + channel, y),
                        band.output->row(op_.output.channel + channel, y), bytes);
        });
    }

    const Op& op_;
    winograd::Convolution convolution_;
    int threads_;
};

// The values as fp16 where every one of them is a half exactly, otherwise none.
std::vector<std::uint16_t> as_fp16(const std::vector<float>& values) {
    std::vector<std::uint16_t> fp16;
    fp16.reserve(values.size());
    for (const float value : values) {
        fp16.push_back(float_to_half(value));
        if (half_to_float(fp16.back()) != value) return {};
    }
    return fp16;
}

class WinogradKernel final : public ConvolutionKernel {
  public:
    WinogradKernel(int threads, winograd::Form form, const winograd::Kernel& kernel)
        : threads_(threads), form_(form), kernel_(kernel) {}

    int group(int) const override { return kGroup; }

    std::unique_ptr<Convolution> make(const Program&, const Op& op,
                                      const ConvolutionWeights& weights) const override {
        winograd::Description description;
        description.in_channels = weights.inputs;
        description.out_channels = weights.outputs;
        description.bias = weights.bias.data();
        if (op.activation == Activation::leaky_relu) description.slopes = {op.slope};
        if (op.activation == Activation::prelu) description.slopes = weights.slopes;
        std::vector<std::uint16_t> fp16;
        if (form_ == winograd::Form::kLean) fp16 = as_fp16(weights.kernel);
        if (fp16.empty()) {
            description.taps = weights.kernel.data();
        } else {
            description.fp16_taps = fp16.data();
        }
        return std::make_unique<WinogradConvolution>(
            op, winograd::Convolution(description, form_, kernel_), threads_);
    }

    std::unique_ptr<KernelScratch> make_scratch(Meter& meter, std::uint64_t bytes) const override {
        return std::make_unique<WinogradScratch>(meter, bytes);
    }

  private:
    int threads_;
    winograd::Form form_;
    const winograd::Kernel& kernel_;
};

}  // namespace

std::unique_ptr<ConvolutionKernel> make_winograd_kernel(int threads, bool lean,
                                                        const winograd::Kernel& kernel) {
    const winograd::Form form = lean ? winograd::Form::kLean : winograd::Form::kResident;
    return std::make_unique<WinogradKernel>(threads, form, kernel);
}

}  // namespace realesrgan::cpu
