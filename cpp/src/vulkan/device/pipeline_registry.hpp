#pragma once

#include <gpu.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "vulkan/cache/pipeline_file.hpp"
#include "vulkan/device/pipeline.hpp"
#include "vulkan/device/shader_cache.hpp"
#include "vulkan/instance/instance.hpp"

namespace realesrgan::vulkan {

// The pipelines of one device, shared by every layer of the same shape and by every Upscaler, and
// kept until the process exits. Thread-safe.
class PipelineRegistry final : public GpuOwned {
  public:
    explicit PipelineRegistry(const ncnn::VulkanDevice& device);
    ~PipelineRegistry();
    void release() noexcept override;

    // The pipeline of this specification, compiled or not.
    Pipeline& get_or_create(PipelineSpec spec);

    // Compiles those that are not compiled yet, on up to `threads` threads, because drivers compile
    // slowly. Tries all, then throws ShaderError if one failed; other exceptions are thrown at
    // once.
    void compile(const std::vector<Pipeline*>& wanted, int threads);

    // Both for one pipeline.
    const Pipeline& get_compiled(PipelineSpec spec);

    // Writes the device's caches to disk if they have changed.
    void save();

    // The number of compiled pipelines.
    std::size_t compiled() const;

  private:
    const ncnn::VulkanDevice* device_;
    ShaderCache shaders_;
    mutable std::mutex mutex_;  // guards what follows, the file's writing
    PipelineFile file_;
    bool saved_ = true;
    std::map<std::string, std::unique_ptr<Pipeline>> pipelines_;
};

}  // namespace realesrgan::vulkan
