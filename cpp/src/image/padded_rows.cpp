#include "image/padded_rows.hpp"

#include <algorithm>
#include <cstring>

#include "base/integers.hpp"
#include "image/image_view.hpp"

namespace realesrgan {

void PaddedSource::read(int first_row, int first_column, const MutableImageView& rows) {
    started_ = true;
    for (int y = 0; y < rows.height;) {
        MutableImageView part = rows;
        part.data += y * rows.row_stride;
        if (first_row + y == next_ && next_ < height()) {
            part.height = std::min(rows.height - y, height() - next_);
            read_next(first_column, part);
            y += part.height;
            continue;
        }
        const int row = static_cast<int>(mirrored(first_row + y, height()));
        while (next_ <= row) {  // rows before the first mirror what comes after it
            part.height = 1;
            read_next(first_column, part);
        }
        std::memcpy(part.data, kept(row).data(), kept(row).size());
        ++y;
    }
}

void PaddedSource::read_next(int first_column, const MutableImageView& rows) {
    const int left = std::max(-first_column, 0);
    MutableImageView own = rows;
    own.data += left * rows.pixel_stride;
    own.width = std::min(rows.width - left, width() - first_column - left);
    source_.read(next_, first_column + left, own);
    const auto pixel = static_cast<std::size_t>(rows.pixel_stride);
    for (int y = 0; y < rows.height; ++y) {
        std::byte* row = rows.data + y * rows.row_stride;
        for (int x = 0; x < rows.width; ++x) {
            if (x == left) x += own.width;
            if (x == rows.width) break;
            const std::ptrdiff_t from = mirrored(first_column + x, width()) - first_column;
            std::memcpy(row + x * rows.pixel_stride, row + from * rows.pixel_stride, pixel);
        }
    }
    if (reach_ > 1) {
        kept_.resize(idx(reach_));
        for (int y = std::max(0, rows.height - reach_); y < rows.height; ++y) {
            const std::byte* row = rows.data + y * rows.row_stride;
            kept(next_ + y).assign(row, row + rows.width * rows.pixel_stride);
        }
    }
    next_ += rows.height;
}

void CroppedSink::write(int first_row, int first_column, const ImageView& rows) {
    const int above = std::max(-first_row, 0);
    const int left = std::max(-first_column, 0);
    ImageView own = rows;
    own.data += above * rows.row_stride + left * rows.pixel_stride;
    own.width = std::min(rows.width - left, width_ - first_column - left);
    own.height = std::min(rows.height - above, height_ - first_row - above);
    if (own.height > 0) sink_.write(first_row + above, first_column + left, own);
}

}  // namespace realesrgan
