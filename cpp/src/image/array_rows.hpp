#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "realesrgan/rows.hpp"

namespace realesrgan {

// A picture in memory, as a source of rows.
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

// Rows of the picture's own type, stored as they are.
class ArraySink final : public RowSink {
  public:
    explicit ArraySink(const MutableImageView& picture) : picture_(picture) {}
    void write(int first_row, int first_column, const ImageView& rows) override;

  private:
    MutableImageView picture_;
};

// Blending weights of a column tile, one for each of its `columns` (the first is `begin`).
struct ColumnWeights {
    std::int64_t begin = 0;
    std::vector<float> columns;
};

// Blends the float rows of column tiles, from left to right, where neighbours overlap. Partial sums
// of the columns that overlap the next tile are kept for all rows.
class FeatherSink final : public RowSink {
  public:
    explicit FeatherSink(const MutableImageView& picture) : picture_(picture) {}

    void begin_tile(ColumnWeights weights, std::int64_t next_begin);
    void write(int first_row, int first_column, const ImageView& rows) override;
    std::uint64_t bytes() const { return (before_.size() + after_.size()) * sizeof(float); }

  private:
    MutableImageView picture_;
    ColumnWeights weights_;
    std::int64_t next_begin_ = 0;  // where the next column tile's share begins
    std::vector<float> before_;    // [row][column][channel] left by the column tile before
    std::vector<float> after_;
};

// Float rows added up, each with the column tile's share and a factor of their own.
class SumSink final : public RowSink {
  public:
    explicit SumSink(const MutableImageView& sum, float factor) : sum_(sum), factor_(factor) {}

    void begin_tile(ColumnWeights weights) { weights_ = std::move(weights); }
    void write(int first_row, int first_column, const ImageView& rows) override;

  private:
    MutableImageView sum_;  // f32
    float factor_;
    ColumnWeights weights_;
};

// The sum of the positive samples; of f32 as they are, otherwise in 0..1.
double sum_of_samples(const ImageView& packed_rows);

// The largest sample, 0 when none is positive; of f32 as it is, otherwise 0..1.
float largest_sample(const ImageView& packed_rows);

// Float samples clamped, scaled and rounded into a picture of any type.
void store_picture(const ImageView& floats, const MutableImageView& picture);

}  // namespace realesrgan
