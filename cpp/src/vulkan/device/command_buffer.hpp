#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vulkan/device/buffer.hpp"
#include "vulkan/device/context.hpp"
#include "vulkan/device/pipeline.hpp"
#include "vulkan/device/semaphore.hpp"
#include "vulkan/device/timestamps.hpp"

namespace realesrgan::vulkan {

// What was recorded, for comparison with the plan.
struct Recorded {
    int dispatches = 0;
    int barriers = 0;
    int copies = 0;
    std::uint64_t ring_bytes = 0;  // of rings, read or written; each byte once a dispatch or copy
};

// When the device ran a dispatch or copy, in seconds of its clock.
struct TimedDispatch {
    std::string kernel;  // the shader, or "copy"
    double begin = 0.0;
    double end = 0.0;
};

struct Binding {
    const Buffer* buffer = nullptr;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;  // 0: to the end
    bool written = false;
};

// What a submission waits for, and what it signals at its end; null: nothing.
struct SubmitOrder {
    const Semaphore* after = nullptr;
    const Semaphore* before = nullptr;
};

struct Groups {
    int x = 1, y = 1, z = 1;
};

// The most items of one dispatch along an axis of at most `groups` workgroups with `each` items:
// whole workgroups, and few enough that positions past the end fit into an int.
inline int most_items(int most_groups, int each) {
    constexpr std::int64_t kMost = std::int64_t{1} << 30;
    return static_cast<int>(
        std::min<std::int64_t>(most_groups, std::max<std::int64_t>(1, kMost / each)) * each);
}

// One command buffer, recorded again for every row band: recording takes 0.5 to 1 microseconds a
// dispatch, overlaps with the previous band, and lets push constants hold the rows of the band.
// Plain Vulkan rather than ncnn's VkCompute, which puts a barrier between any two dispatches, waits
// after every submission, and cannot have two in flight.
class CommandBuffer final : public GpuOwned {
  public:
    // Of a transfer queue it can only copy.
    explicit CommandBuffer(std::shared_ptr<Context> context, QueueKind kind = QueueKind::compute);
    ~CommandBuffer();
    void release() noexcept override;

    void begin();
    void dispatch(const Pipeline& pipeline, const std::vector<Binding>& bindings,
                  const void* constants, std::size_t constant_bytes, Groups groups,
                  std::uint64_t ring_bytes = 0);
    // `ring_bytes`: bytes of ring buffers among those read and written.
    void copy(const Buffer& from, const Buffer& to, const std::vector<VkBufferCopy>& regions,
              std::uint64_t ring_bytes = 0);
    void fill_zero(const Buffer& buffer, std::uint64_t bytes = VK_WHOLE_SIZE);

    // Ends the recording and submits it; its results are visible to the host after `wait`.
    void submit(const QueueLease& queue, const SubmitOrder& order = {});
    // Can be interrupted (interruption.hpp); still in flight after it has thrown.
    void wait();
    bool in_flight() const { return in_flight_; }
    const Recorded& recorded() const { return recorded_; }

    // Whether the device writes the time before and after every dispatch and copy, from the next
    // recording on. Throws DeviceError if it has no timestamps; those of a transfer queue that has
    // none are not timed.
    void time_dispatches(bool timed);
    bool is_timed() const { return timestamps_ != nullptr; }
    // To be recorded before each submission of `copies`, if it is timed: a transfer queue cannot
    // reset its queries.
    void reset_times(const CommandBuffer& copies);
    // Those recorded so far, in order, and their times once they have ended; none if not timed.
    std::size_t timed() const { return kernels_.size(); }
    std::vector<TimedDispatch> times(DeviceClock& clock) const;

  private:
    void make();
    void memory_barrier(VkPipelineStageFlags to, VkAccessFlags access);
    void order(const std::vector<Binding>& bindings);
    void barrier();
    VkResult wait_a_while() const;
    bool is_over() const noexcept;
    void bind(const Pipeline& pipeline, const std::vector<Binding>& bindings);
    void write_time();
    void end_timed(const std::string& kernel);

    std::shared_ptr<Context> context_;
    QueueKind kind_;
    VkCommandPool pool_ = 0;
    VkCommandBuffer commands_ = nullptr;
    VkFence fence_ = 0;
    bool in_flight_ = false;
    Recorded recorded_;
    std::vector<const Buffer*> read_;         // since the last barrier
    std::vector<const Buffer*> written_;      // since the last barrier
    std::unique_ptr<Timestamps> timestamps_;  // null: not timed
    std::vector<std::string> kernels_;        // of the dispatches and copies that are timed
};

}  // namespace realesrgan::vulkan
