#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <random>
#include <vector>

#include "base/integers.hpp"
#include "cpu/winograd/kernel.hpp"

// A tensor laid out for the kernels so that errors show: rows are in a shuffled order, every
// element that a kernel must not read is NaN (pixels left and right of a row, other channel groups,
// spare rows), and every element that it must not write can be checked afterwards.
class RowTensor {
  public:
    RowTensor(int channels, int channel_offset, int width, int height, std::mt19937& random)
        : channels_(channels),
          width_(width),
          height_(height),
          first_group_(channel_offset / 8),
          groups_(first_group_ + (channels + 7) / 8 + 1) {
        row_floats_ = static_cast<std::size_t>(width + 2) * 8;
        values_.assign(row_floats_ * static_cast<std::size_t>(groups_ * (height + 1)), kPoison);
        for (int y = 0; y < height; ++y) order_.push_back(y);
        std::shuffle(order_.begin(), order_.end(), random);
        for (int y = 0; y < height; ++y) rows_.push_back(&at(y, 0, 0));
        std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
        for (int y = 0; y < height; ++y) {
            for (int c = 0; c < channels; ++c) {
                for (int x = 0; x < width; ++x) at(y, c, x) = uniform(random);
            }
            for (int c = channels; c % 8 != 0; ++c) {
                for (int x = 0; x < width; ++x)
                    at(y, c, x) = 1e6f;  // unused lanes: finite, but no zeros
            }
        }
    }

    float& at(int y, int c, int x) { return values_[index(y, c, x)]; }
    float at(int y, int c, int x) const { return values_[index(y, c, x)]; }

    // Zero outside the picture.
    double padded(int y, int c, int x) const {
        const bool inside = y >= 0 && y < height_ && x >= 0 && x < width_;
        return inside ? static_cast<double>(at(y, c, x)) : 0.0;
    }

    // For a convolution of rows [first, first + count) of the enlarged picture: half a kernel more
    // on each side.
    std::vector<const float*> patch_rows(int first, int count, int enlarge, int kernel) const {
        std::vector<const float*> rows;
        for (int y = first - kernel / 2; y < first + count + kernel / 2; ++y) {
            const bool inside = y >= 0 && y < height_ * enlarge;
            rows.push_back(inside ? rows_[realesrgan::idx(y / enlarge)] : nullptr);
        }
        return rows;
    }

    std::vector<const float*> rows() const { return {rows_.begin(), rows_.end()}; }
    std::vector<float*> mutable_rows() { return rows_; }
    std::size_t group_stride() const { return row_floats_ * static_cast<std::size_t>(height_ + 1); }
    int height() const { return height_; }
    int width() const { return width_; }

    // How many elements outside the tensor's own lanes hold something else than the poison.
    int damaged() const {
        std::vector<float> copy = values_;
        for (int y = 0; y < height_; ++y) {
            for (int c = 0; c < (channels_ + 7) / 8 * 8; ++c) {
                for (int x = 0; x < width_; ++x) copy[index(y, c, x)] = kPoison;
            }
        }
        int count = 0;
        for (const float value : copy) count += value == value ? 1 : 0;
        return count;
    }

  private:
    static constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();

    std::size_t index(int y, int c, int x) const {
        const int group = first_group_ + c / 8;
        const int row = order_[realesrgan::idx(y)];
        return static_cast<std::size_t>(group * (height_ + 1) + row) * row_floats_ +
               static_cast<std::size_t>((x + 1) * 8 + c % 8);
    }

    int channels_;
    int width_;
    int height_;
    int first_group_;
    int groups_;
    std::size_t row_floats_ = 0;
    std::vector<int> order_;
    std::vector<float> values_;
    std::vector<float*> rows_;
};
