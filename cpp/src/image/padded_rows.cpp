#include "image/padded_rows.hpp"

#include <algorithm>
#include <cstring>

#include "base/integers.hpp"
#include "image/image_view.hpp"

namespace realesrgan {

void PaddedSource::read(int first_row, int first_column, const MutableImageView& rows) {
    started_ = true;
    const int own_rows = std::clamp(height() - first_row, 0, rows.height);
    if (own_rows > 0) {
        MutableImageView own = rows;
        own.height = own_rows;
        own.width = std::min(rows.width, width() - first_column);
        source_.read(first_row, first_column, own);
        const auto pixel = static_cast<std::size_t>(rows.pixel_stride);
        for (int y = 0; y < own_rows; ++y) {
            std::byte* row = rows.data + y * rows.row_stride;
            for (int x = own.width; x < rows.width; ++x) {
                const std::ptrdiff_t from = mirrored(first_column + x, width()) - first_column;
                std::memcpy(row + x * rows.pixel_stride, row + from * rows.pixel_stride, pixel);
            }
        }
        keep(first_row, own_rows, rows);
    }
    for (int y = own_rows; y < rows.height; ++y) {
        const std::vector<std::byte>& from =
            kept_[idx(mirrored(first_row + y, height()) % alignment_)];
        std::memcpy(rows.data + y * rows.row_stride, from.data(), from.size());
    }
}

void PaddedSource::keep(int first_row, int count, const MutableImageView& rows) {
    if (alignment_ == 1) return;
    kept_.resize(static_cast<std::size_t>(alignment_));
    for (int y = std::max(0, count - alignment_); y < count; ++y) {
        const std::byte* row = rows.data + y * rows.row_stride;
        kept_[idx((first_row + y) % alignment_)].assign(row, row + rows.width * rows.pixel_stride);
    }
}

void CroppedSink::write(int first_row, int first_column, const ImageView& rows) {
    ImageView own = rows;
    own.width = std::min(rows.width, width_ - first_column);
    own.height = std::min(rows.height, height_ - first_row);
    if (own.height > 0) sink_.write(first_row, first_column, own);
}

}  // namespace realesrgan
