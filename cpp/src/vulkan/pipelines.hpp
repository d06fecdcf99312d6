#pragma once

#include <pipeline.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "context.hpp"
#include "realesrgan/errors.hpp"
#include "spirv_file.hpp"

namespace realesrgan::vulkan {

// A shader that does not compile, or that the driver cannot build.
class ShaderError : public DeviceError {
  public:
    using DeviceError::DeviceError;
};

// How activations and weights lie in memory. fp16 is packed in pairs of 32 bits, which every device
// can do and which costs nothing against native 16-bit storage; sums are fp32 either way.
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

struct LocalSize {
    int x = 64, y = 1, z = 1;
};

// What one shader source is made of beyond its constants.
struct ShaderVariant {
    std::string defines;    // lines before the source
    int subgroup_size = 0;  // 0: the device's own choice
    bool cooperative_matrix = false;
};

// The pipelines of one device, made on first use and shared by every layer of the same shape and by
// every Upscaler. Thread-safe.
class Pipelines {
  public:
    explicit Pipelines(const Context& context);

    // `shader` is the name of a file in shaders/ without its extension. Throws DeviceError.
    const ncnn::Pipeline& get(std::string_view shader, Storage storage, const Constants& constants,
                              LocalSize local, const ShaderVariant& variant = {});

    // Writes the device's caches to disk as far as anything was made since they were read.
    void save();

  private:
    const std::vector<std::uint32_t>& spirv(std::string_view shader, Storage storage,
                                            const ShaderVariant& variant);

    const Context* context_;
    std::mutex mutex_;
    SpirvByKey spirv_;
    std::map<std::string, std::unique_ptr<ncnn::Pipeline>> pipelines_;
    bool pipelines_saved_ = true;
    bool spirv_saved_ = true;
};

}  // namespace realesrgan::vulkan
