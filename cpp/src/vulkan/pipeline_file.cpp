#include "pipeline_file.hpp"

#include <pipelinecache.h>

#include <utility>

#include "cache_file.hpp"

namespace realesrgan::vulkan {

std::string pipeline_file_path(const ncnn::VulkanDevice& device) {
    return cache_file_path(device.info, "pipelines");
}

void load_pipeline_cache(const ncnn::VulkanDevice& device) {
    // Sealed, because a driver given damaged data may crash, and ncnn complains on stderr.
    const Bytes bytes = read_sealed_file(pipeline_file_path(device));
    if (!bytes.empty()) device.get_pipeline_cache()->load_cache(bytes.data(), bytes.size());
}

void save_pipeline_cache(const ncnn::VulkanDevice& device) {
    const std::string path = pipeline_file_path(device);
    Bytes bytes;
    if (path.empty() || device.get_pipeline_cache()->save_cache(bytes) != 0) return;
    write_sealed_file(path, std::move(bytes));
}

}  // namespace realesrgan::vulkan
