#pragma once

#include <gpu.h>

#include <cstdint>
#include <string>

#include "vulkan/cache/cache_file.hpp"

namespace realesrgan::vulkan {

// Whether the header is that of this device's and driver's pipeline caches.
bool is_pipeline_cache_of(const ncnn::GpuInfo& info, const Bytes& bytes);

// A driver's cache of compiled pipelines, kept on disk, one file for each device and driver.
class PipelineFile {
  public:
    // Reads the file; one that is damaged or another driver's counts as empty.
    explicit PipelineFile(const ncnn::VulkanDevice& device);
    PipelineFile(const PipelineFile&) = delete;
    PipelineFile& operator=(const PipelineFile&) = delete;
    ~PipelineFile() { release(); }

    static std::string path(const ncnn::VulkanDevice& device);

    // Null if the driver's caches are known to be corrupt, or it creates none: pipelines can be
    // created without.
    VkPipelineCache handle() const { return cache_; }
    // Writes the file if the content has changed. The caches of some drivers are always empty.
    void save();
    void release() noexcept;

  private:
    void make(const Bytes& bytes);

    const ncnn::VulkanDevice* device_;
    VkPipelineCache cache_ = 0;
    std::uint64_t stored_;  // checksum of what the file holds
};

}  // namespace realesrgan::vulkan
