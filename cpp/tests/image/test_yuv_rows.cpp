#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

#include "base/integers.hpp"
#include "image/image_view.hpp"
#include "realesrgan/yuv.hpp"
#include "support/check.hpp"
#include "support/yuv_picture.hpp"

using namespace realesrgan;  // NOLINT(google-build-using-namespace)
using yuv_picture::YuvPicture;

namespace {

std::vector<float> rgb_of(const YuvPicture& picture, int band = 3) {
    std::vector<float> rgb(idx(picture.width) * idx(picture.height) * 3);
    YuvSource source(picture.view());
    for (int y = 0; y < picture.height; y += band) {
        const int rows = std::min(band, picture.height - y);
        source.read(y, 0,
                    packed_view(reinterpret_cast<std::byte*>(&rgb[idx(y) * idx(picture.width) * 3]),
                                SampleType::f32, picture.width, rows, 3));
    }
    return rgb;
}

void store(const std::vector<float>& rgb, YuvPicture& picture, int band = 3) {
    YuvSink sink(picture.writable());
    for (int y = 0; y < picture.height; y += band) {
        const int rows = std::min(band, picture.height - y);
        sink.write(
            y, 0,
            packed_view(reinterpret_cast<const std::byte*>(&rgb[idx(y) * idx(picture.width) * 3]),
                        SampleType::f32, picture.width, rows, 3));
    }
}

void check_pixel(const std::vector<float>& rgb, std::array<float, 3> expected, float tolerance) {
    for (std::size_t i = 0; i < rgb.size(); ++i) {
        CHECK_NEAR(rgb[i], expected[i % 3], tolerance);
    }
}

struct Coded {
    YuvMatrix matrix;
    bool full_range;
    int bits;
    std::array<int, 3> white;
    std::array<int, 3> red;
};

}  // namespace

TEST_CASE("black, white and red have the values of the standards") {
    const Coded table[] = {
        {YuvMatrix::bt601, false, 8, {235, 128, 128}, {81, 90, 240}},
        {YuvMatrix::bt709, false, 8, {235, 128, 128}, {63, 102, 240}},
        {YuvMatrix::bt709, false, 10, {940, 512, 512}, {250, 409, 960}},
        {YuvMatrix::bt2020, false, 10, {940, 512, 512}, {294, 387, 960}},
        {YuvMatrix::bt601, true, 8, {255, 128, 128}, {76, 85, 255}},
        {YuvMatrix::bt709, false, 16, {60160, 32768, 32768}, {16015, 26198, 61440}},
        {YuvMatrix::rgb, true, 8, {255, 255, 255}, {0, 0, 255}},
        {YuvMatrix::rgb, false, 10, {940, 940, 940}, {64, 64, 940}},
    };
    for (const Coded& coded : table) {
        YuvFormat format;
        format.matrix = coded.matrix;
        format.full_range = coded.full_range;
        format.bits = coded.bits;
        if (coded.matrix == YuvMatrix::rgb) format.subsampling_x = format.subsampling_y = 1;
        YuvPicture picture(format, 5, 4);
        const std::vector<float> white(60, 1.0F);
        store(white, picture);
        for (int plane = 0; plane < 3; ++plane) {
            CHECK_EQUAL(picture.at(plane, 1, 1), coded.white[idx(plane)]);
        }
        check_pixel(rgb_of(picture), {1, 1, 1}, 1e-6F);
        store(std::vector<float>(60, 0.0F), picture);
        check_pixel(rgb_of(picture), {0, 0, 0}, 0);
        std::vector<float> red(60, 0.0F);
        for (std::size_t i = 0; i < red.size(); i += 3) red[i] = 1;
        store(red, picture);
        for (int plane = 0; plane < 3; ++plane) {
            CHECK_EQUAL(picture.at(plane, 2, 1), coded.red[idx(plane)]);
        }
    }
}

