#pragma once

#include <gpu.h>

#include <mutex>

#include "vulkan/device/pipeline.hpp"

namespace realesrgan::vulkan {

// The shaders of one device, compiled on first use or read from disk. Thread-safe.
class ShaderCache {
  public:
    explicit ShaderCache(const ncnn::VulkanDevice& device);

    // SPIR-V of a pipeline's shader. Throws ShaderError. The reference stays valid.
    const SpirvCode& get(const PipelineSpec& spec);
    // Writes the file if anything was compiled since it was read.
    void save();

  private:
    const ncnn::VulkanDevice* device_;
    std::mutex mutex_;  // guards what follows; held while a shader compiles
    SpirvByKey codes_;
    bool saved_ = true;
};

}  // namespace realesrgan::vulkan
