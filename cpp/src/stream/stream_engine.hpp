#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine.hpp"
#include "image/padded_rows.hpp"
#include "plan/planner.hpp"
#include "program/fuse.hpp"
#include "realesrgan/plan_report.hpp"
#include "realesrgan/upscaler.hpp"
#include "stream/backend.hpp"
#include "stream/run_turns.hpp"

namespace realesrgan {

// Runs row-local networks in row bands; the result is that of the whole picture.
class StreamEngine final : public Engine {
  public:
    // Makes the backend for the options' device. The weights are read here.
    StreamEngine(FusedNetwork network, const NetworkInfo& info, const Options& options);

    void run(const ImageView& input, const MutableImageView& output,
             const Progress& progress) const override;
    std::uint64_t prepare(int width, int height) const override;
    bool run_rows(RowSource& source, RowSink& sink, SampleType output,
                  const Progress& progress) const override;
    bool run_planes(const YuvView& source, const MutableYuvView& target,
                    const Progress& progress) const override;
    bool run_profiled(const ImageView& input, const MutableImageView& output, int band_rows,
                      bool timed, RunProfile& profile) const override;
    PlanReport plan(const RunShape& shape) const override;

    std::vector<std::string> notices() const override { return backend_->notices(); }

    const Backend& backend() const { return *backend_; }
    const Program& program() const { return network_->program; }

  private:
    void run(const ImageView& input, const MutableImageView& output, int band_rows,
             const Progress& progress, RunProfile* profile) const;
    PlanConstraints constraints(const RunShape& shape) const;
    // Whether runs that divide the memory wait for one that is computed in lower row bands, or in
    // more column tiles, with its part alone: two such runs at a time take longer than in turns.
    bool takes_turns() const;
    bool runs_alone(const PlanConstraints& constraints) const;
    // What a run may use whose turn it is, of those that go on at a time.
    PlanConstraints constraints(const RunShape& shape, bool alone) const;
    // One strategy, and a second one for the transposed picture where all orientations are run.
    std::vector<RunStrategy> choose(const PlanConstraints& constraints) const;
    // For a run that has its turn at once.
    std::vector<RunStrategy> choose(const RunShape& shape) const;
    RunStrategy choose_one(const PlanConstraints& constraints) const;
    std::uint64_t smallest(const PlanConstraints& constraints) const;
    // Calls `run(strategies)` with strategies that take less memory after each failed allocation,
    // as long as there are any and `source` was not read. A null `source` can be read again.
    template <typename Run>
    auto run_with_less_memory(const RunShape& shape, const PaddedSource* source,
                              const Progress& progress, const Run& run) const;
    void reduce_budget(PlanConstraints& constraints, const std::vector<RunStrategy>& failed,
                       const std::string& failure) const;

    std::unique_ptr<FusedNetwork> network_;  // the backend refers to it
    NetworkInfo info_;
    Options options_;
    std::unique_ptr<Backend> backend_;
    mutable RunTurns turns_;
    // Pictures often have one size, and planning a deep network takes milliseconds.
    mutable std::mutex mutex_;
    mutable std::optional<std::pair<PlanConstraints, std::vector<RunStrategy>>> last_;
};

}  // namespace realesrgan
