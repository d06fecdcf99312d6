#include <limits>

#include "base/thread_count.hpp"
#include "realesrgan/errors.hpp"
#include "realesrgan/upscaler.hpp"
#include "support/check.hpp"
#include "support/picture.hpp"
#include "support/tiny_network.hpp"
#include "support/tiny_runs.hpp"

using realesrgan::DeviceError;
using realesrgan::kTileWhole;
using realesrgan::ModelError;
using realesrgan::Options;
using realesrgan::Upscaler;
using tiny::load;
using tiny::run;

namespace {

const tiny::Folder folder;

Options with_tile(int tile) {
    Options options;
    options.tile = tile;
    return options;
}

// Mirrored along x when `flip`, then turned by 90 degrees `turns` times.
Picture turned(const Picture& picture, bool flip, int turns) {
    Picture result = picture;
    for (int y = 0; y < picture.height && flip; ++y) {
        for (int x = 0; x < picture.width; ++x) {
            for (int c = 0; c < 3; ++c) {
                result.at(x, y, c) = Picture(picture).at(picture.width - 1 - x, y, c);
            }
        }
    }
    for (int turn = 0; turn < turns; ++turn) {
        Picture next(result.height, result.width);
        for (int y = 0; y < next.height; ++y) {
            for (int x = 0; x < next.width; ++x) {
                for (int c = 0; c < 3; ++c) {
                    next.at(x, y, c) = result.at(y, next.width - 1 - x, c);
                }
            }
        }
        result = next;
    }
    return result;
}

}  // namespace

TEST_CASE("a convolution pads the picture's border with zeros, in one tile and in many") {
    const std::vector<float> box(9, 1.0F / 9);
    Picture white(100, 70);
    std::fill(white.samples.begin(), white.samples.end(), 0.9F);
    for (const int tile : {kTileWhole, 32}) {
        Picture blurred = run(load(tiny::filter(box), with_tile(tile)), white);
        CHECK_NEAR(blurred.at(50, 35, 1), 0.9F, 1e-5F);
        CHECK_NEAR(blurred.at(0, 35, 0), 0.6F, 1e-5F);
        CHECK_NEAR(blurred.at(50, 69, 2), 0.6F, 1e-5F);
        CHECK_NEAR(blurred.at(99, 0, 0), 0.4F, 1e-5F);
    }
}

TEST_CASE("tiles with a whole halo give the whole picture's result") {
    const Picture input = Picture::random(150, 90);
    const Picture whole = run(load(tiny::compact(), with_tile(kTileWhole)), input);
    for (const int tile : {32, 47, 64, 120}) {
        CHECK_BELOW(largest_difference(run(load(tiny::compact(), with_tile(tile)), input), whole),
                    2e-6F);
    }
}

TEST_CASE("a tall picture and its transpose give the same result") {
    const Picture tall = Picture::random(40, 200);
    const Picture lying = turned(tall, false, 1);
    const std::vector<float> spot = {0, 0, 0, 0, 1, 0, 0, 0, 0};
    const Upscaler upscaler = load(tiny::filter(spot), with_tile(32));
    CHECK_BELOW(largest_difference(run(upscaler, tall), tall), 1e-6F);
    CHECK_BELOW(largest_difference(run(upscaler, lying), lying), 1e-6F);
    const std::vector<float> shift = {0, 0, 0, 0, 0, 1, 0, 0, 0};  // the pixel on the right
    Picture shifted = run(load(tiny::filter(shift), with_tile(32)), lying);
    CHECK_NEAR(shifted.at(7, 3, 0), Picture(lying).at(8, 3, 0), 1e-6F);
}

TEST_CASE("a change is visible within the receptive field, and no further") {
    const Upscaler upscaler = load(tiny::compact());
    const int field = upscaler.network().receptive_field;
    const Picture before = Picture::random(21, 21);
    Picture changed = before;
    changed.at(10, 10, 1) += 0.2F;
    Picture a = run(upscaler, before);
    Picture b = run(upscaler, changed);
    const auto seen = [&](int x) {
        float largest = 0.0F;
        for (int c = 0; c < 3; ++c) {
            largest = std::fmax(largest, std::abs(a.at(2 * x, 20, c) - b.at(2 * x, 20, c)));
            largest = std::fmax(largest, std::abs(a.at(2 * x + 1, 21, c) - b.at(2 * x + 1, 21, c)));
        }
        return largest;
    };
    CHECK(seen(10 - field) > 1e-5F && seen(10 + field) > 1e-5F);
    CHECK_BELOW(seen(10 - field - 1), 1e-6F);  // Winograd tiles round
    CHECK_BELOW(seen(10 + field + 1), 1e-6F);
}

