#include "resize_taps.hpp"

#include <algorithm>
#include <cmath>

namespace realesrgan {

namespace {

// The cubic convolution kernel (R. Keys, 1981) with a = -0.75 at the distances 1 + t, t, 1 - t and
// 2 - t; the last follows from the sum being one.
std::array<float, 4> cubic_weights(float t) {
    constexpr float a = -0.75F;
    const float far = t + 1;
    const float near = 1 - t;
    std::array<float, 4> weight{};
    weight[0] = a * far * far * far - 5 * a * far * far + 8 * a * far - 4 * a;
    weight[1] = (a + 2) * t * t * t - (a + 3) * t * t + 1;
    weight[2] = (a + 2) * near * near * near - (a + 3) * near * near + 1;
    weight[3] = 1.0F - weight[0] - weight[1] - weight[2];
    return weight;
}

}  // namespace

ResizeTaps resize_taps(const Resize& resize, int length, int at) {
    const double step = static_cast<double>(resize.denominator) / resize.numerator;
    const auto centre = static_cast<float>((at + 0.5) * step - 0.5);
    const int base = static_cast<int>(std::floor(centre));
    const float t = centre - static_cast<float>(base);
    const bool cubic = resize.filter == ResizeFilter::bicubic;
    const std::array<float, 4> weight =
        cubic ? cubic_weights(t) : std::array<float, 4>{1.0F - t, t, 0.0F, 0.0F};
    ResizeTaps taps;
    taps.count = cubic ? 4 : 2;
    const int start = base - (cubic ? 1 : 0);
    taps.first = std::clamp(start, 0, length - taps.count);
    for (int i = 0; i < taps.count; ++i) {
        const int position = std::clamp(start + i, 0, length - 1) - taps.first;
        taps.weight[static_cast<std::size_t>(position)] += weight[static_cast<std::size_t>(i)];
    }
    return taps;
}

}  // namespace realesrgan
