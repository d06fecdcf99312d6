#pragma once

#include <gpu.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace realesrgan::vulkan {

using SpirvCode = std::vector<std::uint32_t>;

// SPIR-V by the checksum of its source and options.
using SpirvByKey = std::map<std::uint64_t, SpirvCode>;

// Compiled shaders on disk, one cache file for each device and driver: starting the GLSL compiler
// takes a new process a tenth of a second. Those of another version of this library or of ncnn are
// ignored.
std::string spirv_file_path(const ncnn::VulkanDevice& device);
SpirvByKey read_spirv_file(const ncnn::VulkanDevice& device);
void write_spirv_file(const ncnn::VulkanDevice& device, const SpirvByKey& codes);

}  // namespace realesrgan::vulkan
