#pragma once

#include <pybind11/pybind11.h>

#include "gil.hpp"
#include "realesrgan/rows.hpp"

namespace realesrgan::bindings {

struct RowShape {
    int width = 0;
    int height = 0;
    int channels = 0;
    SampleType type = SampleType::u8;
};

// Rows that a Python function gives: read(first, count) -> count x width x channels.
class PythonSource final : public RowSource {
  public:
    PythonSource(GilReleased& released, const pybind11::object& read, const RowShape& shape)
        : released_(released), read_(read), shape_(shape) {}

    int width() const override { return shape_.width; }
    int height() const override { return shape_.height; }
    int channels() const override { return shape_.channels; }
    SampleType type() const override { return shape_.type; }
    // Throws TypeError or ValueError (Python's) for rows of another type or shape.
    void read(int first_row, int first_column, const MutableImageView& rows) override;

  private:
    GilReleased& released_;
    const pybind11::object& read_;
    RowShape shape_;
};

// Rows that a Python function takes: write(first, rows), the array being its own.
class PythonSink final : public RowSink {
  public:
    PythonSink(GilReleased& released, const pybind11::object& write)
        : released_(released), write_(write) {}

    void write(int first_row, int first_column, const ImageView& rows) override;

  private:
    GilReleased& released_;
    const pybind11::object& write_;
};

}  // namespace realesrgan::bindings
