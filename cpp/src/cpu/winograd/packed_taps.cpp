#include "cpu/winograd/packed_taps.hpp"

#include <algorithm>

namespace realesrgan::winograd {
namespace {

// Calls place(panel's first channel, panel's width, real channels in it) for each panel.
template <class Place>
void for_each_panel(int out_channels, int panel, const Place& place) {
    const int padded = groups_of(out_channels) * kGroup;
    for (int start = 0, width = 0; start < padded; start += width) {
        width = panel_width(panel, padded, start);
        place(start, width, std::min(width, out_channels - start));
    }
}

std::size_t at(int index) {
    return static_cast<std::size_t>(index);
}

}  // namespace

template <class Value>
AlignedBuffer<Value> pack_taps(const Description& d, const Value* taps, int panel) {
    AlignedBuffer<Value> packed(kTaps * at(d.in_channels) * at(groups_of(d.out_channels) * kGroup));
    const std::size_t row = kTaps * at(d.in_channels);
    for_each_panel(d.out_channels, panel, [&](int start, int width, int real) {
        Value* const first = packed.data() + at(start) * row;
        for (int o = 0; o < real; ++o) {
            for (std::size_t i = 0; i < row; ++i)
                first[i * at(width) + at(o)] = taps[at(start + o) * row + i];
        }
    });
    return packed;
}

template AlignedBuffer<float> pack_taps(const Description&, const float*, int);
template AlignedBuffer<std::uint16_t> pack_taps(const Description&, const std::uint16_t*, int);

}  // namespace realesrgan::winograd
