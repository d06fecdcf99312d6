#include "tiles/tile_memory.hpp"

#include <cpu.h>
#include <gpu.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/integers.hpp"
#include "base/memory_budget.hpp"
#include "base/thread_count.hpp"

namespace realesrgan {
namespace {

double rounded_up(double value, double multiple) {
    return std::ceil(value / multiple) * multiple;
}

std::uint64_t saturated(double bytes) {
    return static_cast<std::uint64_t>(std::min(bytes, kMostBytes));
}

// Counts what is in use.
class Usage {
  public:
    double take(double bytes) {
        used_ += bytes;
        most_ = std::max(most_, used_);
        return bytes;
    }
    void give(double bytes) { used_ -= bytes; }
    double most() const { return most_; }

  private:
    double used_ = 0;
    double most_ = 0;
};

// ncnn's VkBlobAllocator: the first block with a large enough gap, else a new block. Blocks are
// kept until the run ends.
class Blocks {
  public:
    struct Part {
        std::size_t block = 0;
        double begin = 0;
        double size = 0;
    };

    Blocks(double block_size, double alignment)
        : block_size_(rounded_up(block_size, alignment)), alignment_(alignment) {}

    Part take(double bytes) {
        const double size = rounded_up(bytes, alignment_);
        for (std::size_t block = 0; block < gaps_.size(); ++block) {
            std::vector<Gap>& gaps = gaps_[block];
            const auto fit = std::find_if(gaps.begin(), gaps.end(),
                                          [&](const Gap& gap) { return gap.size >= size; });
            if (fit == gaps.end()) continue;
            const Part part{block, fit->begin, size};
            fit->begin += size;
            fit->size -= size;
            if (fit->size == 0) gaps.erase(fit);
            return part;
        }
        const double whole = std::max(block_size_, size);
        held_ += whole;
        gaps_.emplace_back();
        if (whole > size) gaps_.back().push_back({size, whole - size});
        return {gaps_.size() - 1, 0, size};
    }

    void give(const Part& part) {
        Gap gap{part.begin, part.size};
        std::vector<Gap>& gaps = gaps_[part.block];
        const auto before = std::find_if(gaps.begin(), gaps.end(), [&](const Gap& other) {
            return other.begin + other.size == gap.begin;
        });
        const auto after = std::find_if(gaps.begin(), gaps.end(), [&](const Gap& other) {
            return gap.begin + gap.size == other.begin;
        });
        if (before != gaps.end()) {
            before->size += gap.size;
            if (after != gaps.end()) {
                before->size += after->size;
                gaps.erase(after);
            }
        } else if (after != gaps.end()) {
            *after = {gap.begin, gap.size + after->size};
        } else {
            gaps.insert(gap.begin == 0 ? gaps.begin() : gaps.end(), gap);
        }
    }

    double held() const { return held_; }

