#include "stream/stream_run.hpp"

#include <limits>

#include "image/result_check.hpp"

namespace realesrgan {

namespace {

// `scale`: 0 if rows of the result do not correspond to rows of the picture.
void check_record(const StreamRecord& record, int scale) {
    Region region = BadResult::everything();
    if (scale > 0 && record.first_not_finite.count > 0) {
        region.y = {record.first_not_finite.first / scale,
                    (record.first_not_finite.end() - 1) / scale + 1};
    }
    ResultCheck check;
    check.saw_input(record.input_sum, record.input_samples);
    const float bad = std::numeric_limits<float>::quiet_NaN();
    const float value = record.not_finite > 0 ? bad : record.largest_result;
    check.saw_result(ConstPlanes{&value, 1, 1, 1, 1, 1, 1}, region);
    check.finish();
}

}  // namespace

void Attempt::run(const ImageView& input, const MutableImageView& output,
                  const std::function<void(double)>& progress) {
    StreamRecord record;
    if (orientations_.size() > 1) {
        run_sum(input, output, progress, record);
    } else if (plans_[0].column_tiles.tiles.size() > 1) {
        run_feathered(input, output, progress, record);
    } else {
        ArraySink sink(output);
        run_column_tiles(input, progress, record, 0, [&](std::size_t) -> RowSink& { return sink; });
    }
    check_record(record, orientations_.size() > 1 ? 0 : program_.scale());
}

void Attempt::run_rows(RowSource& source, RowSink& sink,
                       const std::function<void(double)>& progress) {
    StreamRecord record;
    const BandConfig& config = plans_[0].config;
    const ExecutionPlan plan(program_, config, backend_.storage());
    const SessionFormat format{source.type(), config.output_type, true};
    run_plan(backend_, plan, format, source, 0, sink, 0, progress, record);
    check_record(record, program_.scale());
}

const RunStrategy& Attempt::plan_of(std::size_t orientation) const {
    return orientations_[orientation].transpose ? plans_.back() : plans_.front();
}

ColumnWeights Attempt::column_weights(const AxisTiling& column_tiles, std::size_t tile) const {
    const int scale = program_.scale();
    return ColumnWeights{column_tiles.tiles[tile].write.begin * scale,
                         column_tiles.weights(tile, scale)};
}

void Attempt::run_feathered(const ImageView& input, const MutableImageView& output,
                            const std::function<void(double)>& progress, StreamRecord& record) {
    const AxisTiling& column_tiles = plans_[0].column_tiles;
    FeatherSink sink(output);
    run_column_tiles(input, progress, record, 0, [&](std::size_t tile) -> RowSink& {
        const bool last = tile + 1 == column_tiles.tiles.size();
        sink.begin_tile(column_weights(column_tiles, tile),
                        last ? std::numeric_limits<std::int64_t>::max()
                             : column_weights(column_tiles, tile + 1).begin);
        return sink;
    });
}

// Averages over the orientations, in floats.
void Attempt::run_sum(const ImageView& input, const MutableImageView& output,
                      const std::function<void(double)>& progress, StreamRecord& record) {
    std::vector<float> sums(static_cast<std::size_t>(output.width) *
                            static_cast<std::size_t>(output.height) *
                            static_cast<std::size_t>(output.channels));
    constexpr auto kFloat = static_cast<std::ptrdiff_t>(sizeof(float));
    const MutableImageView sum{reinterpret_cast<std::byte*>(sums.data()),
                               SampleType::f32,
                               output.width,
                               output.height,
                               output.channels,
                               kFloat * output.channels * output.width,
                               kFloat * output.channels,
                               kFloat};
    for (std::size_t orientation = 0; orientation < orientations_.size(); ++orientation) {
        SumSink sink(oriented_view(sum, orientations_[orientation]),
                     1.0F / static_cast<float>(orientations_.size()));
        run_column_tiles(
            oriented_view(input, orientations_[orientation]), progress, record, orientation,
            [&](std::size_t tile) -> RowSink& {
                sink.begin_tile(column_weights(plan_of(orientation).column_tiles, tile));
                return sink;
            });
    }
    store_picture(as_const(sum), output);
}

void Attempt::run_column_tiles(const ImageView& picture,
                               const std::function<void(double)>& progress, StreamRecord& record,
                               std::size_t orientation,
                               const std::function<RowSink&(std::size_t tile)>& sink_of) {
    ArraySource source(picture);
    const RunStrategy& chosen = plan_of(orientation);
    const std::size_t column_tiles = chosen.column_tiles.tiles.size();
    for (std::size_t tile = 0; tile < column_tiles; ++tile) {
        const Span read = chosen.column_tiles.tiles[tile].read;
        BandConfig config = chosen.config;
        config.width = static_cast<int>(read.size());
        const ExecutionPlan plan(program_, config, backend_.storage());
        const SessionFormat format{picture.type, config.output_type,
                                   column_tiles == 1 && orientations_.size() == 1};
        const auto part = [&](double fraction) {
            const auto done = static_cast<double>(orientation * column_tiles + tile);
            progress((done + fraction) / static_cast<double>(orientations_.size() * column_tiles));
        };
        run_plan(backend_, plan, format, source, static_cast<int>(read.begin), sink_of(tile),
                 static_cast<int>(read.begin) * program_.scale(), part, record);
    }
}

}  // namespace realesrgan
