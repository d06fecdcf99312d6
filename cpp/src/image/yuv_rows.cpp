#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "base/integers.hpp"
#include "image/image_view.hpp"
#include "image/yuv_conversion.hpp"
#include "realesrgan/yuv.hpp"

namespace realesrgan {

namespace {

template <typename View>
void check(const View& picture) {
    check_yuv_format(picture.format);
    if (picture.width < 1 || picture.height < 1) {
        throw std::invalid_argument("a planar picture of " + std::to_string(picture.width) + "x" +
                                    std::to_string(picture.height) +
                                    " pixels; each side is 1 or more");
    }
    if (picture.planes[0].data == nullptr ||
        has_chroma(picture) != (picture.planes[2].data != nullptr)) {
        throw std::invalid_argument("a planar picture has one plane or three");
    }
}

// Samples as whole numbers.
template <typename Sample>
void load(const std::byte* from, std::ptrdiff_t stride, int count, int low_bits, float* to) {
    const auto load_each = [&](auto step) {
        for (int i = 0; i < count; ++i) {
            Sample sample;
            std::memcpy(&sample, from + i * step, sizeof(sample));
            to[i] = static_cast<float>(sample >> low_bits);
        }
    };
    constexpr std::integral_constant<std::ptrdiff_t, std::ptrdiff_t{sizeof(Sample)}> kPacked;
    if (stride == kPacked) {
        load_each(kPacked);  // a known stride, which is compiled to vector instructions
    } else {
        load_each(stride);
    }
}

void load_row(const YuvView& picture, int plane, int row, int count, float* to) {
    const BasicPlane<const std::byte>& from = picture.planes[idx(plane)];
    const std::byte* start = from.data + row * from.row_stride;
    const YuvFormat& format = picture.format;
    if (format.bits > 8) {
        load<std::uint16_t>(start, from.sample_stride, count, format.low_bits, to);
    } else {
        load<std::uint8_t>(start, from.sample_stride, count, format.low_bits, to);
    }
}

template <typename Sample>
void store(const float* from, const Quantization& quantization, int bits, int low_bits, int count,
           std::byte* to, std::ptrdiff_t stride) {
    const auto largest = static_cast<float>((1 << bits) - 1);
    const auto store_each = [&](auto step) {
        for (int i = 0; i < count; ++i) {
            const float value = from[i] * quantization.range + quantization.offset + 0.5F;
            const float positive = value > 0 ? value : 0;  // NaN becomes 0
            const auto sample = static_cast<Sample>(
                static_cast<std::int32_t>(std::min(positive, largest)) << low_bits);
            std::memcpy(to + i * step, &sample, sizeof(sample));
        }
    };
    constexpr std::integral_constant<std::ptrdiff_t, std::ptrdiff_t{sizeof(Sample)}> kPacked;
    if (stride == kPacked) {
        store_each(kPacked);
    } else {
        store_each(stride);
    }
}

void store_row(const MutableYuvView& picture, int plane, int row, const float* from,
               const Quantization& quantization, int count) {
    const BasicPlane<std::byte>& to = picture.planes[idx(plane)];
    std::byte* start = to.data + row * to.row_stride;
    const YuvFormat& format = picture.format;
    if (format.bits > 8) {
        store<std::uint16_t>(from, quantization, format.bits, format.low_bits, count, start,
                             to.sample_stride);
    } else {
        store<std::uint8_t>(from, quantization, format.bits, format.low_bits, count, start,
                            to.sample_stride);
    }
}

template <typename View>
bool is_packed_rgb(const View& rows) {
    return rows.pixel_stride == 3 * sizeof(float) && rows.channel_stride == sizeof(float);
}

void check_subsampling(int subsampling) {
    if (subsampling != 1 && subsampling != 2 && subsampling != 4) {
        throw std::invalid_argument("chroma subsampling by " + std::to_string(subsampling) +
                                    "; 1, 2 and 4 are possible");
    }
}

}  // namespace

void check_yuv_format(const YuvFormat& format) {
    if (format.bits < 8 || format.bits > 16) {
        throw std::invalid_argument(std::to_string(format.bits) +
                                    " bits a sample; 8 to 16 are possible");
    }
    const int container = format.bits > 8 ? 16 : 8;
    if (format.low_bits < 0 || format.bits + format.low_bits > container) {
        throw std::invalid_argument(std::to_string(format.low_bits) + " unused bits below " +
                                    std::to_string(format.bits) + " of " +
                                    std::to_string(container));
    }
    check_subsampling(format.subsampling_x);
    check_subsampling(format.subsampling_y);
    if (format.matrix == YuvMatrix::rgb && format.subsampling_x * format.subsampling_y != 1) {
        throw std::invalid_argument("planes of green, blue and red cannot be subsampled");
    }
}

// One row of the picture in floats, and what it is made of.
struct YuvSource::Rows {
    explicit Rows(const YuvView& picture)
        : columns(chroma_columns(picture.format, picture.width)),
          rows(chroma_rows(picture.format, picture.height)),
          luma(idx(picture.width)),
          upper(idx(columns.samples)),
          lower(idx(columns.samples)),
          rgb(idx(picture.width) * 3) {
        for (std::vector<float>& one : chroma) one.resize(idx(picture.width));
        for (int x = 0; x < columns.length; ++x) {
            const int before = columns.before(x);
            between.push_back(
                {columns.inside(before), columns.inside(before + 1), columns.behind(x)});
        }
    }

