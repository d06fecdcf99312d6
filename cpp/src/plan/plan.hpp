#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "base/integers.hpp"
#include "plan/plane_window.hpp"
#include "plan/ring_aliasing.hpp"
#include "program/program.hpp"
#include "realesrgan/image.hpp"

namespace realesrgan {

class Schedule;

inline constexpr Row kMostTensorSide = Row{1} << 30;

// How a backend stores tensors, as far as it determines bytes and row bands.
struct StorageModel {
    int bytes_per_value = 4;
    // Of the input tensor and of tensors that only additions and the output read: a rounding error
    // there passes through the whole network or goes straight into the result. 0: bytes_per_value.
    int full_precision_bytes_per_value = 0;
    int narrow_multiple = kChannelAlignment;  // to which fewer channels are rounded up
    int padding_columns = 0;                  // extra columns of a stored row
    bool border_rows = false;  // the zero rows above and below the picture are stored
    // The least number of tensors whose halo rows one command saves and loads; an alias group has
    // twice as many shared buffers.
    int tensors_per_turn = 1;
    std::uint64_t share_above = 0;  // bytes up to which the tensors of an alias group do not share
    int share_from_band = 1;        // lower bands would copy more than they compute
    // The most output channels of convolutions that are computed in pairs (convolution_pairs.hpp).
    // 0: none are.
    int pair_outputs = 0;
    int pair_from_band = 1;       // lower bands would compute too many rows of the first one again
    bool share_skips = false;     // tensors that only additions read share, too
    int band = 16;                // the largest useful band, in rows of the input tensor
    int band_step = 1;            // higher bands are best multiples of this
    int band_pixels = 0;          // narrow pictures take a higher one, up to so many pixels
    int tail_band = 0;            // band of the operations above scale 1; 0: the same
    int bands_in_flight = 1;      // staging buffers for input and output
    int staged_row_multiple = 1;  // of bytes, to which a packed row of the result is rounded up
    // The last operation writes the result's samples where it can (fused_store.hpp).
    bool fused_store = false;
    // The largest binding of a buffer, 0: no limit. Ring buffers that only additions read may be
    // larger: they are bound in parts.
    std::uint64_t max_binding_bytes = 0;
    // Least bytes of a row band's result that kernels write to memory of the device, from which it
    // is copied to the staging buffer. 0: they always write to the staging buffer.
    std::uint64_t copy_results_from = 0;
    bool planes = false;      // sessions take and give planes of YUV
    bool own_memory = false;  // the device has memory of its own; the host's sums do not count
    std::uint64_t weight_bytes = 0;
    // Bytes of temporary memory an op needs for `rows` output rows of a `width` pixel wide output.
    std::function<std::uint64_t(const Program&, const Op&, int width, int rows)> scratch;
};

// Rows of a slice of a tensor in a shared buffer that the next step still needs.
struct HaloSlice {
    int channel = 0;
    int channels = 0;
    int rows = 0;  // at most
};

// How a tensor is stored. Row y lives at slot y % rows (ring buffer) or y - base (sliding window);
// rows in use at one time are less than `rows` apart.
struct RingStorage {
    int rows = 0;            // border rows included where the backend stores them
    int shared_buffer = -1;  // index into ExecutionPlan::shared_buffers, or -1: a buffer of its own
    std::vector<HaloSlice> halo;  // of a tensor in a shared buffer
    bool skip_only = false;       // never the input of a convolution, shuffle or resize
};

// A buffer that several tensors of an alias group use in turn.
struct SharedBuffer {
    int channels = 0;
    int scale = 1;
    int rows = 0;
    bool full_precision = false;
};

enum class CommandKind {
    input,   // picture rows are loaded into tensor 0
    run,     // op `index` computes rows of its output
    output,  // rows of Program::output are stored; none where the last op does so (Command::store)
    halo,    // halo rows are saved, buffers acquired, halo rows loaded
};

// Rows of RingStorage::halo[slice] of a tensor, to save or to load.
struct HaloCopy {
    int tensor = 0;
    int slice = 0;
    RowRange rows;  // never border rows
};

// A tensor that takes over its shared buffer.
struct AcquiredBuffer {
    int tensor = 0;
    Row first_live_row = 0;
};

struct Command {
    CommandKind kind = CommandKind::run;
    int index = -1;     // run: the op
    bool pair = false;  // run: the op after it computes the same rows in the same dispatch
    // run: the op writes samples of Step::output instead of its output tensor
    bool store = false;
    RowRange rows;  // input: of tensor 0; run: of the op's output; output: of the output tensor
    // The lowest row still needed, border rows (-1) included where they are stored, of the tensor
    // written (input, run) and of the duplicate output (run).
    Row first_live_row = 0;
    Row duplicate_first_live_row = 0;
    // halo: all saves come before all loads.
    std::vector<HaloCopy> saves;
    std::vector<HaloCopy> loads;
    std::vector<AcquiredBuffer> acquired;  // halo
};

// The commands for one row band. Commands of no rows are left out.
struct Step {
    RowRange input;   // rows of the picture (unshuffle times the rows of tensor 0)
    RowRange output;  // rows of the result
    std::vector<Command> commands;
};

struct MemoryBytes {
    std::uint64_t weights = 0;
    std::uint64_t rings = 0;
    std::uint64_t shared_buffers = 0;
    std::uint64_t halo_rows = 0;
    std::uint64_t scratch = 0;
    std::uint64_t staging = 0;          // and the device's copies of it
    std::uint64_t largest_staging = 0;  // of one band's input or output; part of `staging`
    std::uint64_t total() const {
        return weights + rings + shared_buffers + halo_rows + scratch + staging;
    }
};

// How the picture arrives and leaves. Input f32 samples are 0..1 and kept as they are; output is
// clamped to 0..1 and, for integers, scaled and rounded half up; `clamp = false` (f32 only) gives
// the network's own values, for sums over orientations or column tiles. With planes (both or
// neither) the types are not used: samples are converted to values and, clamped, back, as YuvSource
// and YuvSink do.
struct SessionFormat {
    SampleType input = SampleType::u8;
    SampleType output = SampleType::u8;
    bool clamp = true;
    std::optional<PlaneShape> input_planes = std::nullopt;   // of the picture without padding
    std::optional<PlaneShape> output_planes = std::nullopt;  // of its result

