#pragma once

#include <functional>

#include "image/result_check.hpp"
#include "realesrgan/upscaler.hpp"

namespace realesrgan {

// Runs a picture of floats; throws BadResult for an invalid result.
using CheckedRun = std::function<void(const ImageView&, const MutableImageView&)>;

// The possible causes of an invalid result.
struct Suspects {
    const NetworkInfo& network;
    bool on_cpu = false;  // the run was
    bool fp16 = false;    // 16-bit storage was used
    CheckedRun again;     // as the run was done
    // On the CPU, for comparison. Throws another error than BadResult if that is impossible.
    CheckedRun reference;
};

// Runs a part of the picture again and throws the error that names the cause: ImageError if its
// values are outside 0..1 and clamped values have a valid result, ModelError if the result on the
// CPU is invalid, too, otherwise DeviceError. `picture`: null if its rows are gone; `extreme` is
// then their largest absolute sample.
[[noreturn]] void blame(const BadResult& bad, const Suspects& suspects, const ImageView* picture,
                        float extreme);

// The largest absolute sample of floats; infinite where one is not a number, 1 for whole numbers.
float extreme_sample(const ImageView& picture);

}  // namespace realesrgan
