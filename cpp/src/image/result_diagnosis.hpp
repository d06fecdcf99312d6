#pragma once

#include <functional>

#include "image/result_check.hpp"
#include "realesrgan/upscaler.hpp"

namespace realesrgan {

// Runs a picture of floats, throws BadResult for a result that is none.
using CheckedRun = std::function<void(const ImageView&, const MutableImageView&)>;

// Who may be at fault for a result that is no picture.
struct Suspects {
    const NetworkInfo& network;
    bool on_cpu = false;  // the run was
    bool fp16 = false;    // 16-bit storage was used
    CheckedRun again;     // as the run was done
    // On the CPU, to compare with. Throws another error than BadResult where that cannot be done.
    CheckedRun reference;
};

// Throws what a bad result comes from, after running a part of the picture again: ImageError where
// its values are outside 0..1 and the same values cut to 0..1 give a result, ModelError where the
// CPU gives no result of them, either, and otherwise DeviceError. `picture`: null when its rows
// have gone by, of which `extreme` is the largest absolute sample.
[[noreturn]] void blame(const BadResult& bad, const Suspects& suspects, const ImageView* picture,
                        float extreme);

// The largest absolute sample of floats; infinite where one is not a number, 1 for whole numbers.
float extreme_sample(const ImageView& picture);

}  // namespace realesrgan
