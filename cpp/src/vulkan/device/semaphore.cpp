#include "vulkan/device/semaphore.hpp"

#include <utility>

#include "base/fault_injection.hpp"

namespace realesrgan::vulkan {

Semaphore::Semaphore(std::shared_ptr<Context> context) : context_(std::move(context)) {
    VkSemaphoreCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
    const VkResult result =
        faults().creation.due()
            ? VK_ERROR_OUT_OF_HOST_MEMORY
            : ncnn::vkCreateSemaphore(context_->handle(), &info, nullptr, &semaphore_);
    context_->check(result, "making a semaphore");
    register_object();
}

Semaphore::~Semaphore() {
    unregister_object();
}

void Semaphore::release() noexcept {
    if (context_->abandoned()) return;
    if (semaphore_) ncnn::vkDestroySemaphore(context_->handle(), semaphore_, nullptr);
    semaphore_ = 0;
}

}  // namespace realesrgan::vulkan
