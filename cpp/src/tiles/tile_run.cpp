#include "tiles/tile_run.hpp"

#include <new>
#include <string>

#include "image/sample_conversion.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {
namespace {

Planes planes_of(const ncnn::Mat& mat) {
    return {static_cast<float*>(mat.data),         mat.w, mat.h, mat.c, 1, mat.w,
            static_cast<std::ptrdiff_t>(mat.cstep)};
}

std::string size_text(std::int64_t width, std::int64_t height, int channels) {
    return std::to_string(width) + "x" + std::to_string(height) + "x" + std::to_string(channels);
}

// The part of `planes` that `span` of each axis covers, seen from the axes' beginnings.
ConstPlanes cut(const ConstPlanes& planes, const Span& columns, const Span& rows) {
    ConstPlanes part = planes;
    part.data += columns.begin * planes.x_stride + rows.begin * planes.y_stride;
    part.width = columns.size();
    part.height = rows.size();
    return part;
}

// What is used of the result of what was read, in result pixels from where the result begins.
Span used(const Span& read, const Span& write, int border, int scale) {
    const std::int64_t begin = read.begin + border;
    return {(write.begin - begin) * scale, (write.end - begin) * scale};
}

// What a tile reads of an axis. A network that needs whole multiples of its alignment gets them by
// padding at the end of what it sees: of an axis that is flipped this is the beginning.
Span span_read(const AxisTiling& axis, std::size_t tile, int border, bool flipped) {
    const Span& read = axis.tiles[tile].read;
    const std::int64_t padding =
        flipped ? axis.tiles.back().read.end - border - axis.length : std::int64_t{0};
    return {read.begin - padding, read.end - padding};
}

bool equal(const Span& a, const Span& b) {
    return a.begin == b.begin && a.end == b.end;
}

}  // namespace

TileRun::TileRun(const Settings& settings, const AxisTiling& columns, const AxisTiling& rows,
                 const ImageView& input, const MutableImageView& output)
    : settings_(settings),
      columns_(columns),
      rows_(rows),
      input_(input),
      output_(output),
      sums_(output, rows.longest_write() * settings.scale) {}

void TileRun::run(const Progress& progress) {
    if (progress) {
        progress(0);  // it may stop the run before the first tile
    }
    for (std::size_t row = 0; row < rows_.tiles.size(); ++row) {
        for (std::size_t column = 0; column < columns_.tiles.size(); ++column) {
            run_tile(column, row, progress);
        }
        const bool last = row + 1 == rows_.tiles.size();
        const std::int64_t end = last ? rows_.length : rows_.tiles[row + 1].write.begin;
        if (last) {
            check_.finish();  // before the last rows are there
        }
        sums_.store_until(end * settings_.scale);
    }
}

void TileRun::run_tile(std::size_t column, std::size_t row, const Progress& progress) {
    Region region = region_read(column, row, settings_.orientations.front());
    Planes tile = load_tile(region);
    const double passes = static_cast<double>(columns_.tiles.size()) *
                          static_cast<double>(rows_.tiles.size()) *
                          static_cast<double>(settings_.orientations.size());
    for (const Orientation& orientation : settings_.orientations) {
        const Region wanted = region_read(column, row, orientation);
        if (!equal(wanted.x, region.x) || !equal(wanted.y, region.y)) tile = load_tile(wanted);
        region = wanted;
        Progress within;
        if (progress) {
            within = [&](double fraction) { progress((done_ + fraction) / passes); };
        }
        blend(pass(tile, region, orientation, within), region, orientation, column, row);
        done_ += 1;
        if (progress) {
            progress(done_ / passes);
        }
    }
}

Region TileRun::region_read(std::size_t column, std::size_t row,
                            const Orientation& orientation) const {
    return {span_read(columns_, column, settings_.border, orientation.flip_x),
            span_read(rows_, row, settings_.border, orientation.flip_y)};
}

Planes TileRun::load_tile(const Region& region) {
    const auto& [x, y] = region;
    tile_.resize(static_cast<std::size_t>(x.size() * y.size() * input_.channels));
    const Planes tile{tile_.data(),
                      x.size(),
                      y.size(),
                      input_.channels,
                      1,
                      x.size(),
                      static_cast<std::ptrdiff_t>(x.size() * y.size())};
    check_.saw_input(load_samples(input_, x.begin, y.begin, tile), tile_.size());
    return tile;
}

ncnn::Mat TileRun::pass(const Planes& tile, const Region& region, const Orientation& orientation,
                        const Progress& progress) {
    const ConstPlanes source = oriented_view(as_const(tile), orientation);
    const ncnn::Mat input(static_cast<int>(source.width), static_cast<int>(source.height),
                          source.channels);
    if (input.empty()) {
        throw std::bad_alloc();
    }
    copy(source, planes_of(input));
    ncnn::Mat result = settings_.network.infer(input, progress);
    const int lost = 2 * settings_.border;
    if (result.w != (input.w - lost) * settings_.scale ||
        result.h != (input.h - lost) * settings_.scale || result.c != settings_.output_channels ||
        result.elemsize != sizeof(float)) {
        throw ModelError("the network made " + size_text(result.w, result.h, result.c) + " of " +
                         size_text(input.w, input.h, input.c) + ", not " +
                         std::to_string(settings_.scale) + " times the size" +
                         (lost > 0 ? " without the border" : "") +
                         "; it cannot be run in tiles of this size");
    }
    if (settings_.adds_source) add_source(planes_of(result), as_const(planes_of(input)));
    check_.saw_result(as_const(planes_of(result)), region);
    return result;
}

void TileRun::add_source(const Planes& result, const ConstPlanes& source) const {
    const int scale = settings_.scale;
    for (int c = 0; c < result.channels; ++c) {
        for (std::int64_t y = 0; y < result.height; ++y) {
            float* to = result.row(c, y);
            const float* from = source.row(c, y / scale + settings_.border);
            for (std::int64_t x = 0; x < result.width; ++x) {
                to[x] += from[x / scale + settings_.border];
            }
        }
    }
}

void TileRun::blend(const ncnn::Mat& result, const Region& region, const Orientation& orientation,
                    std::size_t column, std::size_t row) {
    const int scale = settings_.scale;
    const AxisTile& x = columns_.tiles[column];
    const AxisTile& y = rows_.tiles[row];
    const ConstPlanes upright = inverse_oriented_view(as_const(planes_of(result)), orientation);
    sums_.add(cut(upright, used(region.x, x.write, settings_.border, scale),
                  used(region.y, y.write, settings_.border, scale)),
              x.write.begin * scale, y.write.begin * scale, columns_.weights(column, scale),
              rows_.weights(row, scale), 1.0F / static_cast<float>(settings_.orientations.size()));
}

}  // namespace realesrgan
