#include "vulkan/device/pipeline.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/emulated_limits.hpp"
#include "vulkan/instance/instance.hpp"

namespace realesrgan::vulkan {

std::string PipelineSpec::key() const {
    std::string text = shader + "\n" + variant.defines;
    const int head[] = {
        static_cast<int>(storage),      local.x, local.y, local.z, variant.subgroup_size,
        int{variant.cooperative_matrix}};
    text.append(reinterpret_cast<const char*>(head), sizeof(head));
    text.append(reinterpret_cast<const char*>(constants.values().data()),
                constants.values().size() * sizeof(constants.values()[0]));
    return text;
}

Pipeline::Pipeline(const ncnn::VulkanDevice& device, PipelineSpec spec)
    : device_(&device), spec_(std::move(spec)) {
    ncnn::Pipeline rounding(device_);
    const std::uint64_t emulated = spec_.variant.subgroup_size > 0 ? 0 : emulated_limits().subgroup;
    rounding.set_subgroup_size(emulated > 0 ? static_cast<std::uint32_t>(emulated)
                                            : subgroup_size());
    rounding.set_local_size_xyz(spec_.local.x, spec_.local.y, spec_.local.z);
    local_ = {static_cast<int>(rounding.local_size_x()), static_cast<int>(rounding.local_size_y()),
              static_cast<int>(rounding.local_size_z())};
}

std::uint32_t Pipeline::subgroup_size() const {
    const ncnn::GpuInfo& info = device_->info;
    if (spec_.variant.subgroup_size <= 0) return info.subgroup_size();
    return std::clamp(static_cast<std::uint32_t>(spec_.variant.subgroup_size),
                      info.min_subgroup_size(), info.max_subgroup_size());
}

void Pipeline::compile(const SpirvCode& code, VkPipelineCache cache) {
    if (compiled_) return;
    const std::lock_guard<std::mutex> lock(making_);
    if (compiled_) return;
    try {
        build(code, cache);
    } catch (...) {
        release();
        throw;
    }
    compiled_ = true;
}

void Pipeline::build(const SpirvCode& code, VkPipelineCache cache) {
    const std::size_t bytes = code.size() * sizeof(code[0]);
    const auto& constants = spec_.constants.values();
    // The handle is undefined after a failed call.
    const auto check = [&](int status, auto* handle) {
        if (status == 0) return;
        *handle = 0;
        throw ShaderError(std::string("Vulkan device ") + device_->info.device_name() +
                          " cannot build the shader " + spec_.shader +
                          "; update its driver or use another device");
    };
    ncnn::ShaderInfo shader;
    check(ncnn::resolve_shader_info(code.data(), bytes, shader), &module_);
    if (static_cast<int>(constants.size()) != shader.specialization_count) {
        throw std::logic_error("the shader " + spec_.shader + " has " +
                               std::to_string(shader.specialization_count) + " constants, not " +
                               std::to_string(constants.size()));
    }
    const auto size = [](int value) { return static_cast<std::uint32_t>(value); };
    module_ = device_->compile_shader_module(code.data(), bytes, size(local_.x), size(local_.y),
                                             size(local_.z));
    check(module_ != 0 ? 0 : -1, &module_);
    check(device_->create_descriptorset_layout(shader.binding_count, shader.binding_types,
                                               &bindings_),
          &bindings_);
    check(device_->create_pipeline_layout(shader.push_constant_count, bindings_, &layout_),
          &layout_);
    check(device_->create_pipeline(module_, layout_, constants, subgroup_size(), cache, &pipeline_),
          &pipeline_);
    check(device_->create_descriptor_update_template(shader.binding_count, shader.binding_types,
                                                     bindings_, layout_, &descriptors_),
          &descriptors_);
}

void Pipeline::release() noexcept {
    // The module is made first; and after the process' exit began there is no device.
    if (!module_ || gpu_of_parent()) return;
    const VkDevice device = device_->vkdevice();
    if (descriptors_) device_->vkDestroyDescriptorUpdateTemplateKHR(device, descriptors_, nullptr);
    if (pipeline_) ncnn::vkDestroyPipeline(device, pipeline_, nullptr);
    if (layout_) ncnn::vkDestroyPipelineLayout(device, layout_, nullptr);
    if (bindings_) ncnn::vkDestroyDescriptorSetLayout(device, bindings_, nullptr);
    ncnn::vkDestroyShaderModule(device, module_, nullptr);
    descriptors_ = 0;
    pipeline_ = 0;
    layout_ = 0;
    bindings_ = 0;
    module_ = 0;
    compiled_ = false;
}

}  // namespace realesrgan::vulkan
