#pragma once

#include <gpu.h>

#include <string>

namespace realesrgan::vulkan {

// Compiled pipelines on disk, one cache file for each device and driver.
std::string pipeline_file_path(const ncnn::VulkanDevice& device);
void load_pipeline_cache(const ncnn::VulkanDevice& device);
void save_pipeline_cache(const ncnn::VulkanDevice& device);

}  // namespace realesrgan::vulkan
