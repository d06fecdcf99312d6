#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "base/integers.hpp"
#include "realesrgan/yuv.hpp"

// Planar pictures for tests.
namespace yuv_picture {

using namespace realesrgan;

// A planar picture in memory of its own, its planes packed.
struct YuvPicture {
    YuvFormat format;
    int width;
    int height;
    std::array<std::vector<std::byte>, 3> bytes;

    YuvPicture(const YuvFormat& its_format, int its_width, int its_height)
        : format(its_format), width(its_width), height(its_height) {
        for (int plane = 0; plane < 3; ++plane) {
            bytes[idx(plane)].resize(idx(columns(plane)) * idx(rows(plane)) * size());
        }
    }

    int columns(int plane) const {
        return plane == 0 ? width : ceil_div(width, format.subsampling_x);
    }
    int rows(int plane) const {
        return plane == 0 ? height : ceil_div(height, format.subsampling_y);
    }
    std::size_t size() const { return format.bits > 8 ? 2 : 1; }

    int at(int plane, int x, int y) const {
        const std::byte* from = bytes[idx(plane)].data() + idx(y * columns(plane) + x) * size();
        if (format.bits == 8) return static_cast<int>(*from);
        std::uint16_t sample = 0;
        std::memcpy(&sample, from, sizeof(sample));
        return sample >> format.low_bits;
    }
    void set(int plane, int x, int y, int value) {
        std::byte* to = bytes[idx(plane)].data() + idx(y * columns(plane) + x) * size();
        const auto sample = static_cast<std::uint16_t>(value << format.low_bits);
        std::memcpy(to, &sample, size());
    }
    void fill(int plane, int value) {
        for (int y = 0; y < rows(plane); ++y) {
            for (int x = 0; x < columns(plane); ++x) set(plane, x, y, value);
        }
    }

    template <typename View, typename Self>
    static View view_of(Self& self) {
        View view;
        view.format = self.format;
        view.width = self.width;
        view.height = self.height;
        for (int plane = 0; plane < 3; ++plane) {
            const auto sample = static_cast<std::ptrdiff_t>(self.size());
            view.planes[idx(plane)] = {self.bytes[idx(plane)].data(), self.columns(plane) * sample,
                                       sample};
        }
        return view;
    }
    YuvView view() const { return view_of<YuvView>(*this); }
    MutableYuvView writable() { return view_of<MutableYuvView>(*this); }
};

inline YuvPicture noise(const YuvFormat& format, int width, int height, unsigned seed) {
    YuvPicture picture(format, width, height);
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> uniform(0, (1 << format.bits) - 1);
    for (int plane = 0; plane < 3; ++plane) {
        for (int y = 0; y < picture.rows(plane); ++y) {
            for (int x = 0; x < picture.columns(plane); ++x)
                picture.set(plane, x, y, uniform(random));
        }
    }
    return picture;
}

// How many samples of two pictures differ, and by how many steps at most.
struct Difference {
    int samples = 0;
    int differing = 0;
    int most = 0;
};

inline Difference difference(const YuvPicture& a, const YuvPicture& b) {
    Difference found;
    for (int plane = 0; plane < 3; ++plane) {
        for (int y = 0; y < a.rows(plane); ++y) {
            for (int x = 0; x < a.columns(plane); ++x) {
                const int steps = std::abs(a.at(plane, x, y) - b.at(plane, x, y));
                ++found.samples;
                found.differing += steps > 0 ? 1 : 0;
                found.most = std::max(found.most, steps);
            }
        }
    }
    return found;
}

// Every matrix, range, siting, subsampling and depth at least once.
inline std::vector<YuvFormat> formats() {
    std::vector<YuvFormat> all;
    const auto add = [&](YuvMatrix matrix, bool full, ChromaSiting siting, int bits, int low_bits,
                         int x,
                         int y) { all.push_back({matrix, full, siting, bits, low_bits, x, y}); };
    add(YuvMatrix::bt709, false, ChromaSiting::left, 8, 0, 2, 2);
    add(YuvMatrix::bt601, true, ChromaSiting::center, 8, 0, 2, 2);
    add(YuvMatrix::bt2020, false, ChromaSiting::top_left, 10, 0, 2, 2);
    add(YuvMatrix::bt2020, false, ChromaSiting::left, 10, 6, 2, 2);
    add(YuvMatrix::bt709, true, ChromaSiting::left, 12, 0, 2, 1);
    add(YuvMatrix::bt709, false, ChromaSiting::left, 16, 0, 1, 1);
    add(YuvMatrix::bt601, false, ChromaSiting::left, 8, 0, 4, 1);
    add(YuvMatrix::bt601, false, ChromaSiting::top_left, 8, 0, 4, 4);
    add(YuvMatrix::bt709, false, ChromaSiting::center, 8, 0, 1, 4);
    add(YuvMatrix::rgb, false, ChromaSiting::left, 10, 0, 1, 1);
    add(YuvMatrix::rgb, true, ChromaSiting::center, 8, 0, 1, 1);
    return all;
}

}  // namespace yuv_picture
