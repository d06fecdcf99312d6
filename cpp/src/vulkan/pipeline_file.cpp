#include "pipeline_file.hpp"

#include <pipelinecache.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

namespace realesrgan::vulkan {

namespace fs = std::filesystem;

namespace {

using Bytes = std::vector<unsigned char>;

// FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/
std::uint64_t checksum(const unsigned char* data, std::size_t size) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (std::size_t i = 0; i < size; i++) hash = (hash ^ data[i]) * 0x100000001b3U;
    return hash;
}

fs::path variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? fs::path() : fs::path(value);
}

fs::path cache_folder() {
    if (const fs::path given = variable("REALESRGAN_VK_CACHE"); !given.empty()) return given;
#ifdef _WIN32
    const fs::path base = variable("LOCALAPPDATA");
#else
    fs::path base = variable("XDG_CACHE_HOME");
    if (base.empty() && !variable("HOME").empty()) base = variable("HOME") / ".cache";
#endif
    return base.empty() ? fs::path() : base / "realesrgan-vk";
}

std::string hexadecimal(std::uint64_t value) {
    std::string digits(16, '0');
    for (int i = 15; i >= 0; i--, value >>= 4)
        digits[static_cast<std::size_t>(i)] = "0123456789abcdef"[value & 15];
    return digits;
}

}  // namespace

std::string pipeline_file_path(const ncnn::VulkanDevice& device) {
    const fs::path folder = cache_folder();
    if (folder.empty()) return "";
    const ncnn::GpuInfo& info = device.info;
    Bytes identity(info.pipeline_cache_uuid(), info.pipeline_cache_uuid() + VK_UUID_SIZE);
    for (const std::uint32_t part : {info.vendor_id(), info.device_id(), info.driver_version()}) {
        for (int shift = 0; shift < 32; shift += 8)
            identity.push_back(static_cast<unsigned char>(part >> shift));
    }
    for (const char* c = info.device_name(); *c != 0; c++)
        identity.push_back(static_cast<unsigned char>(*c));
    const std::string name = "pipelines-" + hexadecimal(checksum(identity.data(), identity.size()));
    return (folder / name).string();
}

void load_pipeline_cache(const ncnn::VulkanDevice& device) {
    const std::string path = pipeline_file_path(device);
    std::ifstream file(path, std::ios::binary);
    if (path.empty() || !file) return;
    const Bytes bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    std::uint64_t stored = 0;
    if (bytes.size() <= sizeof(stored)) return;
    const std::size_t size = bytes.size() - sizeof(stored);
    std::memcpy(&stored, bytes.data() + size, sizeof(stored));
    // Checked here because a driver given damaged data may crash, and ncnn complains on stderr.
    if (stored == checksum(bytes.data(), size))
        device.get_pipeline_cache()->load_cache(bytes.data(), size);
}

void save_pipeline_cache(const ncnn::VulkanDevice& device) {
    const fs::path path = pipeline_file_path(device);
    Bytes bytes;
    if (path.empty() || device.get_pipeline_cache()->save_cache(bytes) != 0) return;
    const std::uint64_t sum = checksum(bytes.data(), bytes.size());
    const auto* tail = reinterpret_cast<const unsigned char*>(&sum);
    bytes.insert(bytes.end(), tail, tail + sizeof(sum));

    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    fs::path partial = path;
    partial += "." + hexadecimal(std::random_device{}()) + ".partial";
    {
        std::ofstream file(partial, std::ios::binary);
        file.write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
        file.flush();
        if (!file) error = std::make_error_code(std::errc::io_error);
    }
    if (!error) fs::rename(partial, path, error);
    if (error) fs::remove(partial, error);
}

}  // namespace realesrgan::vulkan
