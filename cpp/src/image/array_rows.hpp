#pragma once

#include "realesrgan/rows.hpp"

namespace realesrgan {

// A picture in memory, as a source of rows, which is mirrored beyond all ends.
class ArraySource final : public RowSource {
  public:
    explicit ArraySource(const ImageView& picture) : picture_(picture) {}

    int width() const override { return picture_.width; }
    int height() const override { return picture_.height; }
    int channels() const override { return picture_.channels; }
    SampleType type() const override { return picture_.type; }
    void read(int first_row, int first_column, const MutableImageView& rows) override;

  private:
    ImageView picture_;
};

// Rows of the picture's own type, stored as they are; what lies beyond it is dropped.
class ArraySink final : public RowSink {
  public:
    explicit ArraySink(const MutableImageView& picture) : picture_(picture) {}
    void write(int first_row, int first_column, const ImageView& rows) override;

  private:
    MutableImageView picture_;
};

// The sum of the positive samples; of f32 as they are, otherwise in 0..1.
double sum_of_samples(const ImageView& packed_rows);

// The largest sample, 0 when none is positive; of f32 as it is, otherwise 0..1.
float largest_sample(const ImageView& packed_rows);

}  // namespace realesrgan
