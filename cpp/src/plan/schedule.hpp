#pragma once

#include <vector>

#include "plan/plan.hpp"
#include "plan/ring_aliasing.hpp"
#include "program/program.hpp"

namespace realesrgan {

// Which rows every command of every step computes. The schedule is computed for an infinitely tall
// picture and clamped: after `rows_fed` rows op i has finished rows_ready(rows_fed)[i + 1] rows, of
// which those inside the real picture are computed. So the last rows, too, drain in steps of a
// band.
class Schedule {
  public:
    // `height`, `band`: rows of scale 1, of the picture and those that a step feeds. `rows_kept`:
    // of the result, below those that a step sends, which its sending still reads. `pairs`:
    // convolution_pairs.hpp. `fused_store`: fused_store.hpp.
    Schedule(const Program& program, std::vector<AliasGroup> alias_groups, Row height, Row band,
             int tail_band, bool border_rows, Row rows_kept = 0, std::vector<bool> pairs = {},
             bool fused_store = false);

    Row steps() const;
    Step step(Row index) const;
    // Rows of scale 1 of the infinitely tall picture after which the real one is finished: its own
    // and those that the last op lags behind.
    Row rows_to_finish() const;

    // Rows finished by the input ([0]) and every op ([i + 1]) after `rows_fed` rows of scale 1,
    // beyond the picture's.
    std::vector<Row> rows_ready(Row rows_fed) const;
    Row tensor_height(int tensor) const;

    // Rows of a written slice that are still needed when every op has finished `rows_ready` rows.
    RowRange live_rows(const TensorUse::Written& written, const std::vector<Row>& rows_ready) const;

    const std::vector<TensorUse>& uses() const { return uses_; }

  private:
    class Builder;

    Row clamp(int tensor, Row row) const;
    std::vector<Row> clamped(std::vector<Row> rows_ready) const;
    Row first_read_row(const ChannelSlice& slice, const std::vector<Row>& done) const;
    Row first_live_row(int tensor, const std::vector<Row>& done) const;

    const Program& program_;
    std::vector<AliasGroup> alias_groups_;
    std::vector<TensorUse> uses_;
    std::vector<bool> tail_;
    Row height_;
    Row band_;
    Row tail_band_;
    bool border_rows_;
    Row rows_kept_;
    std::vector<bool> pairs_;
    bool fused_store_;
};

}  // namespace realesrgan