    // The chroma values of a row, in -0.5..0.5.
    void load_chroma(const YuvView& picture, int plane, int row, float* to) {
        const int before = rows.before(row);
        const float behind = rows.behind(row);
        load_row(picture, plane, rows.inside(before), columns.samples, upper.data());
        if (behind > 0) {
            load_row(picture, plane, rows.inside(before + 1), columns.samples, lower.data());
            for (int k = 0; k < columns.samples; ++k) {
                upper[idx(k)] += (lower[idx(k)] - upper[idx(k)]) * behind;
            }
        }
        const Quantization quantization = Quantization::chroma(picture.format);
        for (float& sample : upper) sample = (sample - quantization.offset) / quantization.range;
        if (columns.step == 1) {
            std::copy(upper.begin(), upper.end(), to);
            return;
        }
        for (int x = 0; x < columns.length; ++x) {
            const Between& place = between[idx(x)];
            const float left = upper[idx(place.left)];
            to[x] = left + (upper[idx(place.right)] - left) * place.behind;
        }
    }

    void load_luma(const YuvView& picture, int plane, int row, float* to) const {
        load_row(picture, plane, row, columns.length, to);
        const Quantization quantization = Quantization::luma(picture.format);
        for (int x = 0; x < columns.length; ++x) {
            to[x] = (to[x] - quantization.offset) / quantization.range;
        }
    }

    // `rgb` becomes the row.
    void load_rgb(const YuvView& picture, int row) {
        load_luma(picture, 0, row, luma.data());
        float* out = rgb.data();
        if (!has_chroma(picture)) {
            for (int x = 0; x < columns.length; ++x) {
                out[3 * x] = out[3 * x + 1] = out[3 * x + 2] = luma[idx(x)];
            }
            return;
        }
        const float* first = chroma[0].data();
        const float* second = chroma[1].data();
        if (picture.format.matrix == YuvMatrix::rgb) {
            load_luma(picture, 1, row, chroma[0].data());
            load_luma(picture, 2, row, chroma[1].data());
            for (int x = 0; x < columns.length; ++x) {
                out[3 * x] = second[x];
                out[3 * x + 1] = luma[idx(x)];
                out[3 * x + 2] = first[x];
            }
            return;
        }
        load_chroma(picture, 1, row, chroma[0].data());
        load_chroma(picture, 2, row, chroma[1].data());
        const ColourWeights weights(luma_weights(picture.format.matrix));
        for (int x = 0; x < columns.length; ++x) {
            const float y = luma[idx(x)];
            out[3 * x] = y + weights.red * second[x];
            out[3 * x + 1] =
                y - weights.green_of_blue * first[x] - weights.green_of_red * second[x];
            out[3 * x + 2] = y + weights.blue * first[x];
        }
    }

