#pragma once

#include "realesrgan/api.h"
#include "realesrgan/image.hpp"

namespace realesrgan {

// A picture that comes in rows, so that it need not be in memory whole.
class REALESRGAN_API RowSource {
  public:
    virtual ~RowSource() = default;

    virtual int width() const = 0;
    virtual int height() const = 0;
    virtual int channels() const = 0;
    virtual SampleType type() const = 0;

    // Fills `rows`, whose first pixel is (first_column, first_row). Within a pass over the picture
    // rows are asked for once, in order; a run of an array that cuts the picture into column tiles
    // or turns it passes over it several times, each time from its first row. Positions beyond the
    // ends mirror the picture without repeating its edge: those that a network's border and its
    // alignment take. Upscaler::run(RowSource&, ...) does not ask for them.
    virtual void read(int first_row, int first_column, const MutableImageView& rows) = 0;
};

// Where a result's rows go.
class REALESRGAN_API RowSink {
  public:
    virtual ~RowSink() = default;

    // As RowSource::read: in order within a pass. `rows` may reach beyond the result where the
    // source's rows did, but not from Upscaler::run(RowSource&, ...).
    virtual void write(int first_row, int first_column, const ImageView& rows) = 0;
};

}  // namespace realesrgan
