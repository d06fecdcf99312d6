#pragma once

#include <cstddef>
#include <vector>

#include "realesrgan/rows.hpp"

namespace realesrgan {

// Mirror padding (without repeating the edge) beyond the right and lower end of a source whose rows
// are read once.
class PaddedSource final : public RowSource {
  public:
    // `alignment`: more than the padding rows and columns.
    PaddedSource(RowSource& source, int alignment) : source_(source), alignment_(alignment) {}

    int width() const override { return source_.width(); }
    int height() const override { return source_.height(); }
    int channels() const override { return source_.channels(); }
    SampleType type() const override { return source_.type(); }
    void read(int first_row, int first_column, const MutableImageView& rows) override;

    // Whether rows were read. They cannot be read again.
    bool started() const { return started_; }

  private:
    void keep(int first_row, int count, const MutableImageView& rows);

    RowSource& source_;
    int alignment_;
    bool started_ = false;
    std::vector<std::vector<std::byte>> kept_;  // row y at y % alignment: the last ones
};

// Drops the padding rows and columns.
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
