#include "image/blend_rows.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "base/integers.hpp"
#include "image/image_view.hpp"
#include "image/planes.hpp"
#include "image/sample_conversion.hpp"

namespace realesrgan {

namespace {

float read_float(const std::byte* from) {
    float value = 0.0F;
    std::memcpy(&value, from, sizeof(value));
    return value;
}

}  // namespace

void FeatherSink::begin_pass(const Orientation&, ColumnWeights weights) {
    weights_ = std::move(weights);
    before_ = std::move(after_);
    const std::int64_t end = weights_.begin + static_cast<std::int64_t>(weights_.columns.size());
    const std::int64_t columns = std::max<std::int64_t>(0, end - weights_.next_begin);
    after_.assign(idx(columns) * idx(picture_.height) * idx(picture_.channels), 0.0F);
}

void FeatherSink::write(int first_row, int first_column, const ImageView& rows) {
    const auto channels = static_cast<std::size_t>(picture_.channels);
    const auto picture_rows = static_cast<std::size_t>(picture_.height);
    const std::size_t left = before_.size() / (picture_rows * channels);  // columns to complete
    const std::size_t kept = after_.size() / (picture_rows * channels);   // columns to leave
    const std::size_t done = weights_.columns.size() - kept;
    std::vector<float> blended(done * channels);
    const int height = std::min(rows.height, picture_.height - first_row);
    for (int y = std::max(-first_row, 0); y < height; ++y) {
        const auto row = static_cast<std::size_t>(first_row + y);
        for (std::size_t i = 0; i < weights_.columns.size(); ++i) {
            const std::ptrdiff_t x = weights_.begin + static_cast<std::ptrdiff_t>(i) - first_column;
            const std::byte* from = rows.data + y * rows.row_stride + x * rows.pixel_stride;
            for (std::size_t c = 0; c < channels; ++c) {
                float value =
                    read_float(from + static_cast<std::ptrdiff_t>(c) * rows.channel_stride) *
                    weights_.columns[i];
                if (i < left) value += before_[(row * left + i) * channels + c];
                (i < done ? blended[i * channels + c]
                          : after_[(row * kept + i - done) * channels + c]) = value;
            }
        }
        ConstPlanes planes{blended.data(),
                           static_cast<std::int64_t>(done),
                           1,
                           picture_.channels,
                           picture_.channels,
                           0,
                           1};
        MutableImageView target = picture_;
        target.data += weights_.begin * picture_.pixel_stride;
        store_samples(planes, target, first_row + y);
    }
}

MeanSink::MeanSink(const MutableImageView& picture, int orientations)
    : picture_(picture),
      sums_(idx(picture.width) * idx(picture.height) * idx(picture.channels)),
      factor_(1.0F / static_cast<float>(orientations)) {}

void MeanSink::begin_pass(const Orientation& orientation, ColumnWeights weights) {
    const MutableImageView sum =
        packed_view(reinterpret_cast<std::byte*>(sums_.data()), SampleType::f32, picture_.width,
                    picture_.height, picture_.channels);
    oriented_ = oriented_view(sum, orientation);
    weights_ = std::move(weights);
}

void MeanSink::write(int first_row, int first_column, const ImageView& rows) {
    const int height = std::min(rows.height, oriented_.height - first_row);
    for (int y = std::max(-first_row, 0); y < height; ++y) {
        for (std::size_t i = 0; i < weights_.columns.size(); ++i) {
            const std::ptrdiff_t column = weights_.begin + static_cast<std::ptrdiff_t>(i);
            const std::byte* from =
                rows.data + y * rows.row_stride + (column - first_column) * rows.pixel_stride;
            std::byte* to = oriented_.data + (first_row + y) * oriented_.row_stride +
                            column * oriented_.pixel_stride;
            for (int c = 0; c < oriented_.channels; ++c) {
                std::byte* place = to + c * oriented_.channel_stride;
                const float value = read_float(place) + read_float(from + c * rows.channel_stride) *
                                                            weights_.columns[i] * factor_;
                std::memcpy(place, &value, sizeof(value));
            }
        }
    }
}

void MeanSink::end() {
    const std::ptrdiff_t channels = picture_.channels;
    const ConstPlanes planes{sums_.data(),
                             picture_.width,
                             picture_.height,
                             picture_.channels,
                             channels,
                             channels * picture_.width,
                             1};
    store_samples(planes, picture_, 0);
}

}  // namespace realesrgan
