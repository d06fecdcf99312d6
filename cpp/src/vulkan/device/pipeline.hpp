#pragma once

#include <gpu.h>
#include <pipeline.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "realesrgan/errors.hpp"
#include "vulkan/cache/spirv_file.hpp"

namespace realesrgan::vulkan {

// A shader that does not compile, or that the driver cannot build.
class ShaderError : public DeviceError {
  public:
    using DeviceError::DeviceError;
};

// The type of stored activations and weights. fp16 values are packed in pairs into 32 bits, which
// every device supports and which is as fast as native 16-bit storage; sums are fp32 either way.
enum class Storage { fp32, fp16 };

inline int bytes_per_value(Storage storage) {
    return storage == Storage::fp16 ? 2 : 4;
}

// Specialization constants in the order of their ids.
class Constants {
  public:
    Constants& operator<<(int value) {
        values_.emplace_back().i = value;
        return *this;
    }
    Constants& operator<<(float value) {
        values_.emplace_back().f = value;
        return *this;
    }
    const std::vector<ncnn::vk_specialization_type>& values() const { return values_; }

  private:
    std::vector<ncnn::vk_specialization_type> values_;
};

// Of a workgroup of most shaders.
inline constexpr int kInvocations = 64;

struct LocalSize {
    int x = kInvocations, y = 1, z = 1;
};

// Compile-time variant of a shader, besides its specialization constants.
struct ShaderVariant {
    std::string defines;    // lines before the source
    int subgroup_size = 0;  // 0: the device's own choice
    bool cooperative_matrix = false;
    bool samples = false;  // writes the result's: with samples.glsl
};

struct PipelineSpec {
    std::string shader;  // the name of a file in shaders/ without its extension
    Storage storage = Storage::fp32;
    Constants constants;
    LocalSize local;
    ShaderVariant variant;

    // Unique for each specification.
    std::string key() const;
};

// A compute pipeline. The workgroup size is known from the start, the handles exist once it is
// compiled. Plain Vulkan rather than ncnn's Pipeline, which allows a device to compile only one at
// a time.
class Pipeline {
  public:
    Pipeline(const ncnn::VulkanDevice& device, PipelineSpec spec);
    Pipeline(const Pipeline&) = delete;
    Pipeline& operator=(const Pipeline&) = delete;
    ~Pipeline() { release(); }

    const PipelineSpec& spec() const { return spec_; }
    // Rounded up to whole subgroups.
    const LocalSize& local_size() const { return local_; }

    // Does nothing if it is compiled already. Throws ShaderError if the driver fails, and is then
    // unchanged. Thread-safe.
    void compile(const SpirvCode& code, VkPipelineCache cache);
    bool compiled() const { return compiled_; }
    void release() noexcept;

    VkPipeline handle() const { return pipeline_; }
    VkPipelineLayout layout() const { return layout_; }
    VkDescriptorUpdateTemplateKHR descriptors() const { return descriptors_; }

  private:
    void build(const SpirvCode& code, VkPipelineCache cache);
    std::uint32_t subgroup_size() const;

    const ncnn::VulkanDevice* device_;
    PipelineSpec spec_;
    LocalSize local_;
    std::mutex making_;
    std::atomic<bool> compiled_{false};
    VkShaderModule module_ = 0;
    VkDescriptorSetLayout bindings_ = 0;
    VkPipelineLayout layout_ = 0;
    VkPipeline pipeline_ = 0;
    VkDescriptorUpdateTemplateKHR descriptors_ = 0;
};

}  // namespace realesrgan::vulkan
