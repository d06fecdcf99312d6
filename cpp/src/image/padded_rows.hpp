#pragma once

#include <cstddef>
#include <vector>

#include "realesrgan/rows.hpp"

namespace realesrgan {

// A source that is passed once and has its own rows and columns only, continued beyond its right
// and lower end by mirroring without repeating the edge.
class PaddedSource final : public RowSource {
  public:
    // `alignment`: more than is asked for beyond either end.
    PaddedSource(RowSource& source, int alignment) : source_(source), alignment_(alignment) {}

    int width() const override { return source_.width(); }
    int height() const override { return source_.height(); }
    int channels() const override { return source_.channels(); }
    SampleType type() const override { return source_.type(); }
    void read(int first_row, int first_column, const MutableImageView& rows) override;

  private:
    void keep(int first_row, int count, const MutableImageView& rows);

    RowSource& source_;
    int alignment_;
    std::vector<std::vector<std::byte>> kept_;  // row y at y % alignment: the last ones
};

// A sink that takes its own rows and columns only.
class CroppedSink final : public RowSink {
  public:
    CroppedSink(RowSink& sink, int width, int height)
        : sink_(sink), width_(width), height_(height) {}

    void write(int first_row, int first_column, const ImageView& rows) override;

  private:
    RowSink& sink_;
    int width_;
    int height_;
};

}  // namespace realesrgan
