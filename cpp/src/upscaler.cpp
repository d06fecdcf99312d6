#include "realesrgan/upscaler.hpp"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/escape.hpp"
#include "engine.hpp"
#include "image/image_view.hpp"
#include "image/result_diagnosis.hpp"
#include "model/graph.hpp"
#include "program/fuse.hpp"
#include "realesrgan/errors.hpp"
#include "stream/stream_engine.hpp"
#include "tiles/ncnn_network.hpp"
#include "tiles/tile_engine.hpp"

namespace realesrgan {
namespace {

constexpr std::int64_t kMostResultSide = std::int64_t{1} << 30;

void require(bool holds, const std::string& message) {
    if (!holds) throw std::invalid_argument(message);
}

void check_options(const Options& options) {
    const auto number = [](const char* name, int value) {
        return name + std::to_string(value) + ": expected ";
    };
    require(options.device >= kCpuDevice,
            number("device ", options.device) + "-1 for the CPU, or a Vulkan device's index");
    require(!options.fp16 || options.device != kCpuDevice,
            "fp16 is for Vulkan devices; the CPU computes in fp32");
    require(
        options.tile == kTileAuto || options.tile == kTileWhole || options.tile >= kSmallestTile,
        number("tile ", options.tile) + "at least " + std::to_string(kSmallestTile) +
            " pixels, 0 for auto, or -1 for the whole picture at once");
    require(options.band >= 0,
            number("band ", options.band) + "a number of rows, or 0 for what fits best");
    require(options.runs_at_once >= 1,
            number("runs_at_once ", options.runs_at_once) + "a number from 1");
    require(options.threads >= 0,
            number("threads ", options.threads) + "a number from 1, or 0 for one for each core");
}

template <typename View>
std::string size_text(const View& view) {
    return std::to_string(view.width) + "x" + std::to_string(view.height) + "x" +
           std::to_string(view.channels);
}

void check_channels(const NetworkInfo& network, int channels) {
    if (channels != network.input_channels) {
        throw ImageError("the picture has " + std::to_string(channels) +
                         " channels, but the network takes " +
                         std::to_string(network.input_channels));
    }
}

void check_size(const NetworkInfo& network, int width, int height) {
    const std::string picture =
        "a picture of " + std::to_string(width) + "x" + std::to_string(height) + " pixels";
    require(width >= 1 && height >= 1, picture + "; expected at least 1x1");
    const std::int64_t longer = std::max(width, height);
    require(longer <= kMostSide, picture + "; at most 2^26 a side are possible");
    if (longer * network.scale > kMostResultSide) {
        throw ImageError(picture + " made " + std::to_string(network.scale) +
                         " times as large has more than 2^30 a side; use a smaller picture");
    }
}

void check_band_rows(int band_rows) {
    require(band_rows >= 0 && band_rows <= kMostSide,
            "band_rows " + std::to_string(band_rows) +
                ": expected a number of rows, or 0 for what fits best");
}

void check_views(const NetworkInfo& network, const ImageView& input,
                 const MutableImageView& output) {
    if (input.data == nullptr || input.width < 1 || input.height < 1) {
        throw ImageError("the picture is empty (" + size_text(input) + ")");
    }
    check_size(network, input.width, input.height);
    check_channels(network, input.channels);
    const std::int64_t scale = network.scale;
    require(output.data != nullptr && output.width == input.width * scale &&
                output.height == input.height * scale && output.channels == network.output_channels,
            "the output is " + size_text(output) + ", but the result of " + size_text(input) +
                " is " + std::to_string(input.width * scale) + "x" +
                std::to_string(input.height * scale) + "x" +
                std::to_string(network.output_channels));
}

// What a network makes of a grey picture of side x side pixels.
ncnn::Mat result_of_grey(const NcnnNetwork& network, int side, int channels,
                         const std::string& param_path) {
    constexpr std::size_t kMostBytes = std::size_t{512} << 20;
    ncnn::Mat grey(side, side, channels);
    grey.fill(0.5F);
    const std::string size = std::to_string(side) + "x" + std::to_string(side) + " pixels";
    ncnn::Mat result;
    try {
        result = network.infer(grey, nullptr, kMostBytes);
    } catch (const OutOfMemoryError&) {
        throw OutOfMemoryError(shown_path(param_path) +
                               ": needs more than 512 MiB for a picture of " + size +
                               ", or more than there is");
    }
    if (result.dims != 3 || result.h != result.w) {
        throw ModelError(shown_path(param_path) + ": makes " + std::to_string(result.w) + "x" +
                         std::to_string(result.h) + " of " + size +
                         ", which is no picture of them");
    }
    return result;
}

// Runs small grey pictures through a network whose layers do not tell its scale and channels. Two
// sizes tell the scale of one whose result lacks a border.
void complete(NetworkInfo& info, const NcnnNetwork& network, const std::string& param_path) {
    constexpr int kSide = 64;
    constexpr int kMore = 32;
    const ncnn::Mat result = result_of_grey(network, kSide, info.input_channels, param_path);
    info.scale = result.w / kSide;
    info.output_channels = result.c;
    if (result.w % kSide == 0) return;
    const int grown =
        result_of_grey(network, kSide + kMore, info.input_channels, param_path).w - result.w;
    info.scale = grown / kMore;
    const int lost = info.scale * kSide - result.w;
    if (grown % kMore != 0 || info.scale < 1 || lost < 0 || lost % (2 * info.scale) != 0) {
        throw ModelError(shown_path(param_path) + ": makes " + std::to_string(result.w) + "x" +
                         std::to_string(result.h) +
                         " of 64x64 pixels; only whole scales from 1, less a border that is the "
                         "same on each side, are supported");
    }
    info.border = lost / (2 * info.scale);
}

NetworkInfo inspect_file(const Graph& graph, const std::string& param_path) {
    try {
        NetworkInfo info = inspect(graph);
        info.row_local = is_row_local(graph);
        return info;
    } catch (const ModelError& error) {
        throw ModelError(shown_path(param_path) + ": " + error.what());
    }
}

// Remembers the largest sample that has gone by.
class WatchedSource final : public RowSource {
  public:
    explicit WatchedSource(RowSource& source) : source_(source) {}

