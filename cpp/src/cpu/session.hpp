#pragma once

#include <memory>
#include <vector>

#include "base/integers.hpp"
#include "cpu/buffer.hpp"
#include "cpu/convolution.hpp"
#include "cpu/line_buffer.hpp"
#include "cpu/pointwise.hpp"
#include "stream/backend.hpp"

namespace realesrgan::cpu {

// Shared by all sessions of a network.
struct Kernels {
    // By Op::convolution, one of the two:
    std::vector<std::unique_ptr<FusedConvolution>> convolutions;
    std::vector<NormNumbers> norms;
    int threads = 1;
};

// One run on the CPU: a step is finished when run() returns.
class CpuSession final : public Session {
  public:
    CpuSession(const Kernels& kernels, std::shared_ptr<const ExecutionPlan> plan);

    MutableImageView input_rows(int count) override;
    void run(const Step& step) override;
    ImageView output_rows() override;
    void time_steps() override { timed_ = true; }
    StepTimes step_times() const override { return times_; }
    std::uint64_t not_finite() const override { return not_finite_; }
    std::uint64_t allocated_bytes() const override { return meter_.most(); }
    std::uint64_t dispatches() const override { return dispatches_; }

  private:
    void make_buffers();
    void make_halo_rows(int tensor);
    RowLayout layout_of(int tensor) const;
    RowBand band_of(const Op& op, const Command& command) const;
    void run_command(const Command& command, const Step& step);
    void run_op(const Command& command);
    void expect_inputs(const Op& op, const RowRange& rows) const;
    void copy_halo_rows(const Command& command);
    void move_rows(const HaloCopy& rows, bool save);
    void store(const Command& command, const Step& step);

    const LineBuffer& buffer(const ChannelSlice& slice) const {
        return buffers_[idx(slice.tensor)];
    }
    LineBuffer& buffer(const ChannelSlice& slice) { return buffers_[idx(slice.tensor)]; }

    Meter meter_;  // before everything that counts in it
    const Kernels& kernels_;
    std::shared_ptr<const ExecutionPlan> plan_;
    const Program& program_;
    const SessionFormat& format_;
    std::vector<HostBuffer> memory_;  // of own rings and shared buffers
    std::vector<LineBuffer> buffers_;
    std::vector<std::vector<HostBuffer>> halo_rows_;  // by ring and HaloSlice
    HostBuffer scratch_;
    HostBuffer input_;
    HostBuffer output_;
    int output_rows_ = 0;
    std::uint64_t not_finite_ = 0;
    std::uint64_t dispatches_ = 0;
    bool timed_ = false;
    StepTimes times_;
};

}  // namespace realesrgan::cpu
