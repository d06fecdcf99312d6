#pragma once

#include <thread>
#include <vector>

#include "realesrgan/upscaler.hpp"
#include "support/check.hpp"
#include "support/picture.hpp"
#include "support/tiny_network.hpp"

// Networks of tiny_network.hpp, loaded and run.
namespace tiny {

inline realesrgan::Upscaler load(const Network& network, const realesrgan::Options& options = {}) {
    static const Folder folder;
    return {folder.file("network.param", network.param), folder.file("network.bin", network.bin),
            options};
}

inline Picture run(const realesrgan::Upscaler& upscaler, const Picture& input) {
    const int scale = upscaler.network().scale;
    Picture output(input.width * scale, input.height * scale);
    upscaler.run(input.view(), output.writable());
    return output;
}

// Eight threads at once get the samples of a single one.
inline void check_eight_threads(const realesrgan::Upscaler& upscaler, const Picture& input) {
    const Picture expected = run(upscaler, input);
    std::vector<Picture> results(8, Picture(1, 1));
    std::vector<std::thread> threads;
    for (Picture& result : results) {
        threads.emplace_back([&] { result = run(upscaler, input); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const Picture& result : results) {
        CHECK(result.samples == expected.samples);
    }
}

}  // namespace tiny