    int width() const override { return source_.width(); }
    int height() const override { return source_.height(); }
    int channels() const override { return source_.channels(); }
    SampleType type() const override { return source_.type(); }
    void read(int first_row, int first_column, const MutableImageView& rows) override {
        source_.read(first_row, first_column, rows);
        extreme_ = std::max(extreme_, extreme_sample(as_const(rows)));
    }
    float extreme() const { return extreme_; }

  private:
    RowSource& source_;
    float extreme_ = 0.0F;
};

// A packed picture with memory of its own.
class Whole {
  public:
    Whole(int width, int height, int channels, SampleType type)
        : view_(packed_view<std::byte>(nullptr, type, width, height, channels)) {
        samples_.resize(static_cast<std::size_t>(view_.row_stride) *
                        static_cast<std::size_t>(height));
        view_.data = samples_.data();
    }

    const MutableImageView& view() const { return view_; }

  private:
    std::vector<std::byte> samples_;
    MutableImageView view_;
};

// Reads the whole picture, runs it, and writes the whole result, for engines that cannot run by
// rows.
void run_whole(const Engine& engine, const NetworkInfo& network, RowSource& source, RowSink& sink,
               SampleType output, const Progress& progress) {
    const Whole picture(source.width(), source.height(), source.channels(), source.type());
    source.read(0, 0, picture.view());
    const Whole result(source.width() * network.scale, source.height() * network.scale,
                       network.output_channels, output);
    engine.run(as_const(picture.view()), result.view(), progress);
    sink.write(0, 0, as_const(result.view()));
}

}  // namespace

NetworkInfo inspect_network(const std::string& param_path) {
    return inspect_file(read_graph(param_path), param_path);
}

struct Upscaler::Impl {
    NetworkInfo network;
    std::unique_ptr<const Engine> engine;
    std::string why_tiles;  // for the report of the tile path
    std::string param_path, bin_path;
    Options options;

    void load(const std::string& param, const std::string& bin, const Options& given) {
        param_path = param;
        bin_path = bin;
        options = given;
        const Graph graph = read_graph(param_path);
        network = inspect_file(graph, param_path);
        if (make_stream(graph)) {
            return;
        }
        auto layers = std::make_unique<const NcnnNetwork>(graph, param_path, bin_path, options);
        if (network.scale == 0 || network.output_channels == 0) {
            complete(network, *layers, param_path);
        }
        engine = std::make_unique<TileEngine>(graph, std::move(layers), network, options);
    }

    // The row stream, if the network is one it runs. Otherwise the reason is kept.
    bool make_stream(const Graph& graph) {
        if (options.tile != kTileAuto) {
            why_tiles = "a tile size was asked for";
            return false;
        }
        FuseResult fused = fuse(graph, bin_path);
        if (!fused.network) {
            why_tiles = "the network is not local in rows: " + fused.reason;
            return false;
        }
        engine = std::make_unique<StreamEngine>(std::move(*fused.network), network, options);
        return true;
    }