TEST_CASE("chroma is interpolated from where it lies") {
    struct Place {
        ChromaSiting siting;
        std::array<float, 4> columns;  // of a chroma row 0, 1, at luma columns 0 to 3
        std::array<float, 4> rows;
    };
    const Place places[] = {
        {ChromaSiting::left, {0, 0.5F, 1, 1}, {0, 0.25F, 0.75F, 1}},
        {ChromaSiting::center, {0, 0.25F, 0.75F, 1}, {0, 0.25F, 0.75F, 1}},
        {ChromaSiting::top_left, {0, 0.5F, 1, 1}, {0, 0.5F, 1, 1}},
    };
    for (const Place& place : places) {
        for (const bool columns : {true, false}) {
            YuvFormat format;
            format.siting = place.siting;
            YuvPicture picture(format, 4, 4);
            picture.fill(0, 16);
            picture.fill(1, 128);
            picture.fill(2, 128);
            for (int i = 0; i < 2; ++i) picture.set(2, columns ? 1 : i, columns ? i : 1, 240);
            const std::vector<float> rgb = rgb_of(picture);
            for (int i = 0; i < 4; ++i) {
                const int x = columns ? i : 1;
                const int y = columns ? 1 : i;
                const float most = 2 * (1 - 0.2126F) * 0.5F;
                const float at = columns ? place.columns[idx(i)] : place.rows[idx(i)];
                CHECK_NEAR(rgb[idx((y * 4 + x) * 3)], most * at, 1e-6F);
            }
        }
    }
}

TEST_CASE("chroma is the weighted mean of the luma samples around it, over any bands of rows") {
    for (const ChromaSiting siting :
         {ChromaSiting::left, ChromaSiting::center, ChromaSiting::top_left}) {
        for (const int step : {1, 2, 4}) {
            YuvFormat format;
            format.siting = siting;
            format.bits = 16;
            format.subsampling_x = format.subsampling_y = step;
            constexpr int kWidth = 11;
            constexpr int kHeight = 9;
            std::mt19937 random(7);
            std::vector<float> rgb(idx(kWidth * kHeight * 3));
            for (float& sample : rgb) sample = static_cast<float>(random() % 1000) / 999.0F;
            YuvPicture picture(format, kWidth, kHeight);
            store(rgb, picture);
            const auto weight = [&](int d, bool cosited) {
                if (!cosited) return d >= 0 && d < step ? 1.0 / step : 0.0;
                return std::max(0.0, 1.0 * (step - std::abs(d)) / (step * step));
            };
            const auto inside = [](int i, int length) { return std::clamp(i, 0, length - 1); };
            for (int ky = 0; ky < picture.rows(2); ++ky) {
                for (int kx = 0; kx < picture.columns(2); ++kx) {
                    double sum = 0;
                    for (int dy = -step; dy <= step; ++dy) {
                        for (int dx = -step; dx <= step; ++dx) {
                            const int at = inside(ky * step + dy, kHeight) * kWidth +
                                           inside(kx * step + dx, kWidth);
                            const double red = rgb[idx(3 * at)];
                            const double luma = 0.2126 * red + 0.7152 * rgb[idx(3 * at + 1)] +
                                                0.0722 * rgb[idx(3 * at + 2)];
                            sum += weight(dy, siting == ChromaSiting::top_left) *
                                   weight(dx, siting != ChromaSiting::center) * (red - luma) /
                                   (2 * (1 - 0.2126));
                        }
                    }
                    CHECK_NEAR(picture.at(2, kx, ky), 224 * 256 * sum + 32768, 0.51);
                }
            }
            YuvPicture other(format, kWidth, kHeight);
            store(rgb, other, 1);
            CHECK(other.bytes == picture.bytes);
            store(rgb, other, kHeight);
            CHECK(other.bytes == picture.bytes);
        }
    }
}