    bool operator==(const SessionFormat& other) const {
        return std::tie(input, output, clamp, input_planes, output_planes) ==
               std::tie(other.input, other.output, other.clamp, other.input_planes,
                        other.output_planes);
    }
};

struct BandConfig {
    int width = 0;  // of the picture with its borders, a multiple of Program::alignment
    int height = 0;
    int band = 16;      // a step takes so many times Program::alignment rows of the picture
    int tail_band = 0;  // 0: the same
    SessionFormat format{};

    bool operator==(const BandConfig& other) const {
        return std::tie(width, height, band, tail_band, format) ==
               std::tie(other.width, other.height, other.band, other.tail_band, other.format);
    }
};

// Rows that each buffer holds for row bands of one height: the same at every width.
struct RowCounts {
    RowCounts(const Program& program, const BandConfig& config, const StorageModel& storage);

    std::vector<AliasGroup> alias_groups;
    std::vector<bool> pairs;         // by op: the first of a pair; empty where there are none
    bool fused_store = false;        // the last op stores the result, whose tensor has no rows
    Row rows_fed = 0;                // in a step: the band, or more where one step is all
    int input = 0;                   // most picture rows of one step
    int output = 0;                  // most result rows of one step
    std::vector<int> runs;           // by op: most output rows of one run
    std::vector<RingStorage> rings;  // by tensor, each in a buffer of its own
    std::vector<std::vector<HaloSlice>> halos;  // by tensor; empty outside the alias groups

