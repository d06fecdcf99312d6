#include "cpu/winograd/convolution.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>

#include "base/half.hpp"
#include "base/integers.hpp"
#include "base/thread_pool.hpp"
#include "cpu/winograd/block_grid.hpp"

namespace realesrgan::winograd {
namespace {

constexpr int kMaxBlockRows = 4;
constexpr int kDirectPixels = 4 * kBlockStep;
constexpr int kWeightSlice = 16;  // input channels a thread transforms at a time (packed form)

void check(const Description& d) {
    if (d.in_channels < 1 || d.out_channels < 1) {
        throw std::invalid_argument("a convolution needs at least one channel on each side, got " +
                                    std::to_string(d.in_channels) + " in and " +
                                    std::to_string(d.out_channels) + " out");
    }
    if (d.kernel < 1 || d.kernel % 2 == 0 || (d.depthwise && d.in_channels != d.out_channels)) {
        throw std::invalid_argument(
            "a kernel has an odd number of rows, and a depthwise convolution as many channels in "
            "as out");
    }
    if ((d.taps != nullptr) == (d.fp16_taps != nullptr)) {
        throw std::invalid_argument(
            "a convolution takes its weights as fp32 or as fp16: give one of them");
    }
    const std::size_t slopes = d.slopes.size();
    if (slopes > 1 && slopes != static_cast<std::size_t>(d.out_channels)) {
        throw std::invalid_argument("a convolution takes no, one or " +
                                    std::to_string(d.out_channels) + " slopes, got " +
                                    std::to_string(slopes));
    }
}

void check(const OutputRows& band) {
    if (band.width < 1 || band.height < 1 || (band.upsample && band.width % 2 != 0)) {
        throw std::invalid_argument("a band of " + std::to_string(band.width) + "x" +
                                    std::to_string(band.height) +
                                    " cannot be convolved: sizes are at least 1, and even in width "
                                    "for an upsampled one");
    }
    if (band.epilogue.skip_count < 0 || band.epilogue.skip_count > kMostKernelSkips) {
        throw std::invalid_argument("a convolution adds at most " +
                                    std::to_string(kMostKernelSkips) + " skips, got " +
                                    std::to_string(band.epilogue.skip_count));
    }
}

// Floats of `points` planes, each with its skew.
std::size_t planes(int points, int count, int channels) {
    return static_cast<std::size_t>(points) *
           (static_cast<std::size_t>(count) * static_cast<std::size_t>(channels) + kSkew);
}

// [out][in][kernel][kernel] taps as the kernels read them: panels of output channels, each
// [in][tap][channel of the panel], the last one padded with zeros to a whole group.
template <class Value>
AlignedBuffer<Value> pack_taps(const Description& d, const Value* taps, int panel) {
    const int padded = groups_of(d.out_channels) * kGroup;
    const std::size_t row = idx(d.kernel * d.kernel) * idx(d.in_channels);
    AlignedBuffer<Value> packed(row * idx(padded));
    for (int start = 0, width = 0; start < padded; start += width) {
        width = panel_width(panel, padded, start);
        Value* const first = packed.data() + idx(start) * row;
        for (int o = 0; o < std::min(width, d.out_channels - start); ++o) {
            for (std::size_t i = 0; i < row; ++i)
                first[i * idx(width) + idx(o)] = taps[idx(start + o) * row + i];
        }
    }
    return packed;
}

double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

}  // namespace

Convolution::Convolution(const Description& d, WeightForm form, const Kernel& kernel)
    : in_channels_(d.in_channels),
      out_channels_(d.out_channels),
      kernel_side_(d.kernel),
      depthwise_(d.depthwise),
      form_(d.depthwise ? WeightForm::transformed : form),  // a few numbers
      kernel_(&kernel) {
    check(d);
    const std::size_t padded = static_cast<std::size_t>(groups_of(out_channels_)) * kGroup;
    bias_.reserve(padded);
    slopes_.reserve(padded);
    for (int o = 0; o < out_channels_; ++o) {
        const auto i = static_cast<std::size_t>(o);
        bias_.data()[o] = d.bias != nullptr ? d.bias[o] : 0.0f;
        slopes_.data()[o] = d.slopes.empty() ? 1.0f : d.slopes[d.slopes.size() > 1 ? i : 0];
    }
    if (depthwise_) {
        pack_depthwise(d);
        return;
    }
    if (d.fp16_taps != nullptr) {
        half_taps_ = pack_taps(d, d.fp16_taps, kernel.panel);
    } else {
        taps_ = pack_taps(d, d.taps, kernel.panel);
    }
    if (form == WeightForm::packed) return;
    const bool separate = kernel_side_ != 3;
    transformed_.reserve(planes(separate ? taps() : kernel_->points, in_channels_,
                                groups_of(out_channels_) * kGroup));
    derive_weights(separate, 0, in_channels_, transformed_.data());
    taps_ = {};
    half_taps_ = {};
}

// [channel group][tap][kGroup]
void Convolution::pack_depthwise(const Description& d) {
    transformed_.reserve(idx(groups_of(out_channels_) * kGroup * taps()));
    for (int c = 0; c < out_channels_; ++c) {
        for (int t = 0; t < taps(); ++t) {
            const std::size_t from = idx(c * taps() + t);
            transformed_.data()[(c / kGroup * taps() + t) * kGroup + c % kGroup] =
                d.taps != nullptr ? d.taps[from] : half_to_float(d.fp16_taps[from]);
        }
    }
}

void Convolution::derive_weights(bool direct, int begin, int end, float* result) const {
    const auto derive = [&](const auto& functions, const auto& taps) {
        (direct ? functions.separate : functions.transform)(
            {taps.data(), in_channels_, groups_of(out_channels_), this->taps()}, begin, end,
            result);
    };
    if (half_taps_.data() != nullptr) {
        derive(kernel_->from_half, half_taps_);
    } else {
        derive(kernel_->from_float, taps_);
    }
}

// How a band is cut into blocks, and the layout of the workspace in floats: first the weights, then
// for each thread a block's scratch: the products, and from `data` on the data.
struct Convolution::Layout {
    BlockGrid grid;
    std::size_t weights;
    std::size_t data;
    std::size_t scratch;
    // Threads that find a block to compute, and so need scratch.
    int working(int threads) const { return std::min(threads, grid.count()); }
    std::size_t total(int threads) const {
        return weights + static_cast<std::size_t>(working(threads)) * scratch;
    }
};

Convolution::Layout Convolution::layout(int in_channels, int out_channels, int side, bool row,
                                        WeightForm form, const Kernel& kernel, int width,
                                        int height, int threads) {
    const int in = groups_of(in_channels) * kGroup;
    const int out = groups_of(out_channels) * kGroup;
    const std::size_t weights = form == WeightForm::packed
                                    ? planes(row ? side * side : kernel.points, in_channels, out)
                                    : 0;
    if (row) {
        const std::size_t products = planes(1, kDirectPixels, out);
        return {BlockGrid(width, height, kDirectPixels, 1), weights, products,
                products + planes(side, kDirectPixels + side - 1, in)};
    }
    const int columns = ceil_div(width, kernel.tile);
    const int rows = ceil_div(height, kernel.tile);
    const int tiles = tiles_per_block(kernel, std::max(in, out), columns * rows, threads);
    // A point's products take the place of data that is read no more, which keeps up to twice as
    // many tiles in the cache: the data begin so far behind the products that those of point p end
    // before the data of point p.
    const std::size_t data_plane = planes(1, tiles, in);
    const std::size_t product_plane = planes(1, tiles, out);
    const auto points = static_cast<std::size_t>(kernel.points);
    const std::size_t data =
        product_plane +
        (product_plane > data_plane ? (points - 1) * (product_plane - data_plane) : 0);
    return {BlockGrid(columns, rows, tiles, kMaxBlockRows), weights, data,
            data + points * data_plane};
}

std::size_t Convolution::workspace_bytes(int width, int height, int threads) const {
    return sizeof(float) * own_layout(width, height, threads).total(threads);
}

Convolution::Layout Convolution::own_layout(int width, int height, int threads) const {
    return layout(in_channels_, out_channels_, kernel_side_, direct(height), form_, *kernel_, width,
                  height, threads);
}

std::size_t Convolution::workspace_bytes(int in_channels, int out_channels, WeightForm form,
                                         const Kernel& kernel, int width, int height, int threads) {
    return sizeof(float) * layout(in_channels, out_channels, 3, direct(form, height), form, kernel,
                                  width, height, threads)
                               .total(threads);
}

const float* Convolution::weights_from_packed(bool direct, Workspace& workspace,
                                              float* result) const {
    const auto slice = [&](int item, int slot) {
        const double start = seconds();
        const int begin = item * kWeightSlice;
        derive_weights(direct, begin, std::min(begin + kWeightSlice, in_channels_), result);
        workspace.profiles_[idx(slot)].profile.weights += seconds() - start;
    };
    ThreadPool::shared().run(ceil_div(in_channels_, kWeightSlice), workspace.threads(), slice);
    return result;
}

Task Convolution::task_of(const OutputRows& band) const {
    Task task;
    task.in_channels = in_channels_;
    task.out_channels = out_channels_;
    task.out_groups = groups_of(out_channels_);
    task.kernel = kernel_side_;
    task.width = band.width;
    task.height = band.height;
    task.upsample = band.upsample;
    task.input = band.input;
    task.output = band.output;
    task.epilogue = band.epilogue;
    task.bias = bias_.data();
    task.slopes = slopes_.data();
    task.weights = transformed_.data();
    return task;
}

void Convolution::run(const OutputRows& band, Workspace& workspace) const {
    check(band);
    const Layout need = own_layout(band.width, band.height, workspace.threads());
    if (need.total(workspace.threads()) > workspace.size_) {
        throw std::invalid_argument("the workspace is smaller than workspace_bytes() of this band");
    }
    const bool row = direct(band.height);
    Task task = task_of(band);
    if (form_ == WeightForm::packed)
        task.weights = weights_from_packed(row, workspace, workspace.memory_);

    const auto begin = row ? kernel_->gather_input : kernel_->transform_input;
    const auto multiply = depthwise_ ? kernel_->multiply_depthwise
                          : row      ? kernel_->multiply_taps
                                     : kernel_->multiply;
    const auto finish = row ? kernel_->store_output : kernel_->transform_output;
    const auto compute = [&](int item, int thread) {
        const auto slot = static_cast<std::size_t>(thread);
        float* const products = workspace.memory_ + need.weights + slot * need.scratch;
        float* const data = products + need.data;
        const Block block = need.grid[item];
        const double start = seconds();
        begin(task, block, data);
        const double transformed = seconds();
        multiply(task, block, data, products);
        const double multiplied = seconds();
        finish(task, block, products);
        Profile& profile = workspace.profiles_[slot].profile;
        profile.input += transformed - start;
        profile.multiply += multiplied - transformed;
        profile.output += seconds() - multiplied;
    };
    ThreadPool::shared().run(need.grid.count(), need.working(workspace.threads()), compute);
}

std::size_t Convolution::bytes() const {
    return transformed_.bytes() + taps_.bytes() + half_taps_.bytes() + bias_.bytes() +
           slopes_.bytes();
}

}  // namespace realesrgan::winograd
