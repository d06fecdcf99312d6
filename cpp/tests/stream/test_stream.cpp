#include <algorithm>
#include <cmath>
#include <random>
#include <thread>

#include "image/array_rows.hpp"
#include "model/graph.hpp"
#include "realesrgan/errors.hpp"
#include "support/check.hpp"
#include "support/stream_fixture.hpp"

using namespace realesrgan;
using namespace stream_fixture;

namespace {

// Fails for rows that are read twice, out of order, or outside the picture.
class OnceSource final : public RowSource {
  public:
    explicit OnceSource(const ImageView& picture) : picture_(picture), rows_(picture) {}

    int width() const override { return picture_.width; }
    int height() const override { return picture_.height; }
    int channels() const override { return picture_.channels; }
    SampleType type() const override { return picture_.type; }
    void read(int first_row, int first_column, const MutableImageView& rows) override {
        CHECK_EQUAL(first_row, next_);
        CHECK_EQUAL(first_column, 0);
        CHECK_EQUAL(rows.width, picture_.width);
        next_ += rows.height;
        CHECK(next_ <= picture_.height);
        most_ = std::max(most_, rows.height);
        rows_.read(first_row, first_column, rows);
    }
    int rows() const { return next_; }
    int most() const { return most_; }

  private:
    ImageView picture_;
    ArraySource rows_;
    int next_ = 0;
    int most_ = 0;
};

class OnceSink final : public RowSink {
  public:
    explicit OnceSink(const MutableImageView& picture) : picture_(picture), rows_(picture) {}

    void write(int first_row, int first_column, const ImageView& rows) override {
        CHECK_EQUAL(first_row, next_);
        CHECK_EQUAL(first_column, 0);
        CHECK_EQUAL(rows.width, picture_.width);
        next_ += rows.height;
        CHECK(next_ <= picture_.height);
        rows_.write(first_row, first_column, rows);
    }
    int rows() const { return next_; }

  private:
    MutableImageView picture_;
    ArraySink rows_;
    int next_ = 0;
};

}  // namespace

TEST_CASE("a fused network gives what ncnn gives layer by layer") {
    const TemporaryFolder folder;
    std::mt19937 random(11);
    const auto pick = [&](int low, int high) {
        return std::uniform_int_distribution<int>(low, high)(random);
    };
    for (unsigned seed = 0; seed < 40; ++seed) {
        const Files files =
            (seed % 4 == 3 ? random_unet(seed) : random_network(seed)).save(folder.file("net"));
        Picture picture = noise(pick(1, 40), pick(1, 40), seed);
        const Picture whole = run(files, options(0, kTileWhole), picture);
        const Upscaler stream(files.first, files.second, options(pick(1, 20)));
        CHECK_EQUAL(stream.plan(picture.width, picture.height).path, "stream");
        const float most = difference(run(stream, picture), whole);
        if (most > 5e-5F) {
            throw check::Failure("seed " + std::to_string(seed) + ": off by " +
                                 std::to_string(most));
        }
    }
}

// Every shuffle, and every resize after it that ncnn's float sizes are exact for.
TEST_CASE(
    "a shuffle and a resize of any size give what ncnn gives, in memory that no height adds to") {
    const TemporaryFolder folder;
    int runs = 0;
    for (int shuffle = 2; shuffle <= 16; ++shuffle) {
        for (int scale = 1; scale <= 16; ++scale) {
            if (scale * 16 % shuffle != 0 || scale == shuffle) continue;
            const int filter = runs % 2 == 0 ? 3 : 2;
            NetworkBuilder builder(static_cast<unsigned>(shuffle * 16 + scale));
            builder.shuffled(shuffle, filter, scale);
            const Files files = builder.save(folder.file("net"));
            const Upscaler stream(files.first, files.second, options(1 + runs % 7));
            Picture picture = noise(3 + runs % 5, 2 + runs % 11, static_cast<unsigned>(runs));
            CHECK_EQUAL(stream.plan(picture.width, picture.height).path, "stream");
            const Picture whole = run(files, options(0, kTileWhole), picture);
            CHECK_BELOW(difference(run(stream, picture), whole), 5e-5F);
            const std::uint64_t low = stream.plan(40, 256).memory_bytes.back().second;
            for (const int height : {4096, 1 << 26}) {
                CHECK_EQUAL(stream.plan(40, height).memory_bytes.back().second, low);
            }
            ++runs;
        }
    }
    CHECK(runs > 50);
}

