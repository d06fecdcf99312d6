#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace ncnn {
class GpuInfo;
}

namespace realesrgan::vulkan {

// Files that hold what was found out about one device with one driver, below the folder that
// $REALESRGAN_VK_CACHE names, or the user's cache folder. A missing, damaged or foreign file is
// ignored; a folder that cannot be written costs the next process the same work, and nothing else.
// Drivers trust what they are given, and may end the process for it. So where other users could
// have written the file or its folder, it is not read.
using Bytes = std::vector<unsigned char>;

// Empty where nothing says where the user's files are.
std::filesystem::path cache_folder();

// Where `kind` of file is for this device and driver; empty where there is no cache folder.
std::string cache_file_path(const ncnn::GpuInfo& info, const std::string& kind);

// FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/
std::uint64_t checksum(const unsigned char* data, std::size_t size);
std::string hexadecimal(std::uint64_t value);

Bytes read_cache_file(const std::string& path);                      // empty when there is none
void write_cache_file(const std::string& path, const Bytes& bytes);  // whole, by rename
void remove_cache_file(const std::string& path);

// The same for what is handed to a driver: sealed with a code over name and content that only this
// user can make, with the key in the file `key` beside it (mode 0600, made with the first file).
// One that was changed, or sealed elsewhere, counts as missing.
Bytes read_sealed_file(const std::string& path);
void write_sealed_file(const std::string& path, Bytes bytes);

// SipHash-2-4: https://www.aumasson.jp/siphash/siphash.pdf
using SealKey = std::array<std::uint64_t, 2>;
std::uint64_t seal_code(const SealKey& key, const unsigned char* data, std::size_t size);

// On files and folders that were not read because others could have written them; told once each.
std::vector<std::string> take_cache_notices();

}  // namespace realesrgan::vulkan
