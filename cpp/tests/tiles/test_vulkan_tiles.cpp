#include <algorithm>
#include <limits>

#include "realesrgan/errors.hpp"
#include "realesrgan/upscaler.hpp"
#include "support/check.hpp"
#include "support/picture.hpp"
#include "support/tiny_network.hpp"
#include "support/tiny_runs.hpp"

using realesrgan::list_devices;
using realesrgan::Options;
using realesrgan::Upscaler;
using tiny::load;
using tiny::run;

namespace {

Options on_first_device(bool fp16) {
    if (list_devices().empty()) {
        throw check::Skip("there is no Vulkan device here (no loader, or no driver)");
    }
    Options options;
    options.device = 0;
    options.fp16 = fp16;
    if (fp16 && !list_devices().front().fp16_storage) {
        throw check::Skip("the first Vulkan device has no 16-bit storage");
    }
    return options;
}

}  // namespace

TEST_CASE("Vulkan agrees with the CPU, whole and in tiles, in 32 and in 16 bits") {
    const Picture input = Picture::random(90, 60);
    const Picture expected = run(load(tiny::compact(), {}), input);
    for (const bool fp16 : {false, true}) {
        Options options = on_first_device(fp16);
        for (const int tile : {realesrgan::kTileWhole, 32}) {
            options.tile = tile;
            const Picture result = run(load(tiny::compact(), options), input);
            CHECK_BELOW(largest_difference(result, expected), (fp16 ? 4e-3F : 1e-4F));
        }
    }
}

TEST_CASE("tiny pictures on Vulkan") {
    for (const auto& network : {tiny::compact(), tiny::unshuffled()}) {
        const Upscaler cpu = load(network, {});
        const Upscaler gpu = load(network, on_first_device(false));
        for (const auto& [width, height] : {std::pair(1, 1), std::pair(1, 500), std::pair(7, 3)}) {
            const Picture input = Picture::random(width, height);
            CHECK(largest_difference(run(gpu, input), run(cpu, input)) < 1e-4F);
        }
    }
}

TEST_CASE("eight threads share one network on Vulkan") {
    const Upscaler gpu = load(tiny::compact(), on_first_device(false));
    const Picture input = Picture::random(40, 30);
    tiny::check_eight_threads(gpu, input);
}

TEST_CASE("progress is reported within one tile on Vulkan, changes nothing, and can stop it") {
    for (const bool fp16 : {false, true}) {
        Options options = on_first_device(fp16);
        options.tile = realesrgan::kTileWhole;
        const Upscaler gpu = load(tiny::compact(), options);
        const Picture input = Picture::random(40, 30);
        Picture output(80, 60);
        std::vector<double> fractions;
        gpu.run(input.view(), output.writable(),
                [&](double fraction) { fractions.push_back(fraction); });
        CHECK(std::is_sorted(fractions.begin(), fractions.end()));
        CHECK_EQUAL(fractions.front(), 0.0);
        CHECK_EQUAL(fractions.back(), 1.0);
        CHECK(fractions.size() >= 3);  // between the two convolutions, too
        CHECK(output.samples == run(gpu, input).samples);
        Picture untouched(80, 60);
        CHECK_THROWS(std::domain_error, std::vector<std::string>{"enough"},
                     gpu.run(input.view(), untouched.writable(), [](double fraction) {
                         if (fraction > 0 && fraction < 1) throw std::domain_error("enough");
                     }));
        CHECK(untouched.samples == Picture(80, 60).samples);
        CHECK(output.samples == run(gpu, input).samples);  // it still works
    }
}

TEST_CASE("a result that is not a number on Vulkan and on the CPU is a ModelError") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::vector<float> kernel(9, 0.1F);
    kernel[4] = nan;
    Options options = on_first_device(false);
    for (const int tile : {realesrgan::kTileAuto, realesrgan::kTileWhole, 32}) {
        options.tile = tile;
        CHECK_THROWS(realesrgan::ModelError, (std::vector<std::string>{"NaN", "CPU, too"}),
                     run(load(tiny::filter(kernel), options), Picture::random(40, 30)));
    }
}

TEST_CASE("a network may outlive main") {
    static const Upscaler forgotten = load(tiny::compact(), on_first_device(false));
    CHECK_EQUAL(forgotten.network().scale, 2);
}

int main() {
    return check::run_all();
}
