#include "plan/plane_window.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "base/integers.hpp"
#include "image/result_check.hpp"

namespace realesrgan {

namespace {

constexpr int kWord = 4;

std::uint64_t plane_bytes(const PlaneShape& shape, int width, Row rows) {
    return round_up(product(width, rows, shape.sample_bytes()), std::uint64_t{kWord});
}

std::uint64_t window_bytes(const PlaneShape& shape, Row luma, Row chroma) {
    const std::uint64_t first = plane_bytes(shape, shape.width, luma);
    return shape.planes.chroma ? first + 2 * plane_bytes(shape, shape.columns().samples, chroma)
                               : first;
}

PlaneWindow window(const PlaneShape& shape, RowRange luma, RowRange chroma) {
    PlaneWindow made;
    made.luma = luma;
    made.bytes = window_bytes(shape, luma.count, chroma.count);
    if (!shape.planes.chroma) return made;
    made.chroma = chroma;
    made.offsets[1] = plane_bytes(shape, shape.width, luma.count);
    made.offsets[2] = made.offsets[1] + plane_bytes(shape, shape.columns().samples, chroma.count);
    return made;
}

RowRange between(Row first, Row end) {
    return {first, std::max<Row>(end - first, 0)};
}

// Chroma rows of a result that are complete after so many of its rows: the last row of each is
// row k * step + step - 1, or the picture's last one.
Row complete(const ChromaAxis& rows, Row luma) {
    return luma >= rows.length ? rows.samples : luma / rows.step;
}

// Each row of a plane that the window has: in staging memory, and the plane's own.
template <typename View, typename Visit>
void for_each_row(const View& picture, const PlaneWindow& window, const Visit& visit) {
    const PlaneShape shape{picture.plane_format(), picture.width, picture.height};
    for (int plane = 0; plane < (shape.planes.chroma ? 3 : 1); ++plane) {
        const RowRange& rows = plane == 0 ? window.luma : window.chroma;
        const int count = plane == 0 ? shape.width : shape.columns().samples;
        const auto& own = picture.planes[idx(plane)];
        for (Row y = 0; y < rows.count; ++y) {
            const std::uint64_t offset =
                window.offsets[idx(plane)] + product(y, count, shape.sample_bytes());
            visit(plane, offset, own.data + (rows.first + y) * own.row_stride, own.sample_stride,
                  count);
        }
    }
}

template <typename Sample>
void copy_samples(const std::byte* from, std::ptrdiff_t from_stride, std::byte* to,
                  std::ptrdiff_t to_stride, int count) {
    constexpr auto kPacked = std::ptrdiff_t{sizeof(Sample)};
    if (from_stride == kPacked && to_stride == kPacked) {
        std::memcpy(to, from, idx(count) * sizeof(Sample));
        return;
    }
    for (int i = 0; i < count; ++i) {
        std::memcpy(to + i * to_stride, from + i * from_stride, sizeof(Sample));
    }
}

// Of samples less `black`, where that is positive.
template <typename Sample>
std::uint64_t sum_above(const std::byte* from, std::ptrdiff_t stride, int count, int low_bits,
                        int black) {
    constexpr int kChunk = 4096;  // whose sum fits 32 bits
    std::uint64_t sum = 0;
    for (int begin = 0; begin < count; begin += kChunk) {
        std::uint32_t part = 0;
        for (int i = begin; i < std::min(begin + kChunk, count); ++i) {
            Sample sample;
            std::memcpy(&sample, from + i * stride, sizeof(sample));
            part += static_cast<std::uint32_t>(std::max((sample >> low_bits) - black, 0));
        }
        sum += part;
    }
    return sum;
}

template <typename Sample>
double load_as(const YuvView& from, const PlaneWindow& window, std::byte* to) {
    const YuvFormat& format = from.format;
    const Quantization luma = Quantization::luma(format);
    std::uint64_t sum = 0;
    for_each_row(from, window,
                 [&](int plane, std::uint64_t offset, const std::byte* row, std::ptrdiff_t stride,
                     int count) {
                     copy_samples<Sample>(row, stride, to + offset, sizeof(Sample), count);
                     if (plane > 0) return;
                     sum += sum_above<Sample>(row, stride, count, format.low_bits,
                                              static_cast<int>(luma.offset));
                 });
    return static_cast<double>(sum) / double{luma.range};
}

template <typename Sample>
bool is_near(const std::byte* from, int count, int low_bits, const Quantization& quantization,
             float limit) {
    for (int i = 0; i < count; ++i) {
        Sample sample;
        std::memcpy(&sample, from + idx(i) * sizeof(Sample), sizeof(sample));
        const float value = (static_cast<float>(sample >> low_bits) - quantization.offset);
        if (std::abs(value) >= limit * quantization.range) return false;
    }
    return true;
}

}  // namespace

PlaneWindow window_to_load(const PlaneShape& shape, RowRange rows) {
    const Row last = shape.height - 1;
    const Row beyond = std::max<Row>(rows.end() - shape.height, 0);
    const Row first = beyond > 0 ? std::clamp<Row>(last - beyond, 0, rows.first) : rows.first;
    const RowRange luma = between(first, rows.end() - beyond);
    const ChromaAxis chroma = shape.rows();
    const auto end = static_cast<int>(luma.end()) - 1;
    const int below = chroma.before(end) + (chroma.behind(end) > 0 ? 1 : 0);
    return window(shape, luma,
                  between(chroma.inside(chroma.before(static_cast<int>(luma.first))),
                          chroma.inside(below) + 1));
}

PlaneWindow window_to_store(const PlaneShape& shape, RowRange rows) {
    const ChromaAxis chroma = shape.rows();
    return window(shape, between(rows.first, std::min<Row>(rows.end(), shape.height)),
                  between(complete(chroma, rows.first), complete(chroma, rows.end())));
}

std::uint64_t most_bytes_to_load(const PlaneShape& shape, int rows) {
    const ChromaAxis chroma = shape.rows();
    const int luma = std::min(rows, shape.height);
    const int most = chroma.step == 1 ? luma : ceil_div(std::max(luma - 1, 0), chroma.step) + 2;
    return window_bytes(shape, luma, std::min(most, chroma.samples));
}

std::uint64_t most_bytes_to_store(const PlaneShape& shape, int rows) {
    const ChromaAxis chroma = shape.rows();
    const int luma = std::min(rows, shape.height);
    return window_bytes(shape, luma,
                        std::min(ceil_div(luma + chroma.step - 1, chroma.step), chroma.samples));
}

Row rows_kept_for_chroma(const PlaneShape& shape) {
    const ChromaAxis rows = shape.rows();
    return shape.planes.chroma ? rows.last_tap() - rows.first_tap() : 0;
}

double load_planes(const YuvView& from, const PlaneWindow& window, std::byte* to) {
    return from.format.bits > 8 ? load_as<std::uint16_t>(from, window, to)
                                : load_as<std::uint8_t>(from, window, to);
}

void store_planes(const std::byte* from, const PlaneWindow& window, const MutableYuvView& to) {
    for_each_row(to, window,
                 [&](int, std::uint64_t offset, std::byte* row, std::ptrdiff_t stride, int count) {
                     if (to.format.bits > 8) {
                         copy_samples<std::uint16_t>(from + offset, 2, row, stride, count);
                     } else {
                         copy_samples<std::uint8_t>(from + offset, 1, row, stride, count);
                     }
                 });
}

bool is_black(const std::byte* from, const PlaneWindow& window, const PlaneShape& shape) {
    const YuvFormat& format = shape.planes.format;
    const bool colours = format.matrix == YuvMatrix::rgb;
    const auto is_near_black = [&](int plane) {
        const bool luma = plane == 0 || colours;
        const Quantization quantization =
            luma ? Quantization::luma(format) : Quantization::chroma(format);
        const RowRange& rows = plane == 0 ? window.luma : window.chroma;
        const int width = plane == 0 ? shape.width : shape.columns().samples;
        const float limit = luma ? kBlack : kBlack / 2;
        for (Row y = 0; y < rows.count; ++y) {
            const std::byte* row =
                from + window.offsets[idx(plane)] + product(y, width, shape.sample_bytes());
            const bool is_row =
                format.bits > 8
                    ? is_near<std::uint16_t>(row, width, format.low_bits, quantization, limit)
                    : is_near<std::uint8_t>(row, width, format.low_bits, quantization, limit);
            if (!is_row) return false;
        }
        return true;
    };
    return is_near_black(0) && (!shape.planes.chroma || (is_near_black(1) && is_near_black(2)));
}

}  // namespace realesrgan
