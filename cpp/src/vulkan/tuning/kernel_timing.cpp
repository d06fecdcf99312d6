#include "vulkan/tuning/kernel_timing.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/thread_count.hpp"
#include "vulkan/tuning/benchmark_block.hpp"
#include "vulkan/tuning/timer.hpp"

namespace realesrgan::vulkan {

namespace {

// Of the block and its bands. A driver that computes on the processor is only tuned when asked to.
struct Sizes {
    int width, fewest_pixels, most_pixels;
};
constexpr Sizes kOnGpu = {1024, 1 << 14, 1 << 20}, kOnProcessor = {64, 1 << 8, 1 << 10};
constexpr double kSubmission = 4e-3;     // seconds that a kernel is timed for at once, about
constexpr double kBuildingShare = 0.65;  // of the time, at most; the first choice is always built
constexpr double kWarmUpShare = 0.2;     // at most
constexpr double kTimingShare = 0.012;   // each kernel and layer, and each band
constexpr double kAsGood = 1.04;         // of the best band's time: less memory is worth that
constexpr double kWorthRounding = 1.05;  // of a time with sums in fp16, which round more often
constexpr double kSteady = 0.97;

// The layers that represent those of up to 32 output channels, and all others; a block has four of
// the former.
constexpr int kNarrowLayer = 2, kWideLayer = DenseBlock::kLayers - 1, kNarrowLayers = 4;

// A configuration and its layers.
struct Candidate {
    KernelConfig choice;
    std::vector<Operation> narrow, wide;

    // False if the driver cannot compile it.
    bool compiled() const {
        return narrow[0].pipeline().compiled() && wide[0].pipeline().compiled();
    }
};

// The largest power of two of pixels for which memory and one binding are large enough.
Sizes sizes_for(const Context& context, Storage storage) {
    Sizes sizes = context.is_software() ? kOnProcessor : kOnGpu;
    const std::uint64_t room = std::min(context.max_buffer_bytes(), context.free_bytes() / 4) /
                               DenseBlock::bytes_per_pixel(storage);
    while (sizes.most_pixels > sizes.fewest_pixels &&
           static_cast<std::uint64_t>(sizes.most_pixels) > room) {
        sizes.most_pixels /= 2;
    }
    return sizes;
}

class Timer {
  public:
    Timer(const std::shared_ptr<Context>& context, Storage storage, double seconds,
          const MeasureLayers& measure)
        : sizes_(sizes_for(*context, storage)),
          block_(context, storage, sizes_.width, sizes_.most_pixels / sizes_.width),
          context_(context),
          storage_(storage),
          seconds_(seconds),
          measure_(measure) {}

    void time_kernels(const std::vector<KernelConfig>& choices, Timings& timings) {
        build_all(choices, timings);
        const int rows = warm_up();
        for (std::size_t i = 0; i < candidates_.size(); i++) {
            const Candidate& candidate = candidates_[i];
            if (!candidate.compiled() || (i > 0 && spent_ >= seconds_)) continue;
            timings.kernels[i].narrow = time(candidate.narrow, rows);
            timings.kernels[i].wide = time(candidate.wide, rows);
        }
    }

    // Leaves the times infinite if the device computes no pairs or the driver cannot compile them.
    void time_pair(const KernelConfig& choice, PairTime& timing) {
        timing.choice = choice;
        if (!can_pair(*context_, storage_, choice)) return;
        const DensePair pair = block_.pair(choice, kNarrowLayer);
        const auto layers = block_.layers(alone(choice), kNarrowLayer, kNarrowLayer + 2);
        std::vector<Pipeline*> wanted{&pair.pipeline()};
        for (const Operation& layer : layers) wanted.push_back(&layer.pipeline());
        try {
            spent_ += seconds_of([&] { context_->pipelines().compile(wanted, threads_); });
        } catch (const ShaderError&) {
            return;
        }
        const int rows = warm_up();
        spent_ += seconds_of([&] {
            timing.apart = measure_(block_, layers, rows, seconds_ * kTimingShare);
            timing.together = block_.time(pair, rows, seconds_ * kTimingShare);
        });
    }

    // In ascending order; continues past the time limit while submissions are short.
    void time_bands(const KernelSet& best, Timings& timings) {
        std::vector<Operation> layers;
        for (int i = 0; i < kNarrowLayers; i++) add(layers, best.narrow, &Candidate::narrow);
        add(layers, best.wide, &Candidate::wide);
        if (layers.empty()) return;
        double pixel = 0.0;
        for (int pixels = sizes_.fewest_pixels; pixels <= sizes_.most_pixels; pixels *= 2) {
            const double left = std::max(seconds_ - spent_, 2 * kTimingShare * seconds_);
            if (2.0 * pixels * pixel > left) break;
            pixel = time(layers, pixels / sizes_.width);
            timings.bands.push_back({pixels, pixel});
        }
    }

  private:
    void add(std::vector<Operation>& layers, const KernelConfig& choice,
             std::vector<Operation> Candidate::* part) const {
        for (const Candidate& candidate : candidates_) {
            if (candidate.choice.text() != choice.text() || !candidate.compiled()) continue;
            layers.insert(layers.end(), (candidate.*part).begin(), (candidate.*part).end());
        }
    }