    // The chroma samples around a column, and the distance from the first in chroma samples.
    struct Between {
        int left;
        int right;
        float behind;
    };

    ChromaAxis columns;
    ChromaAxis rows;
    std::vector<Between> between;
    std::vector<float> luma;
    std::array<std::vector<float>, 2> chroma;
    std::vector<float> upper;  // rows of a chroma plane
    std::vector<float> lower;
    std::vector<float> rgb;
};

YuvSource::YuvSource(const YuvView& picture) : picture_(picture) {
    check(picture);
    rows_ = std::make_unique<Rows>(picture);
}

YuvSource::~YuvSource() = default;

void YuvSource::read(int first_row, int first_column, const MutableImageView& rows) {
    const bool whole = first_column == 0 && rows.width == picture_.width && is_packed_rgb(rows);
    for (int y = 0; y < rows.height; ++y) {
        rows_->load_rgb(picture_, static_cast<int>(mirrored(first_row + y, picture_.height)));
        std::byte* to = rows.data + y * rows.row_stride;
        if (whole) {
            std::memcpy(to, rows_->rgb.data(), rows_->rgb.size() * sizeof(float));
            continue;
        }
        for (int x = 0; x < rows.width; ++x) {
            const std::ptrdiff_t column = mirrored(first_column + x, picture_.width);
            for (int c = 0; c < 3; ++c) {
                std::memcpy(to + x * rows.pixel_stride + c * rows.channel_stride,
                            &rows_->rgb[idx(3 * column + c)], sizeof(float));
            }
        }
    }
}

// One row in floats, and the chroma rows that more rows are needed for.
struct YuvSink::Rows {
    explicit Rows(const MutableYuvView& picture)
        : columns(chroma_columns(picture.format, picture.width)),
          rows(chroma_rows(picture.format, picture.height)),
          luma(idx(picture.width)),
          rgb(idx(picture.width) * 3) {
        for (int plane = 0; plane < 2; ++plane) {
            chroma[idx(plane)].resize(idx(picture.width));
            for (auto& sums : pending) sums[idx(plane)].resize(idx(columns.samples));
        }
        repeated.resize(idx(columns.step * (columns.samples + 1)));
        subsampled_row.resize(idx(columns.samples));
    }

    // `subsampled_row` becomes the row at the chroma columns.
    void subsample(const std::vector<float>& row) {
        if (columns.step == 1) {
            subsampled_row = row;
            return;
        }
        const auto before = repeated.begin() + columns.step;
        std::fill(repeated.begin(), before, row.front());
        std::fill(std::copy(row.begin(), row.end(), before), repeated.end(), row.back());
        std::fill(subsampled_row.begin(), subsampled_row.end(), 0.0F);
        for (int d = columns.first_tap(); d <= columns.last_tap(); ++d) {
            const float tap = columns.tap(d);
            const float* from = repeated.data() + columns.step + d;
            for (int k = 0; k < columns.samples; ++k) {
                subsampled_row[idx(k)] += tap * from[k * columns.step];
            }
        }
    }

    // Adds a row of full width to the chroma rows that it belongs to, and stores those that it
    // completes. Positions beyond the ends of an axis repeat the sample there.
    void add_chroma(const MutableYuvView& picture, int plane, int row) {
        subsample(chroma[idx(plane)]);
        const int first = std::max(0, (row - rows.last_tap() + rows.step - 1) / rows.step);
        const int last = std::min(rows.samples - 1, (row - rows.first_tap()) / rows.step);
        for (int k = first; k <= last; ++k) {
            const int begin = k * rows.step + rows.first_tap();
            const int end = k * rows.step + rows.last_tap();
            float weight = 0;
            for (int d = begin; d <= end; ++d) {
                if (std::clamp(d, 0, rows.length - 1) == row) {
                    weight += rows.tap(d - k * rows.step);
                }
            }
            std::vector<float>& sums = pending[idx(k % 2)][idx(plane)];
            if (row == std::max(begin, 0)) std::fill(sums.begin(), sums.end(), 0.0F);
            for (int x = 0; x < columns.samples; ++x) {
                sums[idx(x)] += weight * subsampled_row[idx(x)];
            }
            if (row == std::min(end, rows.length - 1)) {
                store_row(picture, plane + 1, k, sums.data(), Quantization::chroma(picture.format),
                          columns.samples);
            }
        }
    }

