#pragma once

#include <cstddef>
#include <vector>

#include "base/integers.hpp"
#include "realesrgan/rows.hpp"

namespace realesrgan {

// Mirror padding (without repeating the edge) beyond the ends of a source whose rows are read once:
// rows of the whole width are asked for in order, from row -border on.
class PaddedSource final : public RowSource {
  public:
    // `border`: padding rows before the source; behind it there are at most this and what makes the
    // source's and all rows multiples of `alignment`.
    PaddedSource(RowSource& source, int border, int alignment)
        : source_(source), reach_(border + 2 * alignment - 1) {}

    int width() const override { return source_.width(); }
    int height() const override { return source_.height(); }
    int channels() const override { return source_.channels(); }
    SampleType type() const override { return source_.type(); }
    void read(int first_row, int first_column, const MutableImageView& rows) override;

    // Whether rows were read. They cannot be read again.
    bool started() const { return started_; }

  private:
    // `rows`: their first pixel is in column `first_column`.
    void read_next(int first_column, const MutableImageView& rows);
    std::vector<std::byte>& kept(int row) { return kept_[idx(row % reach_)]; }

    RowSource& source_;
    int reach_;
    bool started_ = false;
    int next_ = 0;                              // of the source's rows, the first not yet read
    std::vector<std::vector<std::byte>> kept_;  // the last `reach` that were read, padded
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
