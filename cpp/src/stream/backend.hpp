#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "plan/plan.hpp"
#include "program/fuse.hpp"
#include "realesrgan/image.hpp"

namespace realesrgan {

// When a part of a command ran: a dispatch or copy of a device, or all of it on the CPU.
struct TimedCommand {
    std::size_t command = 0;  // index into Step::commands
    std::string kernel;
    double begin = 0.0;  // seconds of StepTimes' clock
    double end = 0.0;
};

// The copy of a step's result to the host by a queue of its own, beside the commands.
struct TimedCopy {
    std::uint64_t bytes = 0;
    std::optional<double> seconds;  // nothing: that queue has no timestamps
};

// The times of one step; `host_seconds()` unless said otherwise.
struct StepTimes {
    double submitted = 0.0;
    double wait_end = 0.0;    // of the host's wait for it
    bool host_clock = false;  // of the commands; otherwise a clock of the device
    std::vector<TimedCommand> commands;
    std::optional<TimedCopy> copy;
};

// One run of one plan: its buffers and the steps in flight. Used by one thread at a time.
//
//     for each step:  fill input_rows(step.input.count)   (not called for a step without input)
//                     run(step)                           (may return before the device has
//                     finished) once bands_in_flight steps are running: take output_rows() of the
//                     oldest
//     then output_rows() of the remaining ones
//
// Rows are packed: pixel after pixel, channels side by side. With planes it is input_planes() that
// is filled and output_planes() that is taken.
class Session {
  public:
    virtual ~Session() = default;

    // The buffer for the picture rows of the next step; valid until run().
    virtual MutableImageView input_rows(int count) = 0;
    virtual void run(const Step& step) = 0;
    // Waits for the oldest step whose rows were not taken, and returns its result rows, which may
    // be none. Valid until the next call of run() or output_rows().
    virtual ImageView output_rows() = 0;

    // The same of a session whose format has planes: memory for window_to_load() of the next step's
    // rows, and with window_to_store() of the oldest step's.
    virtual std::byte* input_planes() { throw std::logic_error("a session without planes"); }
    virtual const std::byte* output_planes() { throw std::logic_error("a session without planes"); }

    // Times every step from the next one on. Throws DeviceError if the device cannot.
    virtual void time_steps() = 0;
    // The times of the step whose rows were taken last.
    virtual StepTimes step_times() const = 0;

    virtual std::uint64_t not_finite()
        const = 0;  // result samples so far that were NaN or infinite
    virtual std::uint64_t allocated_bytes()
        const = 0;  // most that was allocated at once, weights left out
    virtual std::uint64_t dispatches() const = 0;  // recorded so far (commands run, on the CPU)
};

// One network's weights and kernels on one device. Sessions of several threads may run at once.
class Backend {
  public:
    virtual ~Backend() = default;

    virtual const StorageModel& storage() const = 0;
    // Bytes a run may use when the user gives no limit: rings, halo rows, scratch and staging, not
    // weights.
    virtual std::uint64_t default_budget() const = 0;
    // What the user should know of the device; each line is told once.
    virtual std::vector<std::string> notices() const { return {}; }
    // Throws OutOfMemoryError when an allocation fails (the caller then tries a smaller plan) and
    // DeviceError when the device is lost.
    virtual std::shared_ptr<Session> start(std::shared_ptr<const ExecutionPlan> plan) const = 0;
};

struct CpuBackendOptions {
    int threads = 1;
    std::uint64_t memory_limit =
        0;  // of a run, weights included; 0: none. A tight one keeps the weights packed
    std::string instruction_set;  // of the convolutions; empty: the best that the processor has
    int tile = 0;                 // of the convolutions, 4 or 6; 0: what suits the network
};

// cpu/cpu_backend.cpp, vulkan/vulkan_backend.cpp. The network must outlive the backend; its weights
// are read here and not kept, by so many `threads` for a Vulkan device.
std::unique_ptr<Backend> make_cpu_backend(const FusedNetwork& network,
                                          const CpuBackendOptions& options);
std::unique_ptr<Backend> make_vulkan_backend(const FusedNetwork& network, int device, bool fp16,
                                             int threads);

}  // namespace realesrgan
