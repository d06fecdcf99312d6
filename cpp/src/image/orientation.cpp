#include "image/orientation.hpp"

namespace realesrgan {

std::vector<Orientation> orientations(bool all) {
    std::vector<Orientation> result;
    constexpr int kOrientations = 8;
    for (int i = 0; i < (all ? kOrientations : 1); ++i) {
        result.push_back({(i & 1) != 0, (i & 2) != 0, (i & 4) != 0});
    }
    return result;
}

void copy(const ConstPlanes& from, const Planes& to) {
    for (int c = 0; c < from.channels; ++c) {
        for (std::int64_t y = 0; y < from.height; ++y) {
            const float* source = from.row(c, y);
            float* target = to.row(c, y);
            for (std::int64_t x = 0; x < from.width; ++x) {
                target[x * to.x_stride] = source[x * from.x_stride];
            }
        }
    }
}

}  // namespace realesrgan
