#include "vulkan/device/pipeline_registry.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/interruption.hpp"

namespace realesrgan::vulkan {

PipelineRegistry::PipelineRegistry(const ncnn::VulkanDevice& device)
    : device_(&device), shaders_(device), file_(device) {
    register_object();
}

PipelineRegistry::~PipelineRegistry() {
    unregister_object();
}

void PipelineRegistry::release() noexcept {
    for (const auto& [key, pipeline] : pipelines_) pipeline->release();
    file_.release();
}

Pipeline& PipelineRegistry::get_or_create(PipelineSpec spec) {
    const std::string key = spec.key();
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto known = pipelines_.find(key);
    if (known != pipelines_.end()) return *known->second;
    auto pipeline = std::make_unique<Pipeline>(*device_, std::move(spec));
    return *pipelines_.emplace(key, std::move(pipeline)).first->second;
}

void PipelineRegistry::compile(const std::vector<Pipeline*>& wanted, int threads) {
    std::vector<Pipeline*> missing;
    for (Pipeline* pipeline : wanted) {
        const bool known = std::find(missing.begin(), missing.end(), pipeline) != missing.end();
        if (!pipeline->compiled() && !known) missing.push_back(pipeline);
    }
    std::exception_ptr failure;
    for_each_in_parallel(missing.size(), threads, [&](std::size_t i) {
        check_interruption();  // on the calling thread; the others end with their pipeline
        try {
            missing[i]->compile(shaders_.get(missing[i]->spec()), file_.handle());
            const std::lock_guard<std::mutex> lock(mutex_);
            saved_ = false;
        } catch (const ShaderError&) {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (!failure) failure = std::current_exception();
        }
    });
    if (failure) std::rethrow_exception(failure);
}

const Pipeline& PipelineRegistry::get_compiled(PipelineSpec spec) {
    Pipeline& pipeline = get_or_create(std::move(spec));
    compile({&pipeline}, 1);
    return pipeline;
}

void PipelineRegistry::save() {
    shaders_.save();
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!saved_) file_.save();
    saved_ = true;
}

std::size_t PipelineRegistry::compiled() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return static_cast<std::size_t>(
        std::count_if(pipelines_.begin(), pipelines_.end(),
                      [](const auto& one) { return one.second->compiled(); }));
}

}  // namespace realesrgan::vulkan