  private:
    void count_runs(const Program& program, const BandConfig& config, const StorageModel& storage,
                    const Schedule& endless);
    void count_halos(const Program& program, Row height, const Schedule& endless);
};

// What one step far from the picture's ends does, or the only step of a picture.
struct BandTraffic {
    int dispatches = 0;                // commands, without halo commands: they only copy
    double bytes_per_input_pixel = 0;  // of buffers that all commands read and write
};

// What follows from program, picture size, row band and storage alone: buffers, bytes, commands.
// Steps are computed one at a time (a tall picture has many). The program must outlive the plan.
// Throws ImageError for a picture whose tensors would have more than kMostTensorSide rows or
// columns: backends and shaders count those in 32 bits.
class ExecutionPlan {
  public:
    ExecutionPlan(const Program& program, const BandConfig& config, const StorageModel& storage);
    // `rows`: those of this program, height, band and storage, counted before.
    ExecutionPlan(const Program& program, const BandConfig& config, const StorageModel& storage,
                  std::shared_ptr<const RowCounts> rows);

    // Whether buffers and commands are the same.
    bool same_as(const ExecutionPlan& other) const;

    const Program& program() const { return *program_; }
    const BandConfig& config() const { return config_; }
    const std::vector<RingStorage>& rings() const { return rings_; }
    const std::vector<SharedBuffer>& shared_buffers() const { return shared_buffers_; }
    const MemoryBytes& memory() const { return memory_; }
    // The largest binding that is needed: of whole buffers, and of at least eight rows of those
    // that are bound in parts.
    std::uint64_t largest_binding() const;
    // The most of the tensor's buffer that is bound at a time, 0: all of it.
    std::uint64_t binding_bytes(int tensor) const;

    bool full_precision(int tensor) const;  // stored with full_precision_bytes_per_value
    int tensor_width(int tensor) const;     // in pixels, padding columns not counted
    int tensor_height(int tensor) const;    // rows, at most kMostTensorSide
    int steps() const;
    Step step(int index) const;  // index 0 .. steps() - 1

    int max_input_rows() const { return rows_->input; }    // most picture rows of one step
    int max_output_rows() const { return rows_->output; }  // most result rows of one step
    // By op: whether it is computed together with the one after it; empty where none is.
    const std::vector<bool>& pairs() const { return rows_->pairs; }
    int max_run_rows(int op) const {  // most output rows of one run of this op
        return rows_->runs[idx(op)];
    }

    std::uint64_t input_bytes() const { return input_bytes_; }    // staged for a step, at most
    std::uint64_t output_bytes() const { return output_bytes_; }  // the same of its result
    // From one row of the staged result to the next, where it is packed.
    std::uint64_t output_row_bytes() const;
    // Whether the last op writes the result's samples, so that nothing holds its output tensor.
    bool fused_store() const { return rows_->fused_store; }
    // Staged for so many rows of the result, the first of a step.
    std::uint64_t output_bytes(RowRange rows) const;
    bool copies_results() const {
        return storage_.copy_results_from > 0 && output_bytes_ >= storage_.copy_results_from;
    }

    BandTraffic traffic() const;
    // Bytes of buffers that a command reads and writes, as traffic() counts them.
    double bytes_of(const Command& command) const;

  private:
    void check_sides() const;
    void place_rings();
    void share(const AliasGroup& group);
    void count_bytes();
    void count_scratch();
    void count_staging();
    int value_bytes(bool full_precision) const;
    std::uint64_t row_bytes(int tensor) const;
    bool in_parts(int tensor) const;
    Schedule schedule(Row height) const;

    const Program* program_;
    BandConfig config_;
    StorageModel storage_;
    std::shared_ptr<const RowCounts> rows_;
    std::vector<RingStorage> rings_;
    std::vector<SharedBuffer> shared_buffers_;
    std::vector<AliasGroup> alias_groups_;  // those that share
    std::shared_ptr<const Schedule> schedule_;
    MemoryBytes memory_;
    std::uint64_t input_bytes_ = 0;
    std::uint64_t output_bytes_ = 0;
};

}  // namespace realesrgan