TEST_CASE("a picture of one row passes a resize that reads four") {
    const TemporaryFolder folder;
    for (const int filter : {2, 3}) {
        NetworkBuilder builder(1);
        builder.shuffled(2, filter, 1);
        const Files files = builder.save(folder.file("net"));
        Picture high = noise(9, 1, 4);
        Picture wide = high;
        std::swap(wide.width, wide.height);
        for (Picture* picture : {&high, &wide}) {
            for (const float sample : run(files, options(1), *picture).samples) {
                CHECK(std::isfinite(sample));
            }
        }
    }
}

TEST_CASE("all orientations give the mean that the tile path gives") {
    const TemporaryFolder folder;
    int unshuffled = 0;
    for (unsigned seed = 0; seed < 16; ++seed) {  // some need an even or a fourfold size
        const Files files = random_network(seed).save(folder.file("net"));
        Picture picture = noise(21, 70 + static_cast<int>(seed % 3), 3);
        Options tiles = options(0, kTileWhole);
        Options stream = options(5);
        tiles.tta = stream.tta = true;
        const Picture mean = run(files, stream, picture);
        CHECK_BELOW(difference(mean, run(files, tiles, picture)), 5e-5F);
        tiles.tile = 32;
        CHECK_BELOW(difference(mean, run(files, tiles, picture)), 5e-5F);
        const Graph graph = read_graph(files.first);
        unshuffled += std::any_of(graph.layers.begin(), graph.layers.end(),
                                  [](const Layer& layer) { return layer.type == "Reorg"; })
                          ? 1
                          : 0;
    }
    CHECK(unshuffled > 0);
}

TEST_CASE("rows are read and written one band at a time, with the bits of the whole picture") {
    const TemporaryFolder folder;
    for (const unsigned seed : {0U, 1U, 2U, 3U, 8U, 11U, 15U, 22U}) {  // some with an unshuffle
        const Files files =
            (seed > 8 ? random_unet(seed) : random_network(seed)).save(folder.file("net"));
        for (const bool tta : {false, true}) {
            Options made = options(3);
            made.tta = tta;
            const Upscaler upscaler(files.first, files.second, made);
            Picture picture = noise(19, 37, seed);
            const Picture right = run(upscaler, picture);
            Picture result(right.width, right.height);
            OnceSource source(picture.as_const());
            OnceSink sink(result.view());
            upscaler.run(source, sink, SampleType::f32);
            CHECK(result.samples == right.samples);
            CHECK_EQUAL(source.rows(), picture.height);
            CHECK_EQUAL(sink.rows(), result.height);
            CHECK((source.most() < picture.height) == !tta);
        }
    }
}

TEST_CASE("eight threads share one network") {
    const TemporaryFolder folder;
    const Files files = random_network(5).save(folder.file("net"));
    Picture picture = noise(33, 50, 2);
    const Upscaler upscaler(files.first, files.second, options(0));
    const Picture right = run(upscaler, picture);
    std::vector<float> differences(8, 1.0F);
    std::vector<std::thread> threads;
    for (float& most : differences) {
        threads.emplace_back([&] {
            Picture copy = picture;
            most = difference(run(upscaler, copy), right);
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const float most : differences) CHECK_EQUAL(most, 0.0F);
}

TEST_CASE("a callback's exception is rethrown, and progress never decreases") {
    const TemporaryFolder folder;
    const Files files = compact(folder);
    Picture picture = noise(30, 90, 2);
    const Upscaler upscaler(files.first, files.second, options(4));
    Picture result(120, 360);
    double last = 0.0;
    upscaler.run(picture.as_const(), result.view(), [&](double fraction) {
        CHECK(fraction >= last && fraction <= 1.0);
        last = fraction;
    });
    CHECK_EQUAL(last, 1.0);
    CHECK_THROWS(Cancelled, std::vector<std::string>{"enough"},
                 upscaler.run(picture.as_const(), result.view(), [](double fraction) {
                     if (fraction > 0.3) throw Cancelled("enough");
                 }));
}

TEST_CASE("a result that is not a number is an error, and so is black from a picture") {
    const TemporaryFolder folder;
    NetworkWriter writer(1);
    const std::string data = writer.input();
    writer.layer("BinaryOp", {writer.convolution(data, 3, 3), data}, "0=0");
    const Files files = writer.save(folder.file("net"));
    Picture picture = noise(9, 9, 2);
    Picture result(9, 9);
    const Upscaler upscaler(files.first, files.second, options(0));
    picture.samples[40] = std::nanf("");
    CHECK_THROWS(ImageError, std::vector<std::string>{"not numbers"},
                 upscaler.run(picture.as_const(), result.view()));
    OnceSource source(picture.as_const());
    OnceSink sink(result.view());
    CHECK_THROWS(ImageError, std::vector<std::string>{"not numbers"},
                 upscaler.run(source, sink, SampleType::f32));
}

int main() {
    return check::run_all();
}
