#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <tuple>
#include <vector>

#include "realesrgan/api.h"
#include "realesrgan/rows.hpp"

namespace realesrgan {

// Of ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance); rgb: the planes are green, blue and
// red themselves.
enum class YuvMatrix { bt601, bt709, bt2020, rgb };

// Where a chroma sample lies among its luma samples: `left` in the column of the first of them and
// vertically between the rows (MPEG-2, H.264), `center` between rows and columns (JPEG, MPEG-1),
// `top_left` at the first of them (BT.2020).
enum class ChromaSiting { left, center, top_left };

// How planes of samples stand for colours, as in ITU-T H.273.
struct YuvFormat {
    YuvMatrix matrix = YuvMatrix::bt709;
    bool full_range = false;
    ChromaSiting siting = ChromaSiting::left;
    int bits = 8;           // of a sample, 8 to 16; in one byte, or in two if more than 8
    int low_bits = 0;       // unused bits below a sample (6 in P010)
    int subsampling_x = 2;  // luma columns for each chroma column: 1, 2 or 4
    int subsampling_y = 2;  // luma rows for each chroma row: 1, 2 or 4

    bool operator==(const YuvFormat& other) const {
        return std::tie(matrix, full_range, siting, bits, low_bits, subsampling_x, subsampling_y) ==
               std::tie(other.matrix, other.full_range, other.siting, other.bits, other.low_bits,
                        other.subsampling_x, other.subsampling_y);
    }
};

// What the planes of a picture hold, whatever its size.
struct PlaneFormat {
    YuvFormat format;
    bool chroma = true;  // false: luma alone, a grey picture

    bool operator==(const PlaneFormat& other) const {
        return format == other.format && chroma == other.chroma;
    }
};

// One plane in somebody else's memory; strides are in bytes.
template <typename Byte>
struct BasicPlane {
    Byte* data = nullptr;
    std::ptrdiff_t row_stride = 0;
    std::ptrdiff_t sample_stride = 0;  // twice a sample where two planes share rows (NV12)
};

// Luma, then both chroma planes, whose sides are divided by the subsampling and rounded up; with
// no chroma planes the picture is grey. Green, blue and red for YuvMatrix::rgb.
template <typename Byte>
struct BasicYuvView {
    YuvFormat format;
    int width = 0;
    int height = 0;
    std::array<BasicPlane<Byte>, 3> planes;

    PlaneFormat plane_format() const { return {format, planes[1].data != nullptr}; }
};

using YuvView = BasicYuvView<const std::byte>;
using MutableYuvView = BasicYuvView<std::byte>;

// Throws std::invalid_argument for a format that is not possible.
REALESRGAN_API void check_yuv_format(const YuvFormat& format);

// A planar picture as rows of RGB, f32: 0 is black and 1 is white; samples beyond the nominal range
// give values beyond it. Chroma between its samples is interpolated linearly.
class REALESRGAN_API YuvSource final : public RowSource {
  public:
    // Throws std::invalid_argument.
    explicit YuvSource(const YuvView& picture);
    ~YuvSource() override;

    int width() const override { return picture_.width; }
    int height() const override { return picture_.height; }
    int channels() const override { return 3; }
    SampleType type() const override { return SampleType::f32; }
    void read(int first_row, int first_column, const MutableImageView& rows) override;

  private:
    struct Rows;

    YuvView picture_;
    std::unique_ptr<Rows> rows_;
};

// Rows of RGB, f32, as a planar picture: rounded to the nearest, halves up. Chroma is the mean over
// its luma samples along an axis where it lies between them, else the mean weighted by 1 - d/s for
// the distance d < s from it, s being the subsampling.
class REALESRGAN_API YuvSink final : public RowSink {
  public:
    // Throws std::invalid_argument.
    explicit YuvSink(const MutableYuvView& picture);
    ~YuvSink() override;

    // Takes whole rows, in order from row 0 on.
    void write(int first_row, int first_column, const ImageView& rows) override;

  private:
    struct Rows;

    MutableYuvView picture_;
    std::unique_ptr<Rows> rows_;
};

}  // namespace realesrgan