TEST_CASE("sides above 2^26 are refused, in plans and in runs") {
    for (const int tile : {realesrgan::kTileAuto, 32}) {
        const Upscaler upscaler = load(tiny::compact(), with_tile(tile));
        for (const int side : {realesrgan::kMostSide + 1, 2'000'000'000}) {
            CHECK_THROWS(std::invalid_argument, (std::vector<std::string>{"2^26 a side"}),
                         upscaler.plan(side, 5));
            CHECK_THROWS(std::invalid_argument, (std::vector<std::string>{"2^26 a side"}),
                         upscaler.prepare(5, side));
        }
        CHECK(upscaler.plan(realesrgan::kMostSide, 5).memory_bytes.back().second > 0);
        CHECK(upscaler.plan(5, realesrgan::kMostSide).memory_bytes.back().second > 0);
        float sample = 0.5F;
        const realesrgan::ImageView endless{reinterpret_cast<const std::byte*>(&sample),
                                            realesrgan::SampleType::f32,
                                            realesrgan::kMostSide + 1,
                                            1,
                                            3,
                                            0,
                                            0,
                                            0};
        CHECK_THROWS(std::invalid_argument, (std::vector<std::string>{"2^26 a side"}),
                     upscaler.run(endless, Picture(1, 1).writable()));
    }
}

TEST_CASE("any number of threads gives the result and the plan of as many as there are cores") {
    const Picture input = Picture::random(60, 40);
    Options options;
    options.threads = realesrgan::usable_cores();
    const Upscaler cores = load(tiny::compact(), options);
    const Picture expected = run(cores, input);
    for (const int threads : {1 << 29, 1 << 30, 2147483647}) {
        options.threads = threads;
        const Upscaler upscaler = load(tiny::compact(), options);
        CHECK(run(upscaler, input).samples == expected.samples);
        CHECK(upscaler.plan(60, 40).memory_bytes == cores.plan(60, 40).memory_bytes);
    }
}

TEST_CASE("TTA is the mean over the eight orientations") {
    const Picture input = Picture::random(37, 22);
    const Upscaler plain = load(tiny::compact());
    Picture mean(74, 44);
    for (int way = 0; way < 8; ++way) {
        const bool flip = way >= 4;
        const int turns = way % 4;
        const Picture upright =
            turned(run(plain, turned(input, flip, turns)), false, (4 - turns) % 4);
        const Picture back = turned(upright, flip, 0);
        for (std::size_t i = 0; i < mean.samples.size(); ++i) {
            mean.samples[i] += back.samples[i] / 8;
        }
    }
    Options options;
    options.tta = true;
    CHECK_BELOW(largest_difference(run(load(tiny::compact(), options), input), mean), 1e-6F);
    CHECK(largest_difference(run(plain, input), mean) > 1e-4F);  // the average changes something
    options.tile = 32;
    CHECK_BELOW(largest_difference(run(load(tiny::compact(), options), input), mean), 2e-6F);
}

TEST_CASE("tiny and narrow pictures, and odd sides of a network that needs even ones") {
    for (const auto& network : {tiny::compact(), tiny::unshuffled()}) {
        const Upscaler whole = load(network, with_tile(kTileWhole));
        const Upscaler tiled = load(network, with_tile(32));
        for (const auto& [width, height] :
             {std::pair(1, 1), std::pair(1, 500), std::pair(7, 3), std::pair(131, 67)}) {
            const Picture input = Picture::random(width, height);
            CHECK_BELOW(largest_difference(run(whole, input), run(tiled, input)), 2e-6F);
        }
    }
}

TEST_CASE("eight threads sharing one upscaler give the single thread's result") {
    const Upscaler upscaler = load(tiny::compact(), with_tile(32));
    const Picture input = Picture::random(90, 60);
    tiny::check_eight_threads(upscaler, input);
}

TEST_CASE("progress rises to 1, and its exception is rethrown") {
    const Upscaler upscaler = load(tiny::compact(), with_tile(32));
    const Picture input = Picture::random(90, 60);
    Picture output(180, 120);
    double last = 0;
    int calls = 0;
    upscaler.run(input.view(), output.writable(), [&](double fraction) {
        CHECK(fraction >= last && fraction <= 1.0);
        last = fraction;
        ++calls;
    });
    CHECK_EQUAL(last, 1.0);
    CHECK(calls >= 6);
    CHECK_THROWS(std::domain_error, std::vector<std::string>{"enough"},
                 upscaler.run(input.view(), output.writable(),
                              [](double) { throw std::domain_error("enough"); }));
    CHECK(largest_difference(run(upscaler, input), run(upscaler, input)) == 0.0F);
}

TEST_CASE("broken files are ModelErrors that name the file") {
    const tiny::Network good = tiny::compact();
    const auto expect = [](const tiny::Network& network, const std::vector<std::string>& parts) {
        CHECK_THROWS(ModelError, parts, load(network));
    };
    expect({good.param, good.bin.substr(0, good.bin.size() - 4)},
           {"network.bin", "truncated", std::to_string(good.bin.size())});
    expect({good.param, good.bin + "more"}, {"network.bin", "another network"});
    expect({good.param, ""}, {"network.bin", "empty"});
    expect({tiny::unshuffled().param, good.bin}, {"network.bin", "another network"});
    expect({"", good.bin}, {"network.param", "empty"});
    expect({"7767517\n2 2\nInput in 0 1 data\nMystery m 1 1 data out\n", good.bin},
           {"network.param", "'Mystery'"});
    const std::string param = folder.file("n.param", good.param);
    const std::string a_folder = std::filesystem::temp_directory_path().string();
    for (const std::string& unreadable : {std::string("/no/such.bin"), a_folder}) {
        CHECK_THROWS(ModelError, (std::vector<std::string>{"cannot read", unreadable}),
                     Upscaler(param, unreadable, Options{}));
    }
}

TEST_CASE("a result that is no picture of a picture that is one is a ModelError on the CPU") {
    const Picture input = Picture::random(40, 30);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float huge = std::numeric_limits<float>::max();
    for (const int tile : {realesrgan::kTileAuto, kTileWhole, 32}) {
        for (const float weight : {nan, huge}) {
            CHECK_THROWS(
                ModelError, (std::vector<std::string>{"NaN", "weights"}),
                run(load(tiny::filter(std::vector<float>(9, weight)), with_tile(tile)), input));
        }
    }
}

TEST_CASE("black of a picture that is not black is a ModelError, and of a dark one it is not") {
    const Picture black(40, 30);
    const auto flat = [](float value) {
        Picture picture(40, 30);
        std::fill(picture.samples.begin(), picture.samples.end(), value);
        return picture;
    };
    Picture hot = flat(1.0F / 255);
    hot.at(20, 10, 0) = hot.at(20, 10, 1) = hot.at(20, 10, 2) = 1.0F;
    for (const int tile : {realesrgan::kTileAuto, kTileWhole, 32}) {
        const Upscaler dark = load(tiny::filter(std::vector<float>(9, 0.0F)), with_tile(tile));
        for (const Picture& picture : {flat(0.0F), flat(3.0F / 255), hot}) {
            CHECK(run(dark, picture).samples == black.samples);
        }
        Picture lit = flat(0.0F);  // one bright area on black
        for (int x = 0; x < 40; ++x) lit.at(x, 5, 1) = lit.at(x, 6, 1) = 0.9F;
        for (const Picture& picture : {flat(5.0F / 255), Picture::random(40, 30), lit}) {
            CHECK_THROWS(ModelError, std::vector<std::string>{"all black"}, run(dark, picture));
        }
    }
}

TEST_CASE("an empty result of a layer is a ModelError, not a lack of memory") {
    tiny::Network network = tiny::filter(std::vector<float>(9, 0.1F));
    network.param =
        "7767517\n3 3\nInput in 0 1 data\nConvolution c 1 1 data a 0=3 1=3 4=1 5=0 6=81\n"
        "Crop p 1 1 a out 0=4 1=4 2=0 6=4 7=4\n";
    network.bin = std::string(4 + 81 * sizeof(float), '\0');
    CHECK_THROWS(ModelError, std::vector<std::string>{"network.param"}, load(network));
}

TEST_CASE("a network that needs much memory for a small picture is refused when it is loaded") {
    tiny::Network network = tiny::filter(std::vector<float>(9, 0.1F));
    network.param =
        "7767517\n5 5\nInput in 0 1 data\nTile t 1 1 data a 0=1 1=1024\nTile u 1 1 a d 0=2 1=32\n"
        "Crop q 1 1 d b 0=0 1=0 2=0 6=1984 7=65472\n"
        "Convolution c 1 1 b out 0=3 1=3 4=1 5=0 6=81\n";
    network.bin = std::string(4 + 81 * sizeof(float), '\0');
    CHECK_THROWS(realesrgan::OutOfMemoryError,
                 (std::vector<std::string>{"network.param", "more than 512 MiB", "64x64"}),
                 load(network));
}

TEST_CASE("wrong calls are invalid_argument or ImageError") {
    const Upscaler upscaler = load(tiny::compact());
    Picture output(20, 20);
    CHECK_THROWS(std::invalid_argument, std::vector<std::string>{"the output is 20x20x3"},
                 upscaler.run(Picture(9, 10).view(), output.writable()));
    CHECK_THROWS(realesrgan::ImageError, (std::vector<std::string>{"4 channels", "takes 3"}),
                 upscaler.run(Picture(10, 10, 4).view(), output.writable()));
    CHECK_THROWS(realesrgan::ImageError, std::vector<std::string>{"empty"},
                 upscaler.run(Picture(0, 10).view(), output.writable()));
    CHECK_THROWS(std::invalid_argument, std::vector<std::string>{"tile 31"},
                 load(tiny::compact(), with_tile(31)));
    Options options;
    options.fp16 = true;
    CHECK_THROWS(std::invalid_argument, std::vector<std::string>{"fp16"},
                 load(tiny::compact(), options));
    options = {};
    options.device = -3;
    CHECK_THROWS(std::invalid_argument, std::vector<std::string>{"device -3"},
                 load(tiny::compact(), options));
}

int main() {
    return check::run_all();
}
