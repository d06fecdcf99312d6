#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "planes.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {

// Below it a result's sample is 0 in 8 bits.
inline constexpr float kBlack = 0.5F / 255.0F;

// Tells a picture from what a failing device or damaged weights give. One object for a run.
class ResultCheck {
  public:
    // `sum`: of the positive ones of these samples, 0..1 each.
    void saw_input(double sum, std::uint64_t samples) {
        input_ += sum;
        samples_ += samples;
    }

    // Throws DeviceError at the first sample that is not a number, or infinite.
    void saw_result(const ConstPlanes& result) {
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
        if (!finite) {
            throw DeviceError(
                "the network's result has values that are not numbers (NaN or infinite): the "
                "device "
                "or its driver failed, 16-bit storage overflowed, or the weights are damaged; try "
                "fp32 precision or another device");
        }
        output_ = std::fmax(output_, largest);
    }

    // Throws DeviceError for a result whose every sample is 0 in 8 bits, of a picture that is not
    // black. Networks make the dark darker and take single bright pixels for noise: x4plus-anime
    // gives a flat 4/255 a mean of 0.00 and a largest sample of 4/255, and a white pixel in 400 the
    // same. So the mean decides, not the brightest pixel.
    void finish() const {
        constexpr double kNotBlack = 4.0 / 255.0;
        if (input_ >= kNotBlack * static_cast<double>(samples_) && samples_ > 0 &&
            output_ < kBlack) {
            throw DeviceError(
                "the result is all black, but the picture is not: the device or its driver failed; "
                "try fp32 precision or another device");
        }
    }

  private:
    double input_ = 0.0;
    std::uint64_t samples_ = 0;
    float output_ = 0.0F;
};

}  // namespace realesrgan
