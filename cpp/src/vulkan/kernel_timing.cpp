#include "kernel_timing.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>

#include "buffer.hpp"
#include "commands.hpp"
#include "device_weights.hpp"
#include "operation.hpp"
#include "rate.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan::vulkan {

namespace {

constexpr int kFeatures = 64, kGrowth = 32, kLayers = 5;
constexpr int kBlockChannels = kFeatures + (kLayers - 1) * kGrowth;
constexpr int kBands[] = {16, 32, kLargestBand, 128};
constexpr double kAsGood = 1.02;  // of the best band's time: less memory is worth that

// One dense block on rings of its own: layer i reads what the ones before it have written.
class DenseBlock {
  public:
    DenseBlock(std::shared_ptr<Context> context, Storage storage, int width, int band)
        : context_(std::move(context)),
          storage_(storage),
          width_(width),
          band_(band),
          weights_(context_, storage) {
        add_ring(kBlockChannels);
        add_ring(kFeatures);
        for (int i = 0; i < kLayers; i++) {
            ConvolutionWeights layer;
            layer.inputs = kFeatures + i * kGrowth;
            layer.outputs = i + 1 < kLayers ? kGrowth : kFeatures;
            // Zeros would do for the time but not for the power a GPU takes, and so its clock.
            layer.kernel.resize(static_cast<std::size_t>(9 * layer.inputs * layer.outputs));
            for (std::size_t w = 0; w < layer.kernel.size(); w++) {
                layer.kernel[w] = 0.02F * std::sin(static_cast<float>(w));
            }
            layer.bias.assign(static_cast<std::size_t>(layer.outputs), 0.1F);
            layers_.push_back(weights_.add(layer, 0.2F));
        }
        weights_.upload();
        Commands commands(context_);
        commands.begin();
        for (const auto& buffer : buffers_) commands.fill_zero(*buffer);
        commands.submit(QueueLease(*context_));
        commands.wait();
    }

    // Seconds of an output pixel; layers [first, end) of the block.
    double time(const KernelSet& kernels, int first, int end, double seconds) {
        std::vector<Operation> operations;
        for (int i = first; i < end; i++) {
            const Op op = layer_op(i);
            operations.emplace_back(*context_, storage_, kernels.of(op.output.channels), op, rings_,
                                    &layers_[static_cast<std::size_t>(i)], band_);
        }
        Commands commands(context_);
        const double pixels = static_cast<double>(width_) * band_;
        const double rate = best_rate(seconds, pixels, [&](int rounds) {
            commands.begin();
            for (int i = 0; i < rounds; i++) {
                for (const Operation& operation : operations) {
                    operation.record(commands, weights_, {1, band_});
                }
            }
            commands.submit(QueueLease(*context_));
            commands.wait();
        });
        return 1.0 / rate;
    }

  private:
    static Op layer_op(int i) {
        Op op;
        op.input = {0, 0, kFeatures + i * kGrowth};
        op.convolution = i;
        if (i + 1 < kLayers) {
            op.output = {0, kFeatures + i * kGrowth, kGrowth};
            op.activation = Activation::leaky_relu;
            op.slope = 0.2F;
        } else {
            op.output = {1, 0, kFeatures};
            op.skips = {{{0, 0, kFeatures}, 0.2F, 1.0F, 1}};
        }
        return op;
    }

    void add_ring(int channels) {
        DeviceRing ring;
        ring.width = width_;
        ring.rows = ring.height = band_ + 2;
        ring.channels = channels;
        buffers_.push_back(std::make_unique<Buffer>(context_, BufferKind::device,
                                                    vulkan::ring_bytes(ring, storage_)));
        ring.buffer = buffers_.back().get();
        rings_.push_back(ring);
    }

    std::shared_ptr<Context> context_;
    Storage storage_;
    int width_, band_;
    Weights weights_;
    std::vector<LayerWeights> layers_;
    std::vector<std::unique_ptr<Buffer>> buffers_;
    std::vector<DeviceRing> rings_;
};

using Seconds = double KernelTiming::*;

double cost(const Timings& timings, const ConvolutionChoice& choice, Seconds part) {
    for (const KernelTiming& timing : timings.kernels) {
        if (timing.choice.text() == choice.text()) return timing.*part;
    }
    return std::numeric_limits<double>::infinity();
}

ConvolutionChoice best_choice(const Timings& timings, const std::vector<ConvolutionChoice>& choices,
                              Seconds part) {
    return *std::min_element(choices.begin(), choices.end(), [&](const auto& a, const auto& b) {
        return cost(timings, a, part) < cost(timings, b, part);
    });
}

}  // namespace

Timings time_kernels(const std::shared_ptr<Context>& context, Storage storage,
                     const std::vector<ConvolutionChoice>& choices, double seconds) {
    const bool software = context->is_software();
    const int width = software ? 64 : 512;
    const double each = seconds / static_cast<double>(2 * choices.size() + std::size(kBands));
    double spent = 0.0;
    Timings timings;
    {
        DenseBlock block(context, storage, width, software ? 16 : kLargestBand);
        for (const ConvolutionChoice& choice : choices) {
            KernelTiming timing{choice};
            if (spent < seconds || timings.kernels.empty()) {
                spent += seconds_of([&] {
                    try {
                        timing.narrow = block.time(alone(choice), 0, kLayers - 1, each);
                        timing.wide = block.time(alone(choice), kLayers - 1, kLayers, each);
                    } catch (const ShaderError&) {
                        timing = KernelTiming{choice};
                    }
                });
            }
            timings.kernels.push_back(timing);
        }
    }
    const KernelSet best = fastest(timings, choices);
    for (const int band : kBands) {
        if (spent >= seconds) break;
        spent += seconds_of([&] {
            DenseBlock block(context, storage, width, band);
            timings.bands.push_back({band, block.time(best, 0, kLayers, each)});
        });
    }
    return timings;
}

KernelSet fastest(const Timings& timings, const std::vector<ConvolutionChoice>& choices) {
    KernelSet set;
    set.narrow = best_choice(timings, choices, &KernelTiming::narrow);
    set.wide = best_choice(timings, choices, &KernelTiming::wide);
    double best = std::numeric_limits<double>::infinity();
    for (const BandTime& band : timings.bands) best = std::min(best, band.seconds);
    const auto good = std::find_if(timings.bands.begin(), timings.bands.end(),
                                   [&](const auto& b) { return b.seconds <= best * kAsGood; });
    // Only where all of them were compared: the first alone says nothing.
    if (timings.bands.size() == std::size(kBands)) set.band = good->rows;
    set.tuned = true;
    return set;
}

}  // namespace realesrgan::vulkan
