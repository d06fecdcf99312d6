#include "cache_file.hpp"

#include <gpu.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>

namespace realesrgan::vulkan {

namespace fs = std::filesystem;

namespace {

constexpr std::uintmax_t kLargest = std::uintmax_t{256} << 20;  // above it the file is not ours

fs::path variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? fs::path() : fs::path(value);
}

}  // namespace

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

std::uint64_t checksum(const unsigned char* data, std::size_t size) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (std::size_t i = 0; i < size; i++) hash = (hash ^ data[i]) * 0x100000001b3U;
    return hash;
}

std::string hexadecimal(std::uint64_t value) {
    std::string digits(16, '0');
    for (int i = 15; i >= 0; i--, value >>= 4)
        digits[static_cast<std::size_t>(i)] = "0123456789abcdef"[value & 15];
    return digits;
}

std::string cache_file_path(const ncnn::GpuInfo& info, const std::string& kind) {
    const fs::path folder = cache_folder();
    if (folder.empty()) return "";
    Bytes identity(info.pipeline_cache_uuid(), info.pipeline_cache_uuid() + VK_UUID_SIZE);
    for (const std::uint32_t part : {info.vendor_id(), info.device_id(), info.driver_version()}) {
        for (int shift = 0; shift < 32; shift += 8)
            identity.push_back(static_cast<unsigned char>(part >> shift));
    }
    for (const char* c = info.device_name(); *c != 0; c++)
        identity.push_back(static_cast<unsigned char>(*c));
    const std::string name = kind + "-" + hexadecimal(checksum(identity.data(), identity.size()));
    return (folder / name).string();
}

Bytes read_cache_file(const std::string& path) {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(path, error);  // of a regular file only
    std::ifstream file(path, std::ios::binary);
    if (error || !file || size > kLargest) return {};
    Bytes bytes(static_cast<std::size_t>(size));
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(file.gcount()));
    return bytes;
}

void write_cache_file(const std::string& path, const Bytes& bytes) {
    if (path.empty()) return;
    std::error_code error;
    fs::create_directories(fs::path(path).parent_path(), error);
    const fs::path partial = path + "." + hexadecimal(std::random_device{}()) + ".partial";
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

void remove_cache_file(const std::string& path) {
    std::error_code error;
    if (!path.empty()) fs::remove(path, error);
}

Bytes read_sealed_file(const std::string& path) {
    Bytes bytes = read_cache_file(path);
    std::uint64_t stored = 0;
    if (bytes.size() < sizeof(stored)) return {};
    const std::size_t size = bytes.size() - sizeof(stored);
    std::memcpy(&stored, bytes.data() + size, sizeof(stored));
    if (stored != checksum(bytes.data(), size)) return {};
    bytes.resize(size);
    return bytes;
}

void write_sealed_file(const std::string& path, Bytes bytes) {
    const std::uint64_t sum = checksum(bytes.data(), bytes.size());
    const auto* tail = reinterpret_cast<const unsigned char*>(&sum);
    bytes.insert(bytes.end(), tail, tail + sizeof(sum));
    write_cache_file(path, bytes);
}

}  // namespace realesrgan::vulkan
