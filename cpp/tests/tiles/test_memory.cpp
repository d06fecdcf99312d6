#include <fstream>

#include "realesrgan/errors.hpp"
#include "realesrgan/upscaler.hpp"
#include "support/check.hpp"
#include "support/picture.hpp"
#include "support/tiny_network.hpp"

#if defined(__linux__)
#include <sys/resource.h>
#include <unistd.h>
#endif

using realesrgan::kTileWhole;
using realesrgan::Options;
using realesrgan::OutOfMemoryError;
using realesrgan::Upscaler;

namespace {

const tiny::Folder folder;

Upscaler load(const Options& options) {
    const tiny::Network network = tiny::compact();
    return {folder.file("network.param", network.param), folder.file("network.bin", network.bin),
            options};
}

Picture run(const Upscaler& upscaler, const Picture& input) {
    Picture output(input.width * 2, input.height * 2);
    upscaler.run(input.view(), output.writable());
    return output;
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
// During its lifetime the process can allocate only `more` bytes.
class MemoryCap {
  public:
    explicit MemoryCap(std::size_t more) {
        std::size_t pages = 0;
        std::ifstream("/proc/self/statm") >> pages;
        getrlimit(RLIMIT_AS, &before_);
        const rlimit cap{pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) + more,
                         before_.rlim_max};
        setrlimit(RLIMIT_AS, &cap);
    }
    ~MemoryCap() { setrlimit(RLIMIT_AS, &before_); }
    MemoryCap(const MemoryCap&) = delete;
    MemoryCap& operator=(const MemoryCap&) = delete;

  private:
    rlimit before_{};
};

// Takes what the process still has, in pieces too small for the sums of a band of rows.
void take_everything_free(std::vector<std::vector<char>>& blocks) {
    for (std::size_t size = 1U << 20; size >= 1U << 15;) {
        try {
            blocks.emplace_back(size);
        } catch (const std::bad_alloc&) {
            size /= 2;
        }
    }
}
#endif

}  // namespace

TEST_CASE("a memory limit gives tiles that fit, or says that none does") {
    const Picture input = Picture::random(300, 200);
    Options options;
    const Picture whole = run(load(options), input);
    options.memory_limit = 8U << 20;
    CHECK_BELOW(largest_difference(run(load(options), input), whole), 2e-6F);
    options.memory_limit = 1000;
    CHECK_THROWS(OutOfMemoryError, (std::vector<std::string>{"300x200", "needs at least", "limit"}),
                 run(load(options), input));
    options.tile = 100;
    CHECK_THROWS(OutOfMemoryError, (std::vector<std::string>{"smallest tile", "limit"}),
                 run(load(options), input));
    options.memory_limit = 8U << 20;
    options.tile = kTileWhole;
    CHECK_THROWS(OutOfMemoryError, (std::vector<std::string>{"whole picture", "auto"}),
                 run(load(options), input));
}

TEST_CASE("concurrent runs divide the free memory, and one without room takes the smallest plan") {
    for (const int tile : {realesrgan::kTileAuto, 32}) {
        Options options;
        options.tile = tile;
        const auto total = [&](int runs) {
            options.runs_at_once = runs;
            return load(options).plan(3000, 2000).memory_bytes.back().second;
        };
        const std::uint64_t alone = total(1);
        CHECK(total(1 << 20) <= alone);
        if (tile == realesrgan::kTileAuto) CHECK(total(1 << 20) < alone);
        CHECK_THROWS(std::invalid_argument, std::vector<std::string>{"runs_at_once 0"}, total(0));
    }
}

TEST_CASE("a failed allocation tries smaller tiles, then says so; the next run works") {
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
    const Picture input = Picture::random(1000, 1000);
    Options options;
    options.threads = 1;
    options.tile = 1000;
    const Upscaler upscaler = load(options);
    const Picture expected = run(upscaler, input);
    {
        Picture output(2000, 2000);
        // The whole picture at once needs about 400 MB, half of its side about 100.
        const MemoryCap cap(std::size_t{200} << 20);
        upscaler.run(input.view(), output.writable());
        CHECK_BELOW(largest_difference(output, expected), 2e-6F);
    }
    {
        Picture output(2000, 2000);
        std::vector<std::vector<char>> blocks;
        blocks.reserve(1U << 16);  // before nothing can be had
        const MemoryCap cap(0);
        take_everything_free(blocks);
        CHECK_THROWS(OutOfMemoryError, std::vector<std::string>{"no memory left"},
                     upscaler.run(input.view(), output.writable()));
    }
    CHECK(run(upscaler, input).samples == expected.samples);
#else
    throw check::Skip("the process' memory cannot be capped here");
#endif
}

int main() {
    return check::run_all();
}
