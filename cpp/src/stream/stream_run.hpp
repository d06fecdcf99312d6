#pragma once

#include <functional>
#include <vector>

#include "image/array_rows.hpp"
#include "image/orientation.hpp"
#include "plan/planner.hpp"
#include "stream/backend.hpp"
#include "stream/executor.hpp"

namespace realesrgan {

// One attempt of a run; a retry with less memory starts from the beginning.
class Attempt {
  public:
    // `plans`: one, or two, the second for the transposed picture.
    Attempt(const Backend& backend, const Program& program, const std::vector<RunStrategy>& plans,
            bool tta)
        : backend_(backend), program_(program), plans_(plans), orientations_(orientations(tta)) {}

    // Throws BadResult for an invalid result.
    void run(const ImageView& input, const MutableImageView& output,
             const std::function<void(double)>& progress);

    // For a strategy with one column tile: each row is read and written once.
    void run_rows(RowSource& source, RowSink& sink, const std::function<void(double)>& progress);

  private:
    const RunStrategy& plan_of(std::size_t orientation) const;
    ColumnWeights column_weights(const AxisTiling& column_tiles, std::size_t tile) const;
    void run_feathered(const ImageView& input, const MutableImageView& output,
                       const std::function<void(double)>& progress, StreamRecord& record);
    void run_sum(const ImageView& input, const MutableImageView& output,
                 const std::function<void(double)>& progress, StreamRecord& record);
    void run_column_tiles(const ImageView& picture, const std::function<void(double)>& progress,
                          StreamRecord& record, std::size_t orientation,
                          const std::function<RowSink&(std::size_t tile)>& sink_of);

    const Backend& backend_;
    const Program& program_;
    const std::vector<RunStrategy>& plans_;
    std::vector<Orientation> orientations_;
};

}  // namespace realesrgan
