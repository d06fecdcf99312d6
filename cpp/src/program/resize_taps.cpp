#include "program/resize_taps.hpp"

#include <algorithm>
#include <cstddef>

#include "base/integers.hpp"

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
    // (at + 0.5) * denominator / numerator - 0.5 as whole positions and a rest, exactly: a float
    // has too few digits for a high picture's rows.
    const Row unit = 2 * Row{resize.numerator};
    const Row centre = (2 * Row{at} + 1) * resize.denominator - resize.numerator;
    const Row base = floor_div(centre, unit);
    const float t = static_cast<float>(centre - base * unit) / static_cast<float>(unit);
    const bool cubic = resize.filter == ResizeFilter::bicubic;
    const std::array<float, 4> weight =
        cubic ? cubic_weights(t) : std::array<float, 4>{1.0F - t, t, 0.0F, 0.0F};
    const Row start = base - (cubic ? 1 : 0);
    const Row last = start + (cubic ? 3 : 1);
    const auto inside = [&](Row position) {
        return static_cast<int>(std::clamp<Row>(position, 0, length - 1));
    };
    ResizeTaps taps;
    taps.first = inside(start);
    taps.count = inside(last) - taps.first + 1;
    for (Row position = start; position <= last; ++position) {
        taps.weight[idx(inside(position) - taps.first)] += weight[idx(position - start)];
    }
    return taps;
}

}  // namespace realesrgan
