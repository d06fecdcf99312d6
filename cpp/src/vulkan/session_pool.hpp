#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "vulkan/session.hpp"

namespace realesrgan::vulkan {

// Sessions of finished runs, reused by the next run of the same network and plan: allocating their
// memory takes longer than the run of a small picture.
class SessionPool {
  public:
    // Null if there is no match; the other sessions of the network are then destroyed, to free
    // their memory.
    std::unique_ptr<VulkanSession> take(const DeviceNetwork& network, const ExecutionPlan& plan);
    void keep(std::unique_ptr<VulkanSession> session);
    // To be called before the network is destroyed.
    void drop(const DeviceNetwork& network);
    // Destroys the oldest sessions until the device has `bytes` free or the pool is empty.
    void make_room(const Context& context, std::uint64_t bytes);
    std::uint64_t bytes() const;

  private:
    using Sessions = std::vector<std::unique_ptr<VulkanSession>>;

    Sessions remove(const DeviceNetwork& network);

    mutable std::mutex mutex_;
    Sessions sessions_;  // oldest first
};

// The session for one run, returned to the context's pool after it if the run succeeded.
std::shared_ptr<Session> lease(std::shared_ptr<Context> context,
                               std::unique_ptr<VulkanSession> session);

}  // namespace realesrgan::vulkan
