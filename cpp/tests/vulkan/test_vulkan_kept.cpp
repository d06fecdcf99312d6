// Sessions are kept from run to run: of the same plan only, for as long as there is room, and never
// after a run that failed.

#include <limits>
#include <memory>
#include <stdexcept>

#include "base/fault_injection.hpp"
#include "realesrgan/errors.hpp"
#include "realesrgan/upscaler.hpp"
#include "support/check.hpp"
#include "support/random_network.hpp"
#include "support/sample_picture.hpp"
#include "support/temporary_folder.hpp"
#include "support/vulkan_runs.hpp"
#include "vulkan/device/context.hpp"
#include "vulkan/session_pool.hpp"

using namespace realesrgan;
using sample_picture::noise;
using sample_picture::Picture;
using vulkan_runs::on_gpu;
using vulkan_runs::run;

namespace {

// Whether a run takes memory of the device.
bool allocates(const Upscaler& upscaler, const Picture<float>& picture) {
    Fault& fault = faults().allocation;
    fault.arm(std::numeric_limits<int>::max());
    const int before = fault.remaining();
    run<float>(upscaler, picture);
    const bool some = fault.remaining() != before;
    fault.disarm();
    return some;
}

std::uint64_t kept_bytes() {
    return vulkan::Context::open(0)->shared<vulkan::SessionPool>().bytes();
}

}  // namespace

TEST_CASE("a second run of the same plan allocates nothing and gives the same bits") {
    const TemporaryFolder folder;
    const auto files = random_network(3).save(folder.file("net"));
    const Upscaler upscaler(files.first, files.second, on_gpu());
    const auto picture = noise<float>(19, 23, 1), other = noise<float>(23, 19, 2);
    CHECK(allocates(upscaler, picture));
    const auto right = run<float>(upscaler, picture);
    CHECK(!allocates(upscaler, picture));
    CHECK(run<float>(upscaler, picture).samples == right.samples);
    CHECK(allocates(upscaler, other));
    const std::uint64_t one = kept_bytes();
    CHECK(one > 0);
    CHECK(allocates(upscaler, picture));  // one plan's memory at a time
    CHECK_NEAR(static_cast<double>(kept_bytes()), static_cast<double>(one),
               0.3 * static_cast<double>(one));
    CHECK(run<float>(upscaler, picture).samples == right.samples);
}

TEST_CASE("values that are not numbers do not stay in a pooled session") {
    const TemporaryFolder folder;
    const auto files = random_network(3).save(folder.file("net"));
    const Upscaler upscaler(files.first, files.second, on_gpu());
    const auto picture = noise<float>(19, 23, 1);
    const auto right = run<float>(upscaler, picture);
    auto bad = picture;
    bad.samples[30] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS(ImageError, std::vector<std::string>{"not numbers"}, run<float>(upscaler, bad));
    CHECK(run<float>(upscaler, picture).samples == right.samples);
}

TEST_CASE("a stopped run keeps no session, and a destroyed network releases its own") {
    const Options options = on_gpu();
    const TemporaryFolder folder;
    const auto files = random_network(3).save(folder.file("net"));
    const auto picture = noise<float>(19, 23, 1);
    const std::uint64_t before = kept_bytes();
    auto upscaler = std::make_unique<Upscaler>(files.first, files.second, options);
    const auto stop = [](double) { throw std::runtime_error("stopped"); };
    CHECK_THROWS(std::runtime_error, std::vector<std::string>{"stopped"},
                 run<float>(*upscaler, picture, stop));
    CHECK_EQUAL(kept_bytes(), before);
    run<float>(*upscaler, picture);
    CHECK(kept_bytes() > before);
    upscaler.reset();
    CHECK_EQUAL(kept_bytes(), before);
}

TEST_CASE("pooled sessions make room for a run that needs it") {
    const TemporaryFolder folder;
    const auto files = random_network(3).save(folder.file("net"));
    const Upscaler upscaler(files.first, files.second, on_gpu());
    run<float>(upscaler, noise<float>(19, 23, 1));
    const auto context = vulkan::Context::open(0);
    CHECK(context->shared<vulkan::SessionPool>().bytes() > 0);
    context->shared<vulkan::SessionPool>().make_room(*context, 1);
    CHECK(context->shared<vulkan::SessionPool>().bytes() > 0);
    context->shared<vulkan::SessionPool>().make_room(*context,
                                                     std::numeric_limits<std::uint64_t>::max());
    CHECK_EQUAL(context->shared<vulkan::SessionPool>().bytes(), std::uint64_t{0});
    CHECK(allocates(upscaler, noise<float>(19, 23, 1)));
}

int main() {
    // Tests do not use the user's cache.
    const TemporaryFolder cache;
    cache.keep_caches();
    return check::run_all();
}
