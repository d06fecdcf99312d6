#pragma once

#include <gpu.h>

#include <string>

namespace realesrgan::vulkan {

// Compiled pipelines on disk, one file for each device and driver, below the folder that
// $REALESRGAN_VK_CACHE names, or the user's cache folder. A missing, damaged or foreign file is
// ignored; a folder that cannot be written costs the next process a compilation and nothing else.
std::string pipeline_file_path(const ncnn::VulkanDevice& device);
void load_pipeline_cache(const ncnn::VulkanDevice& device);
void save_pipeline_cache(const ncnn::VulkanDevice& device);

}  // namespace realesrgan::vulkan