    // Stores `rgb` as a row of the picture.
    void store_rgb(const MutableYuvView& picture, int row) {
        const Quantization quantization = Quantization::luma(picture.format);
        float* first = chroma[0].data();
        float* second = chroma[1].data();
        if (picture.format.matrix == YuvMatrix::rgb && has_chroma(picture)) {
            for (int x = 0; x < columns.length; ++x) {
                second[x] = rgb[idx(3 * x)];
                luma[idx(x)] = rgb[idx(3 * x + 1)];
                first[x] = rgb[idx(3 * x + 2)];
            }
            store_row(picture, 1, row, first, quantization, columns.length);
            store_row(picture, 2, row, second, quantization, columns.length);
        } else {
            const LumaWeights weights = luma_weights(picture.format.matrix);
            const float of_blue = 1 / (2 * (1 - weights.blue));
            const float of_red = 1 / (2 * (1 - weights.red));
            for (int x = 0; x < columns.length; ++x) {
                const float y = weights.red * rgb[idx(3 * x)] +
                                weights.green * rgb[idx(3 * x + 1)] +
                                weights.blue * rgb[idx(3 * x + 2)];
                luma[idx(x)] = y;
                first[x] = (rgb[idx(3 * x + 2)] - y) * of_blue;
                second[x] = (rgb[idx(3 * x)] - y) * of_red;
            }
            if (has_chroma(picture)) {
                add_chroma(picture, 0, row);
                add_chroma(picture, 1, row);
            }
        }
        store_row(picture, 0, row, luma.data(), quantization, columns.length);
    }

    ChromaAxis columns;
    ChromaAxis rows;
    std::vector<float> luma;
    std::array<std::vector<float>, 2> chroma;
    std::vector<float> repeated;  // a row with its ends repeated
    std::vector<float> subsampled_row;
    // By the chroma row's last bit: at most two rows are incomplete at a time.
    std::array<std::array<std::vector<float>, 2>, 2> pending;
    std::vector<float> rgb;
    int next = 0;  // row
};

YuvSink::YuvSink(const MutableYuvView& picture) : picture_(picture) {
    check(picture);
    rows_ = std::make_unique<Rows>(picture);
}

YuvSink::~YuvSink() = default;

void YuvSink::write(int first_row, int first_column, const ImageView& rows) {
    if (first_row == 0) rows_->next = 0;
    if (rows.type != SampleType::f32 || rows.channels != 3 || first_column != 0 ||
        rows.width < picture_.width || first_row != rows_->next) {
        throw std::invalid_argument("a planar picture takes whole rows of RGB, f32, in order");
    }
    const int end = std::min(first_row + rows.height, picture_.height);
    for (int y = first_row; y < end; ++y) {
        const std::byte* from = rows.data + (y - first_row) * rows.row_stride;
        if (is_packed_rgb(rows)) {
            std::memcpy(rows_->rgb.data(), from, rows_->rgb.size() * sizeof(float));
        } else {
            for (int x = 0; x < picture_.width; ++x) {
                for (int c = 0; c < 3; ++c) {
                    std::memcpy(&rows_->rgb[idx(3 * x + c)],
                                from + x * rows.pixel_stride + c * rows.channel_stride,
                                sizeof(float));
                }
            }
        }
        rows_->store_rgb(picture_, y);
    }
    rows_->next = end;
}

}  // namespace realesrgan
