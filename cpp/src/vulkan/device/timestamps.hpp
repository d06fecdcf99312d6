#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vulkan/device/context.hpp"

namespace realesrgan::vulkan {

// A device's clock over several recordings. It starts at the first timestamp that it is given, and
// goes on where the counter, which may have as few as 36 bits, begins anew.
class DeviceClock {
  public:
    // Ticks since the first call; those of later calls may be a little earlier than the one before.
    std::int64_t elapsed(std::uint64_t ticks, std::uint64_t mask);

  private:
    bool started_ = false;
    std::uint64_t last_ = 0;
    std::int64_t elapsed_ = 0;
};

// Times that the device writes between the commands of one command buffer.
class Timestamps final : public GpuOwned {
  public:
    // Throws DeviceError if the queues have no timestamps.
    Timestamps(std::shared_ptr<Context> context, QueueKind kind);
    ~Timestamps();
    void release() noexcept override;

    // Forgets the times of the recording before.
    void begin() { count_ = 0; }
    // Records what has to come before all times of a recording for a transfer queue, which cannot
    // do it: in commands for a compute queue, that end before those begin. They are one pool at
    // most.
    void reset_pool(VkCommandBuffer commands);
    // Records that the device writes the time at which all commands before this one have ended.
    void write(VkCommandBuffer commands);
    // The times written, in seconds on that clock. To be called when the commands have ended.
    std::vector<double> seconds(DeviceClock& clock) const;

  private:
    static constexpr std::uint32_t kPoolSize = 256;

    void add_pool();

    std::shared_ptr<Context> context_;
    QueueKind kind_;
    std::uint64_t mask_ = 0;  // the bits of a timestamp that count
    double tick_ = 0.0;       // seconds
    std::vector<VkQueryPool> pools_;
    std::uint32_t count_ = 0;  // of timestamps in this recording
};

}  // namespace realesrgan::vulkan