TEST_CASE("planes that share rows, and bits that are not used, come out alike") {
    YuvFormat format;
    format.bits = 10;
    YuvPicture packed(format, 6, 4);
    format.low_bits = 6;
    YuvPicture high(format, 6, 4);
    for (int plane = 0; plane < 3; ++plane) {
        for (int y = 0; y < packed.rows(plane); ++y) {
            for (int x = 0; x < packed.columns(plane); ++x) {
                const int value = 64 + 31 * x + 113 * y + 7 * plane;
                packed.set(plane, x, y, value);
                high.set(plane, x, y, value);
            }
        }
    }
    CHECK(rgb_of(packed) == rgb_of(high));
    std::vector<std::uint16_t> shared(idx(12));
    for (int y = 0; y < 2; ++y) {
        for (int x = 0; x < 3; ++x) {
            shared[idx(6 * y + 2 * x)] = static_cast<std::uint16_t>(high.at(1, x, y) << 6);
            shared[idx(6 * y + 2 * x + 1)] = static_cast<std::uint16_t>(high.at(2, x, y) << 6);
        }
    }
    YuvView view = high.view();
    view.planes[1] = {reinterpret_cast<const std::byte*>(shared.data()), 12, 4};
    view.planes[2] = {reinterpret_cast<const std::byte*>(shared.data() + 1), 12, 4};
    YuvSource source(view);
    std::vector<float> rgb(72);
    source.read(0, 0,
                packed_view(reinterpret_cast<std::byte*>(rgb.data()), SampleType::f32, 6, 4, 3));
    CHECK(rgb == rgb_of(packed));
}

TEST_CASE("a picture with no chroma planes is grey") {
    YuvPicture picture({}, 3, 3);
    picture.fill(0, 235);
    YuvView view = picture.view();
    view.planes[1].data = view.planes[2].data = nullptr;
    std::vector<float> rgb(27);
    YuvSource(view).read(
        0, 0, packed_view(reinterpret_cast<std::byte*>(rgb.data()), SampleType::f32, 3, 3, 3));
    check_pixel(rgb, {1, 1, 1}, 0);
}

TEST_CASE("a part of a picture, and what is beyond its ends, is mirrored") {
    YuvPicture picture({}, 4, 4);
    for (int y = 0; y < 4; ++y) {
        for (int x = 0; x < 4; ++x) picture.set(0, x, y, 16 + 50 * x + 3 * y);
    }
    picture.fill(1, 128);
    picture.fill(2, 128);
    const std::vector<float> whole = rgb_of(picture);
    std::vector<float> part(27);
    YuvSource source(picture.view());
    source.read(2, 2,
                packed_view(reinterpret_cast<std::byte*>(part.data()), SampleType::f32, 3, 3, 3));
    const std::array<int, 3> inside{2, 3, 2};
    for (int y = 0; y < 3; ++y) {
        for (int x = 0; x < 3; ++x) {
            CHECK_EQUAL(part[idx((y * 3 + x) * 3)],
                        whole[idx((inside[idx(y)] * 4 + inside[idx(x)]) * 3)]);
        }
    }
}

TEST_CASE("formats that are not possible are refused") {
    const auto refused = [](const YuvFormat& format, const std::string& words) {
        CHECK_THROWS(std::invalid_argument, {words}, check_yuv_format(format));
    };
    YuvFormat format;
    format.bits = 17;
    refused(format, "17 bits");
    format = {};
    format.low_bits = 1;
    refused(format, "1 unused bits below 8 of 8");
    format = {};
    format.subsampling_y = 3;
    refused(format, "by 3");
    format = {};
    format.matrix = YuvMatrix::rgb;
    refused(format, "green, blue and red");
    YuvPicture picture({}, 4, 4);
    YuvSink sink(picture.writable());
    std::vector<float> rgb(48);
    CHECK_THROWS(std::invalid_argument, {"in order"},
                 sink.write(2, 0,
                            packed_view(reinterpret_cast<const std::byte*>(rgb.data()),
                                        SampleType::f32, 4, 2, 3)));
}

int main() {
    return check::run_all();
}
