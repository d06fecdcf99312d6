#pragma once

#include <cstdint>
#include <vector>

#include "image/array_rows.hpp"
#include "image/orientation.hpp"
#include "realesrgan/rows.hpp"

namespace realesrgan {

// Blending weights of a column tile, one for each column of the result from `begin` on.
struct ColumnWeights {
    std::int64_t begin = 0;
    std::vector<float> columns;
    std::int64_t next_begin = 0;  // of the next column tile; INT64_MAX: this is the last one
};

// Takes the results of several passes over one picture: one for each orientation and column tile.
class BlendSink : public RowSink {
  public:
    virtual void begin_pass(const Orientation& orientation, ColumnWeights weights) = 0;
    virtual void end() {}  // after the last pass
};

// One pass over the whole picture.
class WholeSink final : public BlendSink {
  public:
    explicit WholeSink(const MutableImageView& picture) : sink_(picture) {}

    void begin_pass(const Orientation&, ColumnWeights) override {}
    void write(int first_row, int first_column, const ImageView& rows) override {
        sink_.write(first_row, first_column, rows);
    }

  private:
    ArraySink sink_;
};

// Blends the float rows of column tiles, from left to right, where neighbours overlap. Partial sums
// of the columns that overlap the next tile are kept for all rows.
class FeatherSink final : public BlendSink {
  public:
    explicit FeatherSink(const MutableImageView& picture) : picture_(picture) {}

    void begin_pass(const Orientation&, ColumnWeights weights) override;
    void write(int first_row, int first_column, const ImageView& rows) override;

  private:
    MutableImageView picture_;
    ColumnWeights weights_;
    std::vector<float> before_;  // [row][column][channel] left by the column tile before
    std::vector<float> after_;
};

// Averages over the orientations, in floats.
class MeanSink final : public BlendSink {
  public:
    MeanSink(const MutableImageView& picture, int orientations);

    void begin_pass(const Orientation& orientation, ColumnWeights weights) override;
    void write(int first_row, int first_column, const ImageView& rows) override;
    void end() override;

  private:
    MutableImageView picture_;
    std::vector<float> sums_;    // packed, as large as the picture
    MutableImageView oriented_;  // the sums, seen in the orientation of the pass
    ColumnWeights weights_;
    float factor_;
};

}  // namespace realesrgan
