#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "stream/backend.hpp"
#include "vulkan/device/command_buffer.hpp"
#include "vulkan/device/pipeline_registry.hpp"
#include "vulkan/device/semaphore.hpp"
#include "vulkan/operations/dense_pair.hpp"
#include "vulkan/operations/halo_rows.hpp"
#include "vulkan/operations/operation.hpp"
#include "vulkan/operations/planes.hpp"
#include "vulkan/operations/ring_buffer.hpp"
#include "vulkan/operations/weights.hpp"
#include "vulkan/tuning/kernel_set.hpp"

namespace realesrgan::vulkan {

inline constexpr int kBandsInFlight = 3;

// Shared by all sessions of one backend.
struct DeviceNetwork {
    std::shared_ptr<Context> context;
    std::unique_ptr<Weights> weights;
    std::vector<LayerWeights> layers;  // as Program::convolutions
    Storage storage = Storage::fp32;
    KernelSet kernels;
    int threads = 1;  // of the host, to make the pipelines with
};

// The rings of one run, and up to kBandsInFlight bands being uploaded, computed and downloaded at
// once.
class VulkanSession : public Session {
  public:
    VulkanSession(const DeviceNetwork& network, std::shared_ptr<const ExecutionPlan> plan);
    ~VulkanSession() override;

    MutableImageView input_rows(int count) override;
    void run(const Step& step) override;
    ImageView output_rows() override;
    std::byte* input_planes() override;
    const std::byte* output_planes() override;
    void time_steps() override { time_steps(true); }
    StepTimes step_times() const override { return times_; }
    std::uint64_t not_finite() const override { return not_finite_; }
    std::uint64_t allocated_bytes() const override { return allocated_; }
    std::uint64_t dispatches() const override { return dispatches_; }

    // Whether this session can make another run.
    bool serves(const DeviceNetwork& network) const { return network_ == &network; }
    bool serves(const DeviceNetwork& network, const ExecutionPlan& plan) const;
    bool idle() const { return running_.empty(); }
    void begin_run();

    // Records the commands of a step without submitting them and returns what they contain.
    Recorded count(const Step& step);

  private:
    // The way of a band's result by the transfer queue, while the compute queue goes on.
    struct ResultCopy {
        ResultCopy(const std::shared_ptr<Context>& context, std::unique_ptr<Buffer> memory)
            : result(std::move(memory)),
              computed(context),
              commands(context, QueueKind::transfer) {}
        std::unique_ptr<Buffer> result;
        Semaphore computed;
        CommandBuffer commands;
        std::uint64_t bytes = 0;  // of this band; 0: it has no result
    };

    // One band's staging memory and commands.
    struct Flight {
        explicit Flight(std::shared_ptr<Context> context) : commands(std::move(context)) {}
        // What kernels write the result to.
        const Buffer& result() const { return copy ? *copy->result : *download; }

        std::unique_ptr<Buffer> upload, download;
        std::unique_ptr<ResultCopy> copy;  // null: kernels write to `download`
        CommandBuffer commands;
        int output_rows = 0;
        double submitted = 0.0;            // host_seconds()
        std::vector<std::size_t> command;  // of the step, of each dispatch that is timed
    };

    void make_rings();
    RingBuffer ring_of(int index) const;
    void make_operations();
    void make_flights();
    std::unique_ptr<Buffer> allocate(BufferKind kind, std::uint64_t bytes);
    void make_ends();
    void time_steps(bool timed);
    void submit(Flight& flight);
    void submit_copy(Flight& flight);
    const Flight& take_oldest();
    std::optional<TimedCopy> time_of_copy(const Flight& flight);
    void record(Flight& flight, const Step& step);
    void prepare_copy(Flight& flight, RowRange rows);
    void record_run(Flight& flight, const Step& step, const Command& command);
    void record_input(Flight& flight, RowRange rows);
    void record_output(Flight& flight, RowRange rows);

    const DeviceNetwork* network_;
    std::shared_ptr<const ExecutionPlan> plan_;
    SessionFormat format_;
    std::vector<std::unique_ptr<Buffer>> buffers_;
    std::vector<RingBuffer> rings_;
    std::unique_ptr<HaloRows> halo_rows_;
    // By op; of a pair (ExecutionPlan::pairs) by its first one.
    std::map<int, Operation> operations_;
    std::map<int, DensePair> pairs_;
    Pipeline* load_input_ = nullptr;
    Pipeline* store_output_ = nullptr;  // null where the last op stores the result
    // Instead of these two, where the format has planes.
    std::optional<PlaneLoader> load_planes_;
    std::optional<PlaneWriter> store_planes_;
    // The device's copy of staged planes: samples of chroma are read several times.
    std::unique_ptr<Buffer> planes_;
    std::vector<std::unique_ptr<Flight>> flights_;
    std::size_t next_ = 0;             // flight that takes the next step
    std::deque<std::size_t> running_;  // flights submitted and not taken, oldest first
    VkQueue queue_ = nullptr;          // of the last submission
    std::uint64_t not_finite_ = 0;
    std::uint64_t allocated_ = 0;
    std::uint64_t dispatches_ = 0;
    bool timed_ = false;
    DeviceClock clock_;       // of the run
    DeviceClock copy_clock_;  // the same of transfer queues
    StepTimes times_;         // of the step taken last
};

}  // namespace realesrgan::vulkan
