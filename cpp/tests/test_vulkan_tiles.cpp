#include <thread>

#include "check.hpp"
#include "picture.hpp"
#include "realesrgan/errors.hpp"
#include "realesrgan/upscaler.hpp"
#include "tiny_network.hpp"

using realesrgan::list_devices;
using realesrgan::Options;
using realesrgan::Upscaler;

namespace {

const tiny::Folder folder;

Upscaler load(const tiny::Network& network, const Options& options) {
    return {folder.file("network.param", network.param), folder.file("network.bin", network.bin),
            options};
}

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

Picture run(const Upscaler& upscaler, const Picture& input) {
    Picture output(input.width * 2, input.height * 2);
    upscaler.run(input.view(), output.writable());
    return output;
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
    const Picture expected = run(gpu, input);
    std::vector<Picture> results(8, Picture(1, 1));
    std::vector<std::thread> threads;
    for (Picture& result : results) {
        threads.emplace_back([&] { result = run(gpu, input); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const Picture& result : results) {
        CHECK(result.samples == expected.samples);
    }
}

TEST_CASE("a network may outlive main: it is left to the process") {
    static const Upscaler forgotten = load(tiny::compact(), on_first_device(false));
    CHECK_EQUAL(forgotten.network().scale, 2);
}

int main() {
    return check::run_all();
}
