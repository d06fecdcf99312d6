#pragma once

#include <memory>

#include "vulkan/device/context.hpp"

namespace realesrgan::vulkan {

// Has a submission wait for one of another queue. Each signal is waited for once.
class Semaphore final : public GpuOwned {
  public:
    explicit Semaphore(std::shared_ptr<Context> context);
    ~Semaphore();
    void release() noexcept override;

    VkSemaphore handle() const { return semaphore_; }

  private:
    std::shared_ptr<Context> context_;
    VkSemaphore semaphore_ = 0;
};

}  // namespace realesrgan::vulkan