  private:
    struct Gap {
        double begin;
        double size;
    };
    double block_size_;
    double alignment_;
    double held_ = 0;
    std::vector<std::vector<Gap>> gaps_;
};

// Sizes that ncnn's matrix products are rounded to on this processor: channels and positions.
struct Lanes {
    double channels;
    double positions;
};

Lanes lanes() {
    if (ncnn::cpu_support_x86_avx512() != 0) return {16, 16};
    if (ncnn::cpu_support_x86_avx() != 0) return {8, 12};
#if defined(__aarch64__)
    return {8, 4};
#else
    return {4, 4};
#endif
}

// `parts` equal parts of `count` of at most `most`, rounded up to lanes.
double part_of(double count, double most, double lane) {
    return std::min(most, rounded_up(std::ceil(count / std::ceil(count / most)), lane));
}

// The parts that ncnn cuts a product of outputs x positions x inputs into, so that they fit the
// cache: get_optimal_tile_mnk in ncnn's convolution_3x3_winograd.h (x86) and its like (arm).
struct Parts {
    double outputs;
    double positions;
    double inputs;
};

Parts winograd_parts(double outputs, double positions, double inputs, int threads) {
    const double cache = std::floor(static_cast<double>(ncnn::get_cpu_level2_cache_size()) / 4);
    const double cores = std::min(threads, ncnn::get_physical_cpu_count());
    const Lanes lane = lanes();
    const auto at_least = [](double size, double multiple) {
        return std::max(multiple, std::floor(size / multiple) * multiple);
    };
    Parts parts{};
#if defined(__aarch64__)
    parts.inputs = part_of(inputs, at_least((cache - 32) / 12, lane.channels), lane.channels);
    double most = lane.channels * cores;
#else
    double most = at_least(std::sqrt(cache / 3), lane.channels) * cores;
#endif
    parts.outputs = part_of(outputs, most, lane.channels);
    if (threads > 1) {
        const double fraction = std::max(1.0, std::floor(parts.outputs / threads));
        parts.outputs = std::min(parts.outputs, rounded_up(fraction, lane.channels));
    }
#if defined(__aarch64__)
    most = cache - parts.outputs * parts.inputs;
    most /= parts.inputs >= inputs ? parts.inputs : parts.outputs + parts.inputs;
#else
    parts.inputs =
        part_of(inputs, at_least(std::sqrt(cache) - parts.outputs, lane.channels), lane.channels);
    most = (cache - parts.outputs * parts.inputs) / (parts.outputs + parts.inputs);
#endif
    parts.positions = part_of(positions, at_least(most, lane.positions), lane.positions);
    return parts;
}

// Side of the squares that ncnn's Winograd computes at once on the CPU, 0 where it does not use it.
int winograd_side(int inputs, int outputs) {
#if defined(__aarch64__)
    if (inputs < 8 && outputs < 8) return 0;
    if (inputs <= 128 && outputs <= 128) return 6;
    return inputs >= 8 && outputs >= 8 ? 4 : 2;
#else
    if (inputs <= 8 && outputs <= 8) return 0;
    return inputs <= 32 && outputs <= 32 ? 6 : 4;
#endif
}

bool in_place(const Layer& layer) {
    return layer.type == "PReLU" || layer.type == "ReLU" || layer.type == "Clip" ||
           layer.type == "Sigmoid" || (layer.type == "BinaryOp" && layer.inputs.size() == 1);
}

}  // namespace

TileMemory::TileMemory(const Graph& graph, const Options& options, const ncnn::VulkanDevice* device)
    : own_(device == nullptr ? std::make_optional<CpuLayers>(graph) : std::nullopt),
      blobs_(trace(graph).blobs),
      steps_(steps(graph)),
      input_(graph.input),
      output_(graph.output),
      threads_(thread_count(options.threads)),
      value_bytes_(options.fp16 ? 2.0 : 4.0) {
    if (device != nullptr) {
        device_.vulkan = true;
        device_.discrete = device->info.type() == 0;
        device_.software = device->info.type() == 3;
        device_.alignment =
            static_cast<double>(std::max<std::size_t>(device->info.buffer_offset_alignment(), 1));
    }
}

std::vector<TileMemory::Step> TileMemory::steps(const Graph& graph) const {
    std::vector<std::size_t> last_use(graph.blobs.size(), 0);
    std::vector<int> owner(graph.blobs.size());  // the blob whose memory it shares
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
        const Layer& layer = graph.layers[i];
        const bool fractions = layer.type == "Split" || in_place(layer);
        for (const int input : layer.inputs) last_use[idx(owner[idx(input)])] = i;
        for (const int output : layer.outputs) {
            owner[idx(output)] = fractions ? owner[idx(layer.inputs.front())] : output;
        }
    }
    last_use[idx(owner[idx(graph.output)])] = graph.layers.size();
    std::vector<Step> steps;
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
        const Layer& layer = graph.layers[i];
        Step step;
        for (const int output : layer.outputs) {
            if (owner[idx(output)] == output && layer.type != "Input") {
                step.made.push_back(output);
            }
        }
        for (const int input : layer.inputs) {
            const int root = owner[idx(input)];
            if (last_use[idx(root)] == i &&
                std::find(step.ending.begin(), step.ending.end(), root) == step.ending.end()) {
                step.ending.push_back(root);
            }
        }
        const bool grouped = layer.type == "ConvolutionDepthWise";
        const bool transposed = layer.type == "Deconvolution";
        if (layer.type == "Convolution" || grouped || transposed) {
            const int kernel = layer.integer(1, 1);
            step.convolution.push_back({layer.inputs.front(), layer.outputs.front(), kernel,
                                        layer.integer(11, kernel), layer.integer(3, 1),
                                        layer.integer(2, 1), grouped, layer.integer(4, 0) != 0,
                                        transposed, own_ && own_->has_convolution(layer)});
        }
        steps.push_back(std::move(step));
    }
    return steps;
}

