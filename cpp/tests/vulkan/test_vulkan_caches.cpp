// What is kept on disk for a device: compiled shaders and pipelines.

#if !defined(_WIN32)
#include <unistd.h>
#endif

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "realesrgan/upscaler.hpp"
#include "support/check.hpp"
#include "support/random_network.hpp"
#include "support/sample_picture.hpp"
#include "support/temporary_folder.hpp"
#include "support/vulkan_runs.hpp"
#include "vulkan/cache/cache_file.hpp"
#include "vulkan/cache/spirv_file.hpp"
#include "vulkan/device/context.hpp"
#include "vulkan/device/pipeline_registry.hpp"

using namespace realesrgan;
using realesrgan::vulkan::Bytes;
using realesrgan::vulkan::Context;
using realesrgan::vulkan::is_pipeline_cache_of;
using realesrgan::vulkan::Pipeline;
using realesrgan::vulkan::PipelineFile;
using realesrgan::vulkan::PipelineSpec;
using realesrgan::vulkan::Storage;
using sample_picture::noise;
using vulkan_runs::Files;
using vulkan_runs::on_gpu;
using vulkan_runs::open;
using vulkan_runs::run;

namespace {

// With a device of its own, because pipelines are shared by all networks on one.
template <typename Picture>
std::vector<float> run_in_new_device(const Files& files, const Picture& picture) {
    retire_gpu_device(gpu_device(0));
    return run<float>(open(files, on_gpu()), picture).samples;
}

std::size_t pipelines_made() {
    const GpuActivityGuard use;
    return Context::open(0)->pipelines().compiled();
}

}  // namespace

TEST_CASE("after prepare a run makes no pipeline, and its bytes are those planned") {
    const TemporaryFolder folder;
    const Files files = random_network(11).save(folder.file("net"));
    const auto picture = noise<std::uint8_t>(13, 9, 2);
    for (const bool tta : {false, true}) {
        Options options = on_gpu();
        options.tta = tta;
        retire_gpu_device(gpu_device(0));
        const Upscaler upscaler = open(files, options);
        const auto taken = static_cast<double>(upscaler.prepare(13, 9));
        const auto promised = static_cast<double>(upscaler.plan(13, 9).memory_bytes.back().second);
        CHECK_NEAR(taken, promised, 0.2 * promised);
        const std::size_t made = pipelines_made();
        CHECK(made > 0);
        run<std::uint8_t>(upscaler, picture);
        CHECK_EQUAL(pipelines_made(), made);
    }
    const Upscaler other = open(files, on_gpu());
    CHECK_THROWS(std::invalid_argument, std::vector<std::string>{"0x9"}, other.prepare(0, 9));
}

// What software drivers give is a header at most, so that no test here shows a cache at work.
TEST_CASE("compiled pipelines are kept on disk, and a damaged file is replaced") {
    const TemporaryFolder folder;
    on_gpu();
    const Files files = random_network(7).save(folder.file("net"));
    const std::string path = PipelineFile::path(gpu_device(0));
    const auto picture = noise<float>(5, 4, 2);
    const auto right = run_in_new_device(files, picture);
    const Bytes whole = realesrgan::vulkan::read_sealed_file(path);
    if (whole.empty()) throw check::Skip("this driver's pipeline caches have no header");
    CHECK(is_pipeline_cache_of(gpu_device(0).info, whole));
    const auto written = std::filesystem::last_write_time(path);
    CHECK(run_in_new_device(files, picture) == right);
    CHECK(std::filesystem::last_write_time(path) == written);  // nothing new

    const auto check_replaced = [&] {
        CHECK(run_in_new_device(files, picture) == right);
        CHECK(realesrgan::vulkan::read_sealed_file(path) == whole);
    };
    for (const char* damaged :
         {"", "short", "this is long enough to be looked at, but it is not a pipeline cache"}) {
        std::ofstream(path, std::ios::binary) << damaged;
        check_replaced();
    }
    // With a right checksum: only a piece, and of another device.
    realesrgan::vulkan::write_sealed_file(path, Bytes(whole.begin(), whole.end() - 1));
    check_replaced();
    Bytes foreign = whole;
    foreign[8] ^= 1U;
    realesrgan::vulkan::write_sealed_file(path, foreign);
    check_replaced();
}

TEST_CASE("only a device's own pipeline caches are passed to its driver") {
    const ncnn::GpuInfo& info = (on_gpu(), gpu_device(0).info);
    const std::array<std::uint32_t, 4> words = {32, 1, info.vendor_id(), info.device_id()};
    Bytes header(32);
    std::memcpy(header.data(), words.data(), sizeof(words));
    std::memcpy(header.data() + sizeof(words), info.pipeline_cache_uuid(), VK_UUID_SIZE);
    CHECK(is_pipeline_cache_of(info, header));
    CHECK(!is_pipeline_cache_of(info, Bytes(header.begin(), header.end() - 1)));
    for (std::size_t at = 0; at < header.size(); at++) {
        Bytes other = header;
        other[at] ^= at == 0 ? 0x30U : 0x80U;  // the length becomes 16, and far too long
        CHECK(!is_pipeline_cache_of(info, other));
    }
    header.resize(40);
    CHECK(is_pipeline_cache_of(info, header));
}

