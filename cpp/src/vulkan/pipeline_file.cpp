#include "pipeline_file.hpp"

#include <pipelinecache.h>

#include <cstdint>
#include <cstring>

#include "cache_file.hpp"

namespace realesrgan::vulkan {

std::string pipeline_file_path(const ncnn::VulkanDevice& device) {
    return cache_file_path(device.info, "pipelines");
}

void load_pipeline_cache(const ncnn::VulkanDevice& device) {
    const Bytes bytes = read_cache_file(pipeline_file_path(device));
    std::uint64_t stored = 0;
    if (bytes.size() <= sizeof(stored)) return;
    const std::size_t size = bytes.size() - sizeof(stored);
    std::memcpy(&stored, bytes.data() + size, sizeof(stored));
    // Checked here because a driver given damaged data may crash, and ncnn complains on stderr.
    if (stored == checksum(bytes.data(), size))
        device.get_pipeline_cache()->load_cache(bytes.data(), size);
}

void save_pipeline_cache(const ncnn::VulkanDevice& device) {
    const std::string path = pipeline_file_path(device);
    Bytes bytes;
    if (path.empty() || device.get_pipeline_cache()->save_cache(bytes) != 0) return;
    const std::uint64_t sum = checksum(bytes.data(), bytes.size());
    const auto* tail = reinterpret_cast<const unsigned char*>(&sum);
    bytes.insert(bytes.end(), tail, tail + sizeof(sum));
    write_cache_file(path, bytes);
}

}  // namespace realesrgan::vulkan
