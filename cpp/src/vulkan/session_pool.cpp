#include "vulkan/session_pool.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

namespace realesrgan::vulkan {

std::unique_ptr<VulkanSession> SessionPool::take(const DeviceNetwork& network,
                                                 const ExecutionPlan& plan) {
    Sessions others;  // destroyed after the lock is gone
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto found =
            std::find_if(sessions_.begin(), sessions_.end(),
                         [&](const auto& session) { return session->serves(network, plan); });
        if (found != sessions_.end()) {
            std::unique_ptr<VulkanSession> session = std::move(*found);
            sessions_.erase(found);
            return session;
        }
        others = remove(network);
    }
    return nullptr;
}

void SessionPool::keep(std::unique_ptr<VulkanSession> session) {
    const std::lock_guard<std::mutex> lock(mutex_);
    sessions_.push_back(std::move(session));
}

void SessionPool::drop(const DeviceNetwork& network) {
    Sessions gone;
    const std::lock_guard<std::mutex> lock(mutex_);
    gone = remove(network);
}

SessionPool::Sessions SessionPool::remove(const DeviceNetwork& network) {
    const auto first =
        std::stable_partition(sessions_.begin(), sessions_.end(),
                              [&](const auto& session) { return !session->serves(network); });
    Sessions removed(std::make_move_iterator(first), std::make_move_iterator(sessions_.end()));
    sessions_.erase(first, sessions_.end());
    return removed;
}

void SessionPool::make_room(const Context& context, std::uint64_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (!sessions_.empty() && context.free_bytes() < bytes) sessions_.erase(sessions_.begin());
}

std::uint64_t SessionPool::bytes() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::uint64_t total = 0;
    for (const auto& session : sessions_) total += session->allocated_bytes();
    return total;
}

SessionLease::SessionLease(std::shared_ptr<Context> context, std::unique_ptr<VulkanSession> session)
    : context_(std::move(context)),
      session_(std::move(session)),
      exceptions_(std::uncaught_exceptions()) {
    session_->begin_run();
}

SessionLease::~SessionLease() {
    if (std::uncaught_exceptions() != exceptions_ || !session_->idle()) return;
    try {
        context_->shared<SessionPool>().keep(std::move(session_));
    } catch (const std::exception&) {
        // The next run creates a new session.
    }
}

}  // namespace realesrgan::vulkan
