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

// Cached results for one device with one driver, below the folder that $REALESRGAN_VK_CACHE names,
// or the user's cache folder. A missing, damaged or foreign file is ignored; if the folder cannot
// be written, the next process repeats the work. Drivers do not validate cache data and may crash
// on it, so a file that other users could have written is not read.
using Bytes = std::vector<unsigned char>;

// Empty if the environment does not name the user's folders.
std::filesystem::path cache_folder();

// The path of this kind of file for the device and driver; empty if there is no cache folder.
std::string cache_file_path(const ncnn::GpuInfo& info, const std::string& kind);

// FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/
std::uint64_t checksum(const unsigned char* data, std::size_t size);
std::string hexadecimal(std::uint64_t value);

Bytes read_cache_file(const std::string& path);                      // empty when there is none
void write_cache_file(const std::string& path, const Bytes& bytes);  // whole, by rename
void remove_cache_file(const std::string& path);

// The same for data that is passed to a driver, with a message authentication code over name and
// content. The key is in the file `key` beside it (mode 0600, created with the first file). A file
// with a wrong code counts as missing.
Bytes read_sealed_file(const std::string& path);
void write_sealed_file(const std::string& path, Bytes bytes);

// SipHash-2-4: https://www.aumasson.jp/siphash/siphash.pdf
using SealKey = std::array<std::uint64_t, 2>;
std::uint64_t seal_code(const SealKey& key, const unsigned char* data, std::size_t size);

// Messages about files and folders that were not read because other users could have written them;
// each is returned once.
std::vector<std::string> take_cache_notices();

}  // namespace realesrgan::vulkan
