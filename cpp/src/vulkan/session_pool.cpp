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

std::shared_ptr<Session> lease(std::shared_ptr<Context> context,
                               std::unique_ptr<VulkanSession> session) {
    session->begin_run();
    const auto give_back = [context = std::move(context),
                            exceptions = std::uncaught_exceptions()](VulkanSession* used) {
        std::unique_ptr<VulkanSession> owned(used);
        if (std::uncaught_exceptions() != exceptions || !owned->idle()) return;
        try {
            context->shared<SessionPool>().keep(std::move(owned));
        } catch (const std::exception&) {
            // The next run creates a new session.
        }
    };
    return std::shared_ptr<VulkanSession>(session.release(), give_back);
}

}  // namespace realesrgan::vulkan