    double time(const std::vector<Operation>& layers, int rows) {
        double pixel = 0.0;
        spent_ +=
            seconds_of([&] { pixel = measure_(block_, layers, rows, seconds_ * kTimingShare); });
        return pixel;
    }

    // Compiles the first configuration, then as many at once as there are threads, while the time
    // suffices for compile times like those so far: some drivers compile one pipeline at a time.
    void build_all(const std::vector<KernelConfig>& choices, Timings& timings) {
        for (const KernelConfig& choice : choices) timings.kernels.push_back({choice});
        std::size_t count = std::min<std::size_t>(1, choices.size());
        while (count > 0) {
            const double taken = seconds_of([&] { build(choices, candidates_.size() + count); });
            spent_ += taken;
            const double left = std::max(0.0, seconds_ * kBuildingShare - spent_);
            const double in_time = left / std::max(taken / static_cast<double>(count), 1e-6);
            const double at_once = std::min(in_time, std::max(1.0, threads_ / 2.0));
            count =
                std::min(static_cast<std::size_t>(at_once), choices.size() - candidates_.size());
        }
    }

    // The candidates up to `end`.
    void build(const std::vector<KernelConfig>& choices, std::size_t end) {
        std::vector<Pipeline*> wanted;
        while (candidates_.size() < end) {
            const KernelConfig& choice = choices[candidates_.size()];
            candidates_.push_back({choice,
                                   block_.layers(alone(choice), kNarrowLayer, kNarrowLayer + 1),
                                   block_.layers(alone(choice), kWideLayer, kWideLayer + 1)});
            wanted.push_back(&candidates_.back().narrow[0].pipeline());
            wanted.push_back(&candidates_.back().wide[0].pipeline());
        }
        try {
            context_->pipelines().compile(wanted, threads_);
        } catch (const ShaderError&) {
            return;  // one failed; the others are compiled
        }
    }

    // Runs the first candidate until it gets no faster, because an idle GPU takes time to reach its
    // full clock. Returns how many rows make a submission long enough to time.
    int warm_up() {
        const int fewest = sizes_.fewest_pixels / sizes_.width;
        const auto first = std::find_if(candidates_.begin(), candidates_.end(),
                                        [](const Candidate& one) { return one.compiled(); });
        if (first == candidates_.end()) return fewest;
        const auto rows_for = [&](double pixel) {
            const double rows = kSubmission / pixel / sizes_.width;
            return static_cast<int>(std::clamp<double>(rows, fewest, block_.rows()));
        };
        double pixel = time(first->wide, fewest);
        const double end = spent_ + seconds_ * kWarmUpShare;
        for (int steady = 0; steady < 2 && spent_ < end;) {
            const double now = time(first->wide, rows_for(pixel));
            steady = now > pixel * kSteady ? steady + 1 : 0;
            pixel = now;
        }
        return rows_for(pixel);
    }

    Sizes sizes_;
    DenseBlock block_;
    std::shared_ptr<Context> context_;
    Storage storage_;
    double seconds_;
    const MeasureLayers& measure_;
    int threads_ = thread_count(0);
    double spent_ = 0.0;
    std::vector<Candidate> candidates_;  // of the first choices
};

using Seconds = double KernelTiming::*;

double cost(const Timings& timings, const KernelConfig& choice, Seconds part) {
    for (const KernelTiming& timing : timings.kernels) {
        if (timing.choice.text() != choice.text()) continue;
        return timing.*part * (choice.half_products > 0 ? kWorthRounding : 1.0);
    }
    return std::numeric_limits<double>::infinity();
}

KernelConfig best_choice(const Timings& timings, const std::vector<KernelConfig>& choices,
                         Seconds part) {
    return *std::min_element(choices.begin(), choices.end(), [&](const auto& a, const auto& b) {
        return cost(timings, a, part) < cost(timings, b, part);
    });
}

}  // namespace

Timings time_kernels(const std::shared_ptr<Context>& context, Storage storage,
                     const std::vector<KernelConfig>& choices, double seconds,
                     const MeasureLayers& measure) {
    Timings timings;
    Timer timer(context, storage, seconds, measure);
    timer.time_kernels(choices, timings);
    timer.time_pair(fastest(timings, choices).narrow, timings.pair);
    timer.time_bands(fastest(timings, choices), timings);
    return timings;
}

KernelSet fastest(const Timings& timings, const std::vector<KernelConfig>& choices) {
    KernelSet set;
    set.narrow = best_choice(timings, choices, &KernelTiming::narrow);
    set.wide = best_choice(timings, choices, &KernelTiming::wide);
    // In one dispatch fewer bytes are moved, which a block alone on the device does not show.
    set.pairs = timings.pair.choice.text() == set.narrow.text() &&
                timings.pair.together <= timings.pair.apart && std::isfinite(timings.pair.together);
    double best = std::numeric_limits<double>::infinity();
    for (const BandTime& band : timings.bands) best = std::min(best, band.seconds);
    const auto good = std::find_if(timings.bands.begin(), timings.bands.end(),
                                   [&](const auto& b) { return b.seconds <= best * kAsGood; });
    if (!timings.bands.empty()) set.pixel_seconds = good->seconds;
    // A single band size is no comparison.
    if (timings.bands.size() > 1) set.band_pixels = good->pixels;
    set.tuned = true;
    return set;
}

}  // namespace realesrgan::vulkan