// Values of a blob for an input of this size.
double TileMemory::values(int blob, double width, double height) const {
    const BlobSize& size = blobs_[idx(blob)];
    return size.channels * size.rows(width) * size.rows(height);
}

// Values of what ncnn's convolutions on the CPU take beside blobs and padded copy.
double TileMemory::cpu_workspace(const Convolution& convolution, double width,
                                 double height) const {
    const BlobSize& to = blobs_[idx(convolution.to)];
    const double out_width = to.rows(width);
    const double out_height = to.rows(height);
    const int inputs = blobs_[idx(convolution.from)].channels;
    const int outputs = to.channels;
    const double taps = static_cast<double>(convolution.kernel_width) * convolution.kernel_height;
    if (convolution.grouped || inputs == 0 || outputs == 0 || out_width * out_height == 0) {
        return 0;
    }
    const int side = winograd_side(inputs, outputs);
    if (side != 0 && convolution.suits_winograd()) {
        const double transformed = (side + 2) * (side + 2);
        const double positions = std::ceil(out_width / side) * std::ceil(out_height / side);
        const Parts part = winograd_parts(outputs, positions, inputs, threads_);
        const double parts =
            std::ceil(inputs / part.inputs) * std::ceil(positions / part.positions);
        // The transformed input, beside what threads transform of it and then of the result. Lanes
        // that are not filled are never written, so that they take no memory.
        const double piece = transformed * std::min(part.positions, positions);
        const double given =
            piece * std::min<double>(part.inputs, inputs) * (parts < threads_ ? 1 : threads_);
        const double made = piece * std::min<double>(part.outputs * threads_, outputs);
        return transformed * positions * inputs + std::max(given, made);
    }
    const double weights = taps * inputs * outputs * convolution.spacing * convolution.spacing *
                           convolution.step * convolution.step;
    const bool product = taps == 1 || inputs > 16 || outputs > 16 ||
                         weights * 8 > static_cast<double>(ncnn::get_cpu_level2_cache_size());
    return product ? taps * inputs * out_width * out_height : 0;
}

// Bytes of what a convolution takes beside its blobs, in ncnn's order.
std::vector<double> TileMemory::workspace(const Convolution& convolution, double width,
                                          double height) const {
    std::vector<double> taken;
    const BlobSize& from = blobs_[idx(convolution.from)];
    const BlobSize& to = blobs_[idx(convolution.to)];
    if (convolution.own && to.rows(width) * to.rows(height) > 0) {
        return {static_cast<double>(own_->workspace_bytes(
            from.channels, to.channels, to.rows(width), to.rows(height), threads_))};
    }
    if (convolution.transposed) {
        // A product of every input position and tap, its input in another order, and the result
        // before padding is cut off.
        const double positions = from.rows(width) * from.rows(height);
        const double taps =
            static_cast<double>(convolution.kernel_width) * convolution.kernel_height;
        if (convolution.padded) {
            const auto whole = [&](double rows, int kernel) {
                return (rows - 1) * convolution.step + convolution.spacing * (kernel - 1.0) + 1;
            };
            taken.push_back(value_bytes_ * to.channels *
                            whole(from.rows(width), convolution.kernel_width) *
                            whole(from.rows(height), convolution.kernel_height));
        }
        taken.push_back(value_bytes_ * positions * taps * to.channels);
        if (!device_.vulkan) taken.push_back(value_bytes_ * positions * from.channels);
        return taken;
    }
    if (convolution.padded) {
        const auto more = [&](int kernel) { return convolution.spacing * (kernel - 1.0); };
        taken.push_back(value_bytes_ * from.channels *
                        (from.rows(width) + more(convolution.kernel_width)) *
                        (from.rows(height) + more(convolution.kernel_height)));
    }
    if (!device_.vulkan) {
        taken.push_back(value_bytes_ * cpu_workspace(convolution, width, height));
        return taken;
    }
    // On Vulkan ncnn uses Winograd from 16 channels on, and not in 16 bits, where it is told so.
    constexpr int kLeastChannels = 16;
    constexpr double kTransformed = 36;
    if (value_bytes_ > 2 && convolution.suits_winograd() && from.channels >= kLeastChannels &&
        to.channels >= kLeastChannels) {
        const double squares = std::ceil(to.rows(width) / 4) * std::ceil(to.rows(height) / 4);
        taken.push_back(value_bytes_ * kTransformed * squares * from.channels);
        taken.push_back(value_bytes_ * kTransformed * squares * to.channels);
    }
    return taken;
}