TEST_CASE("pipelines stay when the last network goes") {
    const TemporaryFolder folder;
    on_gpu();
    const Files files = random_network(7).save(folder.file("net"));
    const auto picture = noise<float>(5, 4, 2);
    const auto right = run_in_new_device(files, picture);
    const std::size_t made = pipelines_made();
    CHECK(made > 0);
    CHECK(run<float>(open(files, on_gpu()), picture).samples == right);
    CHECK_EQUAL(pipelines_made(), made);
}

TEST_CASE("of many pipelines at once, one that cannot be made does not keep the others") {
    const GpuActivityGuard use;
    const auto context = Context::open((on_gpu(), 0));
    std::vector<Pipeline*> wanted;
    for (const int threads : {32, 64, 96, 128}) {
        for (const char* defines : {"", "#error\n"}) {
            PipelineSpec spec{"roofline_fma", Storage::fp32, {}, {threads}, {}};
            spec.variant.defines = defines;
            wanted.push_back(&context->pipelines().get_or_create(spec));
            CHECK(&context->pipelines().get_or_create(spec) == wanted.back());
        }
    }
    const std::vector<std::string> said = {"roofline_fma", "does not compile"};
    CHECK_THROWS(DeviceError, said, context->pipelines().compile(wanted, 3));
    for (std::size_t i = 0; i < wanted.size(); i++) CHECK_EQUAL(wanted[i]->compiled(), i % 2 == 0);
}

TEST_CASE("foreign files are not read") {
    const TemporaryFolder folder;
    CHECK(realesrgan::vulkan::read_cache_file("").empty());
    CHECK(realesrgan::vulkan::read_cache_file(folder.path.u8string()).empty());
    const std::string huge = folder.file("huge");
    std::ofstream(huge) << "x";
    std::filesystem::resize_file(huge, std::uintmax_t{1} << 30);  // sparse
    CHECK(realesrgan::vulkan::read_cache_file(huge).empty());
}

TEST_CASE("files may lie in a folder of any name, and one takes another's place whole") {
    const TemporaryFolder folder;
    const std::string path = folder.file(
        "gr\xc3\xb6\xc3\x9f"
        "er \xe7\x94\xbb/made here/file");
    for (const Bytes& content : {Bytes{1, 2, 3}, Bytes{4, 0, 13, 10, 26}}) {
        realesrgan::vulkan::write_sealed_file(path, content);
        CHECK(realesrgan::vulkan::read_sealed_file(path) == content);
    }
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path))
        files += entry.is_regular_file() ? 1 : 0;
    CHECK_EQUAL(files, std::size_t{2});  // the file and its key: nothing that was unfinished
    realesrgan::vulkan::remove_cache_file(path);
    CHECK(realesrgan::vulkan::read_cache_file(path).empty());
}

TEST_CASE("compiled shaders are kept on disk, used from there, and a damaged file is ignored") {
    const TemporaryFolder folder;
    on_gpu();
    const Files files = random_network(7).save(folder.file("net"));
    const std::string path = realesrgan::vulkan::spirv_file_path(gpu_device(0));
    const auto picture = noise<float>(5, 4, 2);
    const auto in_new_device = [&] { return run_in_new_device(files, picture); };
    std::filesystem::remove(path);
    const auto right = in_new_device();
    const auto stored = realesrgan::vulkan::read_spirv_file(gpu_device(0));
    CHECK(!stored.empty());
    const auto written = std::filesystem::last_write_time(path);
    CHECK(in_new_device() == right);
    CHECK(std::filesystem::last_write_time(path) == written);  // nothing was compiled

    const auto check_ignored = [&] {
        CHECK(realesrgan::vulkan::read_spirv_file(gpu_device(0)).empty());
        CHECK(in_new_device() == right);
        CHECK(realesrgan::vulkan::read_spirv_file(gpu_device(0)) == stored);
    };
    const auto flipped = [](Bytes bytes, std::size_t at) {
        bytes[at] ^= 1U;
        return bytes;
    };
    const Bytes whole = realesrgan::vulkan::read_cache_file(path);
    for (const Bytes& damaged :
         {Bytes{'s', 'h', 'o', 'r', 't'}, flipped(whole, whole.size() / 2)}) {
        realesrgan::vulkan::write_cache_file(path, damaged);
        check_ignored();
    }
    // With a right checksum: of another version, and with more words than bytes.
    const Bytes bytes = realesrgan::vulkan::read_sealed_file(path);
    const auto line = std::find(bytes.begin(), bytes.end(), '\n') - bytes.begin();
    const std::size_t high_word = static_cast<std::size_t>(line) + 2 * sizeof(std::uint64_t);
    for (const std::size_t at : {std::size_t{0}, high_word}) {
        realesrgan::vulkan::write_sealed_file(path, flipped(bytes, at));
        check_ignored();
    }
}

