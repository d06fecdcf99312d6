// Which rows of planes a step of a run takes and gives, against the conversions' own arithmetic.

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include "base/integers.hpp"
#include "image/image_view.hpp"
#include "plan/plane_window.hpp"
#include "support/check.hpp"
#include "support/yuv_picture.hpp"

using namespace realesrgan;
using yuv_picture::YuvPicture;

namespace {

// Every step of a picture padded to `alignment` rows, in bands.
template <typename Visit>
void each_band(int height, int alignment, int band, const Visit& visit) {
    for (int y = 0; y < height; y += band * alignment) {
        visit(RowRange{y, std::min(band * alignment, round_up(height, alignment) - y)});
    }
}

bool contains(const RowRange& rows, Row row) {
    return rows.first <= row && row < rows.end();
}

}  // namespace

TEST_CASE("a window has every row that its values are made of, and fits what is planned") {
    for (const YuvFormat& format : yuv_picture::formats()) {
        for (int height = 1; height < 24; ++height) {
            const PlaneShape shape{{format}, 5, height};
            const ChromaAxis chroma = shape.rows();
            for (const int alignment : {1, 2, 4}) {
                for (const int band : {1, 2, 3, 7, 24}) {
                    each_band(height, alignment, band, [&](RowRange rows) {
                        const PlaneWindow window = window_to_load(shape, rows);
                        for (Row y = rows.first; y < rows.end(); ++y) {
                            const auto row = static_cast<int>(mirrored(y, height));
                            CHECK(contains(window.luma, row));
                            CHECK(contains(window.chroma, chroma.inside(chroma.before(row))));
                            if (chroma.behind(row) == 0) continue;
                            CHECK(contains(window.chroma, chroma.inside(chroma.before(row) + 1)));
                        }
                        CHECK(window.luma.end() <= height);
                        CHECK(window.chroma.end() <= chroma.samples);
                        CHECK(window.bytes <=
                              most_bytes_to_load(shape, static_cast<int>(rows.count)));
                    });
                }
            }
        }
    }
}

TEST_CASE("every row of a result's planes is stored once, when its last row is there") {
    for (const YuvFormat& format : yuv_picture::formats()) {
        for (int height = 1; height < 24; ++height) {
            const PlaneShape shape{{format}, 5, height};
            const ChromaAxis chroma = shape.rows();
            for (const int band : {1, 2, 3, 7, 24}) {
                Row luma_end = 0, chroma_end = 0;
                each_band(height, 4, band, [&](RowRange rows) {
                    const PlaneWindow window = window_to_store(shape, rows);
                    CHECK_EQUAL(window.luma.first, luma_end);
                    if (window.chroma.count > 0) CHECK_EQUAL(window.chroma.first, chroma_end);
                    luma_end = window.luma.end();
                    chroma_end = std::max(chroma_end, window.chroma.end());
                    for (Row k = window.chroma.first; k < window.chroma.end(); ++k) {
                        const Row first = k * chroma.step + chroma.first_tap();
                        const Row last = k * chroma.step + chroma.last_tap();
                        CHECK(std::min<Row>(last, height - 1) < rows.end());
                        CHECK(std::max<Row>(first, 0) >= rows.first - rows_kept_for_chroma(shape));
                    }
                    CHECK(window.bytes <= most_bytes_to_store(shape, static_cast<int>(rows.count)));
                });
                CHECK_EQUAL(luma_end, height);
                CHECK_EQUAL(chroma_end, chroma.samples);
            }
        }
    }
}

TEST_CASE("samples are copied into a window and out of it, whatever the planes' strides") {
    for (const YuvFormat& format : yuv_picture::formats()) {
        const YuvPicture picture = yuv_picture::noise(format, 7, 9, 1);
        // Both chroma planes share rows.
        const auto sample = static_cast<std::ptrdiff_t>(picture.size());
        std::vector<std::byte> shared(2 * picture.bytes[1].size());
        const auto interleave = [&](auto view) {
            for (const int plane : {1, 2}) {
                view.planes[idx(plane)] = {shared.data() + (plane - 1) * sample,
                                           2 * picture.columns(1) * sample, 2 * sample};
            }
            return view;
        };
        YuvPicture result(format, 7, 9);
        const PlaneShape shape{{format}, 7, 9};
        std::vector<std::byte> staged(most_bytes_to_load(shape, 9));
        const auto through = [&](const YuvView& from, const MutableYuvView& to) {
            const PlaneWindow window = window_to_load(shape, {0, 9});
            CHECK(window.bytes == staged.size());
            load_planes(from, window, staged.data());
            store_planes(staged.data(), window_to_store(shape, {0, 9}), to);
        };
        through(picture.view(), interleave(result.writable()));
        through(interleave(result.view()), result.writable());
        through(picture.view(), result.writable());
        CHECK(result.bytes == picture.bytes);
    }
}

TEST_CASE("the luma of a picture is summed above black, and a black one is known") {
    for (const YuvFormat& format : yuv_picture::formats()) {
        const int unit = 1 << (format.bits - 8);
        const bool colours = format.matrix == YuvMatrix::rgb;
        YuvPicture picture(format, 6, 4);
        const int black = format.full_range ? 0 : 16 * unit;
        for (int plane = 0; plane < 3; ++plane)
            picture.fill(plane, plane == 0 || colours ? black : 128 * unit);
        const PlaneShape shape{{format}, 6, 4};
        const PlaneWindow window = window_to_load(shape, {0, 4});
        std::vector<std::byte> staged(window.bytes);
        CHECK_EQUAL(load_planes(picture.view(), window, staged.data()), 0.0);
        CHECK(is_black(staged.data(), window, shape));
        picture.set(0, 5, 3, format.full_range ? 256 * unit - 1 : 235 * unit);
        CHECK_NEAR(load_planes(picture.view(), window, staged.data()), 1.0, 1e-6);
        CHECK(!is_black(staged.data(), window, shape));
        picture.set(0, 5, 3, black);
        picture.set(2, 0, 0, 140 * unit);
        CHECK_EQUAL(load_planes(picture.view(), window, staged.data()), 0.0);
        CHECK(!is_black(staged.data(), window, shape));
    }
}

int main() {
    return check::run_all();
}
