#include <array>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "image/orientation.hpp"
#include "image/sample_conversion.hpp"
#include "support/check.hpp"

using realesrgan::ConstPlanes;
using realesrgan::ImageView;
using realesrgan::load_samples;
using realesrgan::MutableImageView;
using realesrgan::Planes;
using realesrgan::SampleType;
using realesrgan::store_samples;

namespace {

template <typename View, typename Sample, typename Byte>
View row_view(std::vector<Sample>& samples, Byte* bytes, SampleType type) {
    const auto size = static_cast<std::ptrdiff_t>(sizeof(Sample));
    const auto width = static_cast<int>(samples.size());
    return {bytes, type, width, 1, 1, width * size, size, size};
}

template <typename Sample>
void check_round_trip(SampleType type, int count) {
    std::vector<Sample> values(static_cast<std::size_t>(count));
    std::iota(values.begin(), values.end(), Sample{0});
    std::vector<float> floats(values.size());
    const Planes planes{floats.data(), count, 1, 1, 1, count, count};
    const double sum = load_samples(
        row_view<ImageView>(values, reinterpret_cast<const std::byte*>(values.data()), type), 0, 0,
        planes);
    CHECK_NEAR(sum, 0.5 * count, 1e-3);
    CHECK_EQUAL(floats.back(), 1.0F);
    CHECK_EQUAL(floats.front(), 0.0F);
    std::vector<Sample> back(values.size());
    store_samples(as_const(planes),
                  row_view<MutableImageView>(back, reinterpret_cast<std::byte*>(back.data()), type),
                  0);
    CHECK(values == back);
}

std::vector<std::uint8_t> stored(std::vector<float> floats) {
    const auto count = static_cast<std::int64_t>(floats.size());
    std::vector<std::uint8_t> bytes(floats.size());
    store_samples({floats.data(), count, 1, 1, 1, count, count},
                  row_view<MutableImageView>(bytes, reinterpret_cast<std::byte*>(bytes.data()),
                                             SampleType::u8),
                  0);
    return bytes;
}

}  // namespace

TEST_CASE("every 8-bit and 16-bit value survives a round trip") {
    check_round_trip<std::uint8_t>(SampleType::u8, 256);
    check_round_trip<std::uint16_t>(SampleType::u16, 65536);
}

TEST_CASE("results are clamped and rounded to the nearest") {
    const std::vector<std::uint8_t> expected = {0, 0, 0, 1, 127, 128, 255, 255};
    CHECK(stored({-3.0F, 0.0F, 0.49F / 255, 0.51F / 255, 127.4F / 255, 127.6F / 255, 1.0F, 9.0F}) ==
          expected);
}

TEST_CASE("any strides: a reversed picture, and one channel repeated") {
    std::array<std::uint8_t, 6> bytes = {0, 51, 102, 153, 204, 255};  // 3 x 2
    ImageView view{
        reinterpret_cast<const std::byte*>(bytes.data()) + 5, SampleType::u8, 3, 2, 3, -3, -1, 0};
    std::vector<float> floats(18);
    load_samples(view, 0, 0, {floats.data(), 3, 2, 3, 1, 3, 6});
    for (std::size_t i = 0; i < floats.size(); ++i) {
        CHECK_NEAR(floats[i], 1.0F - 0.2F * static_cast<float>(i % 6), 1e-6F);
    }
}

TEST_CASE("positions past the end mirror the picture") {
    std::vector<float> row = {0.1F, 0.2F, 0.3F};
    std::vector<float> floats(7);
    const auto* bytes = reinterpret_cast<const std::byte*>(row.data());
    load_samples(row_view<ImageView>(row, bytes, SampleType::f32), 0, 0,
                 {floats.data(), 7, 1, 1, 1, 7, 7});
    CHECK((floats == std::vector<float>{0.1F, 0.2F, 0.3F, 0.2F, 0.1F, 0.2F, 0.3F}));
    row = {0.5F};
    load_samples(row_view<ImageView>(row, bytes, SampleType::f32), 0, 0,
                 {floats.data(), 7, 1, 1, 1, 7, 7});
    CHECK((floats == std::vector<float>(7, 0.5F)));
}

TEST_CASE("the eight orientations differ and are inverted exactly") {
    std::vector<float> samples(2 * 5 * 3);
    std::iota(samples.begin(), samples.end(), 0.0F);
    const Planes picture{samples.data(), 5, 3, 2, 1, 5, 15};
    std::vector<std::vector<float>> seen;
    for (const realesrgan::Orientation& orientation : realesrgan::orientations(true)) {
        const Planes view = oriented_view(picture, orientation);
        std::vector<float> copied(samples.size());
        const Planes dense{copied.data(),           view.width, view.height, 2, 1, view.width,
                           view.width * view.height};
        copy(as_const(view), dense);
        for (const std::vector<float>& other : seen) {
            CHECK(other != copied);
        }
        seen.push_back(copied);
        std::vector<float> back(samples.size());
        const Planes upright = inverse_oriented_view(dense, orientation);
        CHECK_EQUAL(upright.width, 5);
        copy(as_const(upright), {back.data(), 5, 3, 2, 1, 5, 15});
        CHECK(back == samples);
    }
    CHECK_EQUAL(seen.size(), 8U);
    CHECK_EQUAL(realesrgan::orientations(false).size(), 1U);
}

int main() {
    return check::run_all();
}