    // blame(), with this network and the same one on the CPU. The runs it makes report no share.
    [[noreturn]] void blame(const BadResult& bad, const ImageView* picture, float extreme,
                            const Progress& progress) const {
        const Progress still = [&](double) {
            if (progress) progress(1.0);
        };
        std::unique_ptr<Impl> cpu;
        const auto run_on_cpu = [&](const ImageView& input, const MutableImageView& output) {
            if (!cpu) {
                Options on_cpu;
                on_cpu.threads = options.threads;
                auto made = std::make_unique<Impl>();
                made->load(param_path, bin_path, on_cpu);
                cpu = std::move(made);
            }
            cpu->engine->run(input, output, still);
        };
        const auto run_again = [&](const ImageView& input, const MutableImageView& output) {
            engine->run(input, output, still);
        };
        realesrgan::blame(
            bad, {network, options.device == kCpuDevice, options.fp16, run_again, run_on_cpu},
            picture, extreme);
    }
};

Upscaler::Upscaler(const std::string& param_path, const std::string& bin_path,
                   const Options& options)
    : impl_(std::make_unique<Impl>()) {
    check_options(options);
    try {
        impl_->load(param_path, bin_path, options);
    } catch (const std::bad_alloc&) {
        throw OutOfMemoryError("the system has no memory left to load " + shown_path(bin_path) +
                               "; close other programs, or use a smaller network");
    }
}

Upscaler::~Upscaler() = default;
Upscaler::Upscaler(Upscaler&&) noexcept = default;
Upscaler& Upscaler::operator=(Upscaler&&) noexcept = default;

const NetworkInfo& Upscaler::network() const {
    return impl_->network;
}

void Upscaler::run(const ImageView& input, const MutableImageView& output,
                   const Progress& progress) const {
    check_views(impl_->network, input, output);
    try {
        impl_->engine->run(input, output, progress);
    } catch (const BadResult& bad) {
        impl_->blame(bad, &input, 0.0F, progress);
    }
}

std::vector<std::string> Upscaler::notices() const {
    return impl_->engine->notices();
}

std::uint64_t Upscaler::prepare(int width, int height) const {
    check_size(impl_->network, width, height);
    return impl_->engine->prepare(width, height);
}

void Upscaler::run(RowSource& source, RowSink& sink, SampleType output,
                   const Progress& progress) const {
    check_size(impl_->network, source.width(), source.height());
    check_channels(impl_->network, source.channels());
    WatchedSource watched(source);
    try {
        if (impl_->engine->run_rows(watched, sink, output, progress)) return;
        run_whole(*impl_->engine, impl_->network, watched, sink, output, progress);
    } catch (const BadResult& bad) {
        impl_->blame(bad, nullptr, watched.extreme(), progress);
    } catch (const std::bad_alloc&) {
        throw OutOfMemoryError(
            "the system has no memory left for a " + std::to_string(source.width()) + "x" +
            std::to_string(source.height()) + " picture, which this run needs whole");
    }
}

void Upscaler::run(const YuvView& source, const MutableYuvView& target,
                   const Progress& progress) const {
    const std::int64_t scale = impl_->network.scale;
    YuvSource rows(source);
    YuvSink sink(target);
    check_size(impl_->network, source.width, source.height);
    check_channels(impl_->network, rows.channels());
    require(target.width == source.width * scale && target.height == source.height * scale,
            "target is " + std::to_string(target.height) + " x " + std::to_string(target.width) +
                "; expected " + std::to_string(source.height * scale) + " x " +
                std::to_string(source.width * scale) + ", " + std::to_string(scale) +
                " times the source");
    try {
        if (impl_->engine->run_planes(source, target, progress)) return;
    } catch (const BadResult& bad) {
        impl_->blame(bad, nullptr, 1.0F, progress);
    }
    run(rows, sink, SampleType::f32, progress);
}

RunProfile Upscaler::profile(const ImageView& input, const MutableImageView& output, int band_rows,
                             bool timed) const {
    check_views(impl_->network, input, output);
    check_band_rows(band_rows);
    RunProfile profile;
    try {
        if (impl_->engine->run_profiled(input, output, band_rows, timed, profile)) return profile;
    } catch (const BadResult& bad) {
        impl_->blame(bad, &input, 0.0F, nullptr);
    }
    throw std::invalid_argument(
        "this network is run in tiles by ncnn, and only networks that run "
        "in row bands can be timed by layer: " +
        impl_->why_tiles);
}

PlanReport Upscaler::plan(const RunShape& size) const {
    check_size(impl_->network, size.width, size.height);
    check_band_rows(size.band_rows);
    PlanReport report = impl_->engine->plan(size);
    if (!impl_->why_tiles.empty()) {
        report.reason = impl_->why_tiles + report.reason;
    }
    return report;
}

}  // namespace realesrgan
