#include "pipelines.hpp"

#include <option.h>

#include <cstring>
#include <utility>

#include "cache_file.hpp"
#include "pipeline_file.hpp"
#include "shader_sources.hpp"

namespace realesrgan::vulkan {

namespace {

// ncnn's precision flags are on by default and each changes a macro, so every one is said.
ncnn::Option shader_options(const Context& context, Storage storage, const ShaderVariant& variant) {
    ncnn::Option options;
    options.vulkan_device_index = context.index();
    options.use_fp16_packed = storage == Storage::fp16;
    options.use_fp16_storage = options.use_fp16_arithmetic = options.use_fp16_uniform = false;
    options.use_bf16_packed = options.use_bf16_storage = false;
    options.use_int8_packed = options.use_int8_storage = false;
    options.use_int8_arithmetic = options.use_int8_uniform = false;
    options.use_cooperative_matrix = variant.cooperative_matrix;
    return options;
}

// Pieces a shader is made of besides its own file.
std::string source_of(std::string_view shader, const ShaderVariant& variant) {
    std::string text = "#version 450\n" + variant.defines;
    const auto begins = [&](std::string_view with) {
        return shader.substr(0, with.size()) == with;
    };
    const bool alone = begins("roofline");
    if (!alone) text += shader_source("ring");
    if (!alone && shader != "gather" && shader != "compose") text += shader_source("operation");
    if (begins("convolution")) text += shader_source("convolution");
    text += shader_source(shader);
    return text;
}

// Of all that the compiler is given and that differs between shaders: when another of the options
// above changes, so must the file's format (spirv_file.cpp).
std::uint64_t spirv_key(const std::string& text, Storage storage, const ShaderVariant& variant) {
    const std::string whole = std::to_string(static_cast<int>(storage)) +
                              (variant.cooperative_matrix ? " matrices\n" : "\n") + text;
    return checksum(reinterpret_cast<const unsigned char*>(whole.data()), whole.size());
}

std::string pipeline_key(std::string_view shader, Storage storage, const Constants& constants,
                         LocalSize local, const ShaderVariant& variant) {
    std::string key = std::string(shader) + "\n" + variant.defines;
    const int head[] = {static_cast<int>(storage), local.x, local.y, local.z,
                        variant.subgroup_size};
    key.append(reinterpret_cast<const char*>(head), sizeof(head));
    key.append(reinterpret_cast<const char*>(constants.values().data()),
               constants.values().size() * sizeof(constants.values()[0]));
    return key;
}

}  // namespace

Pipelines::Pipelines(const Context& context)
    : context_(&context), spirv_(read_spirv_file(context.ncnn_device())) {
    load_pipeline_cache(context_->ncnn_device());
}

const std::vector<std::uint32_t>& Pipelines::spirv(std::string_view shader, Storage storage,
                                                   const ShaderVariant& variant) {
    const std::string text = source_of(shader, variant);
    const std::uint64_t key = spirv_key(text, storage, variant);
    if (const auto known = spirv_.find(key); known != spirv_.end()) return known->second;
    std::vector<std::uint32_t> code;
    // The overload with a length: the one for a C string drops the last character.
    const int status =
        ncnn::compile_spirv_module(text.c_str(), static_cast<int>(text.size()),
                                   shader_options(*context_, storage, variant), code);
    if (status != 0) throw ShaderError("the shader " + std::string(shader) + " does not compile");
    spirv_saved_ = false;
    return spirv_.emplace(key, std::move(code)).first->second;
}

const ncnn::Pipeline& Pipelines::get(std::string_view shader, Storage storage,
                                     const Constants& constants, LocalSize local,
                                     const ShaderVariant& variant) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::unique_ptr<ncnn::Pipeline>& pipeline =
        pipelines_[pipeline_key(shader, storage, constants, local, variant)];
    if (pipeline) return *pipeline;
    const std::vector<std::uint32_t>& code = spirv(shader, storage, variant);
    auto made = std::make_unique<ncnn::Pipeline>(&context_->ncnn_device());
    // First, because ncnn rounds the local size up to whole subgroups.
    if (variant.subgroup_size > 0) {
        made->set_subgroup_size(static_cast<std::uint32_t>(variant.subgroup_size));
    }
    made->set_local_size_xyz(local.x, local.y, local.z);
    if (made->create(code.data(), code.size() * sizeof(code[0]), constants.values()) != 0) {
        throw ShaderError("Vulkan device " + context_->name() + " cannot build the shader " +
                          std::string(shader) + "; update its driver or use another device");
    }
    pipeline = std::move(made);
    pipelines_saved_ = false;
    return *pipeline;
}

void Pipelines::save() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!pipelines_saved_) save_pipeline_cache(context_->ncnn_device());
    if (!spirv_saved_) write_spirv_file(context_->ncnn_device(), spirv_);
    pipelines_saved_ = spirv_saved_ = true;
}

}  // namespace realesrgan::vulkan
