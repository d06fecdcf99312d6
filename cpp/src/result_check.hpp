#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "planes.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {

// Tells a picture from what a failing device or damaged weights give. One object for a run.
class ResultCheck {
  public:
    void saw_input(float largest) { input_ = std::fmax(input_, largest); }

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

    // Throws DeviceError for an all-black result of a picture that is not black.
    void finish() const {
        constexpr float kNotBlack = 0.05F;
        constexpr float kBlack = 0.5F / 255.0F;  // rounds to 0 in 8 bits
        if (input_ >= kNotBlack && output_ < kBlack) {
            throw DeviceError(
                "the result is all black, but the picture is not: the device or its driver failed; "
                "try fp32 precision or another device");
        }
    }

  private:
    float input_ = 0.0F;
    float output_ = 0.0F;
};

}  // namespace realesrgan