TEST_CASE("sealed files have the published code of SipHash-2-4") {
    Bytes bytes;  // key and message as in the paper's appendix
    for (unsigned char i = 0; i < 15; i++) bytes.push_back(i);
    const realesrgan::vulkan::SealKey key = {0x0706050403020100U, 0x0f0e0d0c0b0a0908U};
    CHECK_EQUAL(realesrgan::vulkan::seal_code(key, bytes.data(), bytes.size()),
                0xa129ca6149be45e5U);
}

TEST_CASE("shaders that were changed and sealed without the key do not reach the driver") {
    const TemporaryFolder folder;
    on_gpu();
    const Files files = random_network(7).save(folder.file("net"));
    const std::string path = realesrgan::vulkan::spirv_file_path(gpu_device(0));
    const auto picture = noise<float>(5, 4, 2);
    const auto right = run_in_new_device(files, picture);
    const auto stored = realesrgan::vulkan::read_spirv_file(gpu_device(0));
    CHECK(!stored.empty());
    Bytes changed = realesrgan::vulkan::read_sealed_file(path);
    for (std::size_t at = 200; at < changed.size(); at += 97) changed[at] ^= 0xffU;
    Bytes resealed = changed;  // with a checksum, as anyone can
    const std::uint64_t sum = realesrgan::vulkan::checksum(changed.data(), changed.size());
    const auto* tail = reinterpret_cast<const unsigned char*>(&sum);
    resealed.insert(resealed.end(), tail, tail + sizeof(sum));
    // Sealed by another user, in another folder.
    const TemporaryFolder other;
    const std::string name = std::filesystem::path(path).filename().string();
    realesrgan::vulkan::write_sealed_file(other.file(name), changed);
    CHECK(realesrgan::vulkan::read_sealed_file(other.file(name)) == changed);
    const Bytes foreign = realesrgan::vulkan::read_cache_file(other.file(name));
    for (const Bytes& bytes : {resealed, foreign}) {
        realesrgan::vulkan::write_cache_file(path, bytes);
        CHECK(realesrgan::vulkan::read_spirv_file(gpu_device(0)).empty());
        CHECK(run_in_new_device(files, picture) == right);
        CHECK(realesrgan::vulkan::read_spirv_file(gpu_device(0)) == stored);
    }
    // A file of another name, though with this key.
    realesrgan::vulkan::write_sealed_file(path + "-of-another-device", changed);
    std::filesystem::rename(path + "-of-another-device", path);
    CHECK(realesrgan::vulkan::read_sealed_file(path).empty());
}

#if !defined(_WIN32)
TEST_CASE("files that others can write are not read, which is reported once") {
    namespace fs = std::filesystem;
    const TemporaryFolder folder;
    const std::string path = folder.file("sub/sealed"), key = folder.file("sub/key");
    const Bytes content = {1, 2, 3};
    const auto read = [&] { return realesrgan::vulkan::read_sealed_file(path); };
    const auto notices = [] { return realesrgan::vulkan::take_cache_notices(); };
    notices();
    realesrgan::vulkan::write_sealed_file(path, content);
    CHECK(read() == content);
    const auto mode = [](const std::string& file) {
        return static_cast<int>(fs::status(file).permissions());
    };
    CHECK_EQUAL(mode(folder.file("sub")), 0700);
    CHECK_EQUAL(mode(path), 0600);
    CHECK_EQUAL(mode(key), 0600);
    CHECK(notices().empty());
    for (const std::string& open : {path, folder.file("sub"), key}) {
        const fs::perms before = fs::status(open).permissions();
        for (const fs::perms more : {fs::perms::group_write, fs::perms::others_write}) {
            fs::permissions(open, before | more);
            CHECK(read().empty());
            CHECK(read().empty());
            fs::permissions(open, before);
            CHECK(read() == content);
        }
        const auto told = notices();
        CHECK_EQUAL(told.size(), std::size_t{1});
        CHECK(told[0].find(open) != std::string::npos);
    }
    fs::permissions(key, fs::perms::group_read, fs::perm_options::add);
    CHECK(read().empty());
    realesrgan::vulkan::write_sealed_file(path, content);  // with a new key
    CHECK(read() == content);
    CHECK_EQUAL(mode(key), 0600);
    if (geteuid() != 0) return;
    for (const std::string& foreign : {path, folder.file("sub")}) {
        CHECK_EQUAL(chown(foreign.c_str(), 12345, 12345), 0);
        CHECK(read().empty());
        CHECK_EQUAL(chown(foreign.c_str(), 0, 0), 0);
        CHECK(read() == content);
    }
}
#endif

int main() {
    // Tests do not use the user's cache.
    const TemporaryFolder cache;
    cache.keep_caches();
    return check::run_all();
}
