#include "image/result_diagnosis.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <new>
#include <sstream>
#include <string>
#include <vector>

#include "image/image_view.hpp"
#include "image/sample_conversion.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {

namespace {

constexpr std::int64_t kCell = 192;     // side of the part that is looked for
constexpr std::int64_t kMostHalo = 64;  // around it, of the network's receptive field
constexpr int kSampleSide = 64;         // of the synthetic picture that replaces rows that are gone

// A packed picture of floats.
struct Part {
    int width = 0, height = 0, channels = 0;
    std::vector<float> samples;

    Part(std::int64_t w, std::int64_t h, int c)
        : width(static_cast<int>(w)),
          height(static_cast<int>(h)),
          channels(c),
          samples(static_cast<std::size_t>(w * h * c)) {}

    Planes planes() {
        return {
            samples.data(), width, height, channels, channels, std::ptrdiff_t{channels} * width, 1};
    }
    MutableImageView view() {
        return packed_view(reinterpret_cast<std::byte*>(samples.data()), SampleType::f32, width,
                           height, channels);
    }

    // Whether the run has a valid result.
    bool passes(const CheckedRun& run, const NetworkInfo& network) {
        Part result(std::int64_t{width} * network.scale, std::int64_t{height} * network.scale,
                    network.output_channels);
        try {
            const MutableImageView own = view();
            run(as_const(own), result.view());
        } catch (const BadResult&) {
            return false;
        }
        return true;
    }
};

Part cut(const ImageView& picture, const Region& region) {
    Part part(region.x.size(), region.y.size(), picture.channels);
    load_samples(picture, region.x.begin, region.y.begin, part.planes());
    return part;
}

float extreme_of(const std::vector<float>& samples) {
    float most = 0.0F;
    for (const float sample : samples) {
        const float size = std::abs(sample);
        if (!(size <= std::numeric_limits<float>::max()))
            return std::numeric_limits<float>::infinity();
        most = std::max(most, size);
    }
    return most;
}

double mean_of(const std::vector<float>& samples) {
    double sum = 0.0;
    for (const float sample : samples) sum += std::max(sample, 0.0F);
    return sum / static_cast<double>(samples.size());
}

Span within(const Span& span, std::int64_t length) {
    const std::int64_t begin = std::clamp<std::int64_t>(span.begin, 0, length - 1);
    return {begin, std::clamp<std::int64_t>(span.end, begin + 1, length)};
}

// The most significant cell of the bad region, with the context that the network needs: the
// brightest for a black result, otherwise the one with the largest sample.
Part telling_part(const BadResult& bad, const ImageView& picture, std::int64_t field) {
    const Region all{within(bad.region().x, picture.width), within(bad.region().y, picture.height)};
    Region best = all;
    double most = -1.0;
    for (std::int64_t y = all.y.begin; y < all.y.end; y += kCell) {
        for (std::int64_t x = all.x.begin; x < all.x.end; x += kCell) {
            const Region cell{{x, std::min(x + kCell, all.x.end)},
                              {y, std::min(y + kCell, all.y.end)}};
            const Part part = cut(picture, cell);
            const double weight = bad.kind() == BadResult::Kind::black
                                      ? mean_of(part.samples)
                                      : double{extreme_of(part.samples)};
            if (weight <= most) continue;
            most = weight;
            best = cell;
        }
    }
    const std::int64_t halo = std::min(field, kMostHalo);
    return cut(picture, {within({best.x.begin - halo, best.x.end + halo}, picture.width),
                         within({best.y.begin - halo, best.y.end + halo}, picture.height)});
}

// A picture of 0..1 that is not dark, to replace rows that are gone.
Part sample_part(int channels) {
    Part part(kSampleSide, kSampleSide, channels);
    std::uint32_t state = 1;
    for (float& sample : part.samples) {
        state = state * 1664525U + 1013904223U;  // Numerical Recipes' generator
        sample = static_cast<float>(state >> 8U) / static_cast<float>(1U << 24U);
    }
    return part;
}

Part clipped(const Part& part) {
    Part result = part;
    for (float& sample : result.samples) {
        sample = sample >= 0.0F ? std::min(sample, 1.0F) : 0.0F;  // what is no number, too
    }
    return result;
}

std::string values_text(float extreme) {
    if (!std::isfinite(extreme)) return "values that are not numbers (NaN or infinite)";
    std::ostringstream text;
    text << "values up to " << extreme << " or down to -" << extreme;
    return text.str();
}

[[noreturn]] void blame_picture(float extreme, bool storage) {
    throw ImageError("the picture has " + values_text(extreme) + ", of which " +
                     (storage ? "16-bit storage and so the network" : "the network") +
                     " gives no numbers; networks expect 0..1" +
                     (storage ? ": divide by the largest value, or use fp32 precision"
                              : ": divide by the largest value"));
}

[[noreturn]] void blame_network(const BadResult& bad) {
    throw ModelError(std::string("the network gives ") +
                     (bad.kind() == BadResult::Kind::black
                          ? "an all black result of a picture that is not black"
                          : "values that are not numbers (NaN or infinite)") +
                     ", on the CPU, too: its weights are damaged, or are not a network for "
                     "pictures of 0..1");
}

// Nothing if the CPU cannot run it.
enum class Verdict { passes, fails, unknown };

Verdict reference_says(Part& part, const Suspects& suspects) {
    try {
        return part.passes(suspects.reference, suspects.network) ? Verdict::passes : Verdict::fails;
    } catch (const ModelError&) {  // the files have gone
    } catch (const OutOfMemoryError&) {
    } catch (const std::bad_alloc&) {
    }
    return Verdict::unknown;
}

}  // namespace

float extreme_sample(const ImageView& picture) {
    if (picture.type != SampleType::f32) return 1.0F;
    float most = 0.0F;
    for (std::int64_t y = 0; y < picture.height; ++y) {
        const Part row = cut(picture, {{0, picture.width}, {y, y + 1}});
        most = std::max(most, extreme_of(row.samples));
    }
    return most;
}

void blame(const BadResult& bad, const Suspects& suspects, const ImageView* picture,
           float extreme) {
    Part part = picture == nullptr ? sample_part(suspects.network.input_channels)
                                   : telling_part(bad, *picture, suspects.network.receptive_field);
    Part inside = clipped(part);
    if (picture != nullptr) extreme = extreme_of(part.samples);
    const bool outside = extreme > 1.0F;
    if (suspects.on_cpu) {
        if (outside && inside.passes(suspects.again, suspects.network))
            blame_picture(extreme, false);
        blame_network(bad);
    }
    if (!outside || !inside.passes(suspects.again, suspects.network)) {
        if (reference_says(inside, suspects) == Verdict::fails) blame_network(bad);
        throw DeviceError(bad.what());
    }
    // The rows cannot be run again, but the device computes others correctly.
    const Verdict verdict = picture == nullptr ? Verdict::unknown : reference_says(part, suspects);
    if (verdict != Verdict::passes) blame_picture(extreme, false);
    if (suspects.fp16) blame_picture(extreme, true);
    throw DeviceError(bad.what());
}

}  // namespace realesrgan
