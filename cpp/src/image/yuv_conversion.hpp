#pragma once

#include <algorithm>
#include <cstdlib>

#include "base/integers.hpp"
#include "realesrgan/yuv.hpp"

// The numbers of H.273 and of chroma resampling that conversions on the host and on a device share.

namespace realesrgan {

// Chroma samples along one axis.
struct ChromaAxis {
    int length;    // in luma samples
    int samples;   // in chroma samples
    int step;      // luma samples for each
    bool cosited;  // with the first of them

    int first_tap() const { return cosited ? 1 - step : 0; }
    int last_tap() const { return step - 1; }
    // What the luma sample at this distance from the first one of a chroma sample counts.
    float tap(int distance) const {
        const auto steps = static_cast<float>(step);
        return cosited ? (steps - static_cast<float>(std::abs(distance))) / (steps * steps)
                       : 1 / steps;
    }
    // The chroma sample at or before a luma sample, and the distance from it in chroma samples.
    int before(int luma) const {
        const int doubled = cosited ? 2 * luma : 2 * luma + 1 - step;
        return doubled < 0 ? -1 : doubled / (2 * step);
    }
    float behind(int luma) const {
        const int doubled = cosited ? 2 * luma : 2 * luma + 1 - step;
        return static_cast<float>(doubled - 2 * step * before(luma)) / static_cast<float>(2 * step);
    }
    int inside(int sample) const { return std::clamp(sample, 0, samples - 1); }
};

// E'Y = red E'R + green E'G + blue E'B; H.273, table 4.
struct LumaWeights {
    float red;
    float green;
    float blue;
};

inline LumaWeights luma_weights(YuvMatrix matrix) {
    switch (matrix) {
        case YuvMatrix::bt601:
            return {0.299F, 0.587F, 0.114F};
        case YuvMatrix::bt2020:
            return {0.2627F, 0.6780F, 0.0593F};
        case YuvMatrix::bt709:
        case YuvMatrix::rgb:
            break;
    }
    return {0.2126F, 0.7152F, 0.0722F};
}

// E'R = E'Y + red E'CR, E'B = E'Y + blue E'CB, and E'G = E'Y - green_of_blue E'CB - green_of_red
// E'CR; H.273, equations 38 to 40 solved for the colours.
struct ColourWeights {
    explicit ColourWeights(const LumaWeights& weights)
        : red(2 * (1 - weights.red)),
          blue(2 * (1 - weights.blue)),
          green_of_red(red * weights.red / weights.green),
          green_of_blue(blue * weights.blue / weights.green) {}

    float red;
    float blue;
    float green_of_red;
    float green_of_blue;
};

// A sample is range * value + offset, for a luma value in 0..1 or a chroma value in -0.5..0.5;
// H.273, equations 20 to 25.
struct Quantization {
    float range;
    float offset;

    static Quantization luma(const YuvFormat& format) {
        const auto unit = static_cast<float>(1 << (format.bits - 8));
        return format.full_range ? Quantization{256 * unit - 1, 0}
                                 : Quantization{219 * unit, 16 * unit};
    }
    static Quantization chroma(const YuvFormat& format) {
        const auto unit = static_cast<float>(1 << (format.bits - 8));
        return {format.full_range ? 256 * unit - 1 : 224 * unit, 128 * unit};
    }
};

inline ChromaAxis chroma_columns(const YuvFormat& format, int width) {
    return {width, ceil_div(width, format.subsampling_x), format.subsampling_x,
            format.siting != ChromaSiting::center};
}

inline ChromaAxis chroma_rows(const YuvFormat& format, int height) {
    return {height, ceil_div(height, format.subsampling_y), format.subsampling_y,
            format.siting == ChromaSiting::top_left};
}

template <typename Byte>
bool has_chroma(const BasicYuvView<Byte>& picture) {
    return picture.planes[1].data != nullptr;
}

}  // namespace realesrgan
