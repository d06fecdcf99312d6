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

// A session for one run, returned to the pool if the run succeeded.
class SessionLease final : public Session {
  public:
    SessionLease(std::shared_ptr<Context> context, std::unique_ptr<VulkanSession> session);
    SessionLease(const SessionLease&) = delete;
    SessionLease& operator=(const SessionLease&) = delete;
    ~SessionLease() override;

    VulkanSession& session() { return *session_; }
    MutableImageView input_rows(int count) override { return session_->input_rows(count); }
    void run(const Step& step) override { session_->run(step); }
    ImageView output_rows() override { return session_->output_rows(); }
    std::uint64_t not_finite() const override { return session_->not_finite(); }
    std::uint64_t allocated_bytes() const override { return session_->allocated_bytes(); }
    std::uint64_t dispatches() const override { return session_->dispatches(); }

  private:
    std::shared_ptr<Context> context_;
    std::unique_ptr<VulkanSession> session_;
    int exceptions_;  // in flight when the run began
};

}  // namespace realesrgan::vulkan
