#include "vulkan/device/timestamps.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "realesrgan/errors.hpp"

namespace realesrgan::vulkan {

std::int64_t DeviceClock::elapsed(std::uint64_t ticks, std::uint64_t mask) {
    const std::uint64_t forward = (ticks - last_) & mask;
    const std::uint64_t back = (last_ - ticks) & mask;
    if (std::exchange(started_, true)) {
        elapsed_ +=
            forward <= back ? static_cast<std::int64_t>(forward) : -static_cast<std::int64_t>(back);
    }
    last_ = ticks;
    return elapsed_;
}

Timestamps::Timestamps(std::shared_ptr<Context> context, QueueKind kind)
    : context_(std::move(context)), kind_(kind) {
    const std::uint32_t bits = context_->timestamp_bits(kind);
    if (bits == 0) {
        throw DeviceError("Vulkan device " + context_->name() +
                          " has no timestamps (timestampValidBits is 0), so what it does cannot be "
                          "timed; update its driver, or use another device");
    }
    mask_ = bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
    tick_ = static_cast<double>(context_->limits().timestampPeriod) * 1e-9;
    register_object();
}

Timestamps::~Timestamps() {
    unregister_object();
}

void Timestamps::release() noexcept {
    if (context_->abandoned()) return;
    for (VkQueryPool pool : pools_) ncnn::vkDestroyQueryPool(context_->handle(), pool, nullptr);
    pools_.clear();
}

void Timestamps::add_pool() {
    VkQueryPoolCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO;
    info.queryType = VK_QUERY_TYPE_TIMESTAMP;
    info.queryCount = kPoolSize;
    VkQueryPool pool = 0;
    context_->check(ncnn::vkCreateQueryPool(context_->handle(), &info, nullptr, &pool),
                    "making a query pool");
    pools_.push_back(pool);
}

void Timestamps::reset_pool(VkCommandBuffer commands) {
    if (pools_.empty()) add_pool();
    ncnn::vkCmdResetQueryPool(commands, pools_[0], 0, kPoolSize);
}

void Timestamps::write(VkCommandBuffer commands) {
    const std::uint32_t query = count_ % kPoolSize;
    const std::size_t index = count_ / kPoolSize;
    const bool resets = kind_ == QueueKind::compute;
    if (!resets && index > 0) throw std::logic_error("too many times of a transfer queue");
    if (index == pools_.size()) add_pool();
    if (query == 0 && resets) ncnn::vkCmdResetQueryPool(commands, pools_[index], 0, kPoolSize);
    ncnn::vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pools_[index], query);
    ++count_;
}

std::vector<double> Timestamps::seconds(DeviceClock& clock) const {
    std::vector<double> found;
    std::vector<std::uint64_t> ticks(kPoolSize);
    for (std::uint32_t done = 0; done < count_; done += kPoolSize) {
        const std::uint32_t count = std::min(kPoolSize, count_ - done);
        context_->check(ncnn::vkGetQueryPoolResults(
                            context_->handle(), pools_[done / kPoolSize], 0, count,
                            count * sizeof(std::uint64_t), ticks.data(), sizeof(std::uint64_t),
                            VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
                        "reading timestamps");
        for (std::uint32_t i = 0; i < count; i++) {
            found.push_back(static_cast<double>(clock.elapsed(ticks[i], mask_)) * tick_);
        }
    }
    return found;
}

}  // namespace realesrgan::vulkan
