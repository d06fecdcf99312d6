#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "image/planes.hpp"
#include "image/region.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {

// Smaller values become 0 in 8 bits.
inline constexpr float kBlack = 0.5F / 255.0F;

// An invalid result: a fault of the device unless the diagnosis finds another cause.
class BadResult : public DeviceError {
  public:
    enum class Kind { not_finite, black };

    // `region`: the part of the input picture that it was computed from; may extend beyond it.
    BadResult(Kind kind, const Region& region)
        : DeviceError(kind == Kind::black
                          ? "the result is all black, but the picture is not: the device or its "
                            "driver failed; try fp32 precision or another device"
                          : "the network's result has values that are not numbers (NaN or "
                            "infinite): the device or its driver failed, or 16-bit storage "
                            "overflowed; try fp32 precision or another device"),
          kind_(kind),
          region_(region) {}

    Kind kind() const { return kind_; }
    const Region& region() const { return region_; }
    // The same for the transposed picture.
    BadResult turned() const { return {kind_, {region_.y, region_.x}}; }

    static Region everything() {
        constexpr Span kAll{0, std::numeric_limits<std::int64_t>::max()};
        return {kAll, kAll};
    }

  private:
    Kind kind_;
    Region region_;
};

// Detects invalid results of failing devices and damaged weights. One object for each run.
class ResultCheck {
  public:
    // `sum`: of the positive ones of these samples, 0..1 each.
    void saw_input(double sum, std::uint64_t samples) {
        input_ += sum;
        samples_ += samples;
    }

    // `largest`: the largest sample of a part of the result. Throws BadResult where the part has
    // samples that are NaN or infinite. `region`: of the input, that this is a result of.
    void saw_result(float largest, bool finite, const Region& region) {
        if (!finite) throw BadResult(BadResult::Kind::not_finite, region);
        output_ = std::fmax(output_, largest);
    }

    void saw_result(const ConstPlanes& result, const Region& region) {
        float largest = 0.0F;
        bool finite = true;
        for (int c = 0; c < result.channels; ++c) {
            for (std::int64_t y = 0; y < result.height; ++y) {
                const float* row = result.row(c, y);
                for (std::int64_t x = 0; x < result.width; ++x) {
                    const float value = row[x * result.x_stride];
                    finite &= std::abs(value) <= std::numeric_limits<float>::max();
                    largest = value > largest ? value : largest;
                }
            }
        }
        saw_result(largest, finite, region);
    }

    // Throws BadResult for a result whose every sample is 0 in 8 bits, of a picture that is not
    // black. Networks darken dark pictures and remove single bright pixels as noise: x4plus-anime
    // gives a flat 4/255 a mean of 0.00 and a largest sample of 4/255, and a white pixel in 400 the
    // same. So the mean decides, not the brightest pixel.
    void finish() const {
        constexpr double kNotBlack = 4.0 / 255.0;
        if (input_ >= kNotBlack * static_cast<double>(samples_) && samples_ > 0 &&
            output_ < kBlack) {
            throw BadResult(BadResult::Kind::black, BadResult::everything());
        }
    }

  private:
    double input_ = 0.0;
    std::uint64_t samples_ = 0;
    float output_ = 0.0F;
};

}  // namespace realesrgan