// The allocations of one run; what the result lies in is not given back. The input is a blob of
// the caller's on the CPU, and a copy on a device.
template <typename Memory>
void TileMemory::replay(Memory& memory, double width, double height) const {
    using Part = decltype(memory.take(0.0));
    std::vector<std::pair<bool, Part>> parts(blobs_.size());
    const auto take = [&](int blob) {
        parts[idx(blob)] = {true, memory.take(value_bytes_ * values(blob, width, height))};
    };
    if (device_.vulkan) take(input_);
    for (const Step& step : steps_) {
        std::vector<Part> workspace;
        for (const Convolution& convolution : step.convolution) {
            for (const double bytes : this->workspace(convolution, width, height)) {
                workspace.push_back(memory.take(bytes));
            }
        }
        for (const int blob : step.made) take(blob);
        while (!workspace.empty()) {
            memory.give(workspace.back());
            workspace.pop_back();
        }
        for (const int blob : step.ending) {
            if (std::exchange(parts[idx(blob)].first, false)) {
                memory.give(parts[idx(blob)].second);
            }
        }
    }
    // A driver on the processor reads a 16-bit result back through a 32-bit copy among the blobs.
    if (device_.software && value_bytes_ < 4) memory.take(4 * values(output_, width, height));
}

std::uint64_t TileMemory::used(std::int64_t width, std::int64_t height) const {
    Usage usage;
    replay(usage, static_cast<double>(width), static_cast<double>(height));
    return saturated(usage.most());
}

std::uint64_t TileMemory::block(std::int64_t width, std::int64_t height) const {
    // Blocks as large as ncnn's own, of 16 MiB, would be most of what a small tile takes.
    constexpr std::uint64_t kLeastBlock = std::uint64_t{1} << 18U;
    constexpr std::uint64_t kMostBlock = std::uint64_t{16} << 20U;
    constexpr std::uint64_t kBlocks = 32;
    return std::clamp(used(width, height) / kBlocks, kLeastBlock, kMostBlock);
}

std::uint64_t TileMemory::total(std::int64_t width, std::int64_t height) const {
    const auto columns = static_cast<double>(width);
    const auto rows = static_cast<double>(height);
    const double given = sizeof(float) * values(input_, columns, rows);
    const double result = sizeof(float) * values(output_, columns, rows);
    // The tile and its oriented copy, always in 32 bits.
    const double before = 2 * given;
    if (!device_.vulkan) {
        // The result is copied out of what held the blobs.
        return saturated(before + std::max(static_cast<double>(used(width, height)), 2 * result));
    }
    Blocks blocks(static_cast<double>(block(width, height)), device_.alignment);
    replay(blocks, columns, rows);
    // Buffers that the host writes and reads, and the result on the host. A graphics card moves
    // values as the network has them, and the host makes floats of them.
    const double narrow = value_bytes_ / sizeof(float);
    double passing = given + result;
    if (device_.discrete) {
        passing = narrow * given + narrow * result + result + (narrow < 1 ? narrow * result : 0);
    } else if (!device_.software) {
        passing += result;
    }
    return saturated(before + blocks.held() + passing);
}

}  // namespace realesrgan
