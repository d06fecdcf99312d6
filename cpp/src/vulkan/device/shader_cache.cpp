#include "vulkan/device/shader_cache.hpp"

#include <utility>

#include "vulkan/cache/cache_file.hpp"
#include "vulkan/cache/shader_sources.hpp"

namespace realesrgan::vulkan {

namespace {

// ncnn's precision flags are on by default and each defines macros, so all are set explicitly.
ncnn::Option shader_options(const ncnn::VulkanDevice& device, const PipelineSpec& spec) {
    ncnn::Option options;
    options.vulkan_device_index = device.info.device_index();
    options.use_fp16_packed = spec.storage == Storage::fp16;
    options.use_fp16_storage = options.use_fp16_arithmetic = options.use_fp16_uniform = false;
    options.use_bf16_packed = options.use_bf16_storage = false;
    options.use_int8_packed = options.use_int8_storage = false;
    options.use_int8_arithmetic = options.use_int8_uniform = false;
    options.use_cooperative_matrix = spec.variant.cooperative_matrix;
    return options;
}

// A shader's source with the files that it is composed of.
std::string source_of(const PipelineSpec& spec) {
    const std::string& shader = spec.shader;
    const auto begins = [&](const char* with) { return shader.rfind(with, 0) == 0; };
    std::string text = "#version 450\n" + spec.variant.defines;
    const bool alone = begins("roofline");
    if (!alone) text += shader_source("ring");
    if (begins("load")) text += shader_source("load");
    if (spec.variant.samples) text += shader_source("samples");
    if (spec.variant.cooperative_matrix) text += shader_source("matrices");
    const bool operation = !alone && !begins("load") && !begins("store") && shader != "dense_pair";
    if (operation) text += shader_source("operation");
    const bool weighted = begins("convolution") || begins("depthwise") || begins("layer_norm");
    if (weighted) text += shader_source("convolution");
    text += shader_source(shader);
    return text;
}

// Covers all compiler input that differs between shaders. If another of the options above changes,
// so must the format version of the file (spirv_file.cpp).
std::uint64_t key_of(const std::string& text, const PipelineSpec& spec) {
    const std::string whole = std::to_string(static_cast<int>(spec.storage)) +
                              (spec.variant.cooperative_matrix ? " matrices\n" : "\n") + text;
    return checksum(reinterpret_cast<const unsigned char*>(whole.data()), whole.size());
}

}  // namespace

ShaderCache::ShaderCache(const ncnn::VulkanDevice& device)
    : device_(&device), codes_(read_spirv_file(device)) {}

const SpirvCode& ShaderCache::get(const PipelineSpec& spec) {
    const std::string text = source_of(spec);
    const std::uint64_t key = key_of(text, spec);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto known = codes_.find(key); known != codes_.end()) return known->second;
    SpirvCode code;
    // The overload with a length: the one for a C string drops the last character.
    const int status = ncnn::compile_spirv_module(text.c_str(), static_cast<int>(text.size()),
                                                  shader_options(*device_, spec), code);
    if (status != 0) throw ShaderError("the shader " + spec.shader + " does not compile");
    saved_ = false;
    return codes_.emplace(key, std::move(code)).first->second;
}

void ShaderCache::save() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!saved_) write_spirv_file(*device_, codes_);
    saved_ = true;
}

}  // namespace realesrgan::vulkan
