#pragma once

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

// The same with a checksum at the end: for what must not be used damaged.
Bytes read_sealed_file(const std::string& path);
void write_sealed_file(const std::string& path, Bytes bytes);

}  // namespace realesrgan::vulkan
