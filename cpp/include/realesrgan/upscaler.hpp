#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "realesrgan/api.h"
#include "realesrgan/device.hpp"
#include "realesrgan/image.hpp"
#include "realesrgan/plan_report.hpp"
#include "realesrgan/profile.hpp"
#include "realesrgan/rows.hpp"
#include "realesrgan/yuv.hpp"

namespace realesrgan {

// What the graph says about a network, whatever its file is called.
struct NetworkInfo {
    int scale = 0;
    int input_channels = 0;
    int output_channels = 0;
    int receptive_field = 0;  // input pixels on each side that an output pixel depends on
    bool row_local = false;   // the row stream can run it
    // Input pixels on each side that the result lacks, as that of a network without padding does:
    // the picture is mirrored beyond its edges by as many.
    int border = 0;
    bool pools_all = false;    // some layer reads means of the whole picture, or of a tile
    bool adds_source = false;  // the source, enlarged by nearest, is added to the network's result
};

// What the .param file alone tells; a scale of 0 when it needs the weights, too. Throws ModelError.
REALESRGAN_API NetworkInfo inspect_network(const std::string& param_path);

inline constexpr int kMostSide = 1 << 26;  // of a picture, in pixels

inline constexpr int kTileAuto = 0;    // the best path: row stream, or tiles that fit the memory
inline constexpr int kTileWhole = -1;  // the whole picture at once through the tile path
inline constexpr int kSmallestTile = 32;

struct Options {
    int device = kCpuDevice;
    bool fp16 = false;     // 16-bit storage (Vulkan only); accumulation stays 32-bit
    int tile = kTileAuto;  // or the tile's side in input pixels, at least kSmallestTile
    bool tta = false;      // average over the eight orientations
    int threads = 0;  // CPU threads, at most the usable cores; 0: one for each physical core, as
                      // always when a Vulkan device is used for the first time
    std::uint64_t memory_limit = 0;  // bytes a run may use; 0: a share of what is free
    // That the share is divided by, as far as a run is possible with less. On a Vulkan device a run
    // that would be in lower row bands takes two parts, and other runs of this Upscaler wait for
    // it.
    int runs_at_once = 1;
    // The instruction set of the stream's convolutions on the CPU ("avx512", "avx2", "neon",
    // "baseline"), for comparison; empty: the fastest.
    std::string backend;
    int band = 0;  // rows the stream takes at a time, for tests and benchmarks; 0: what fits best
};

// Called with the completed fraction in [0, 1], never decreasing, from the thread that called
// `run`. An exception from it stops the run and is thrown by `run`.
using Progress = std::function<void(double)>;

// One network on one device. Any number of threads may call `run` on one object at once.
class REALESRGAN_API Upscaler {
  public:
    Upscaler(const std::string& param_path, const std::string& bin_path, const Options& options);
    ~Upscaler();
    Upscaler(Upscaler&&) noexcept;
    Upscaler& operator=(Upscaler&&) noexcept;

    const NetworkInfo& network() const;

    // What the user should know of the device, such as kernels that its driver gets wrong; each
    // line is told once.
    std::vector<std::string> notices() const;

    // `output` is `scale` times the size of `input`, of any sample type; channels as the network
    // has. Throws std::invalid_argument when the views do not fit the network, and the errors of
    // errors.hpp.
    void run(const ImageView& input, const MutableImageView& output,
             const Progress& progress = nullptr) const;

    // Makes what the first `run` of 8-bit pictures of this size would otherwise make on its way:
    // pipelines, above all. Tells the bytes that such a run takes on the device, weights included;
    // 0 on the tile path. Throws OutOfMemoryError when the planned memory cannot be had.
    std::uint64_t prepare(int width, int height) const;

    // The same from rows to rows, so that neither picture need be in memory whole; each is passed
    // once, from its first row to its last. What cannot be run like that (tiles, column tiles, all
    // orientations) is read whole first.
    void run(RowSource& source, RowSink& sink, SampleType output,
             const Progress& progress = nullptr) const;

    // The same from the planes of a video frame to planes of `scale` times the size, with the
    // colours that YuvSource and YuvSink convert: on a Vulkan device, where the picture can be run
    // by rows, so that planes are what is uploaded and downloaded; otherwise on the host. Throws
    // std::invalid_argument for frames that are not possible or do not fit each other.
    void run(const YuvView& source, const MutableYuvView& target,
             const Progress& progress = nullptr) const;

    // As the first `run`, in bands of so many rows of the picture (0: what fits best), with the
    // times of everything that host and device do. Timing takes time itself: on a GPU a few
    // microseconds a dispatch. Throws std::invalid_argument for a network that is run in tiles, and
    // DeviceError for a device without timestamps. Not `timed`, the result has the seconds of the
    // whole run only.
    RunProfile profile(const ImageView& input, const MutableImageView& output, int band_rows = 0,
                       bool timed = true) const;

    // How such a picture would be run. Throws OutOfMemoryError when it could not be.
    PlanReport plan(const RunShape& size) const;
    PlanReport plan(int width, int height) const { return plan(RunShape{width, height}); }

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace realesrgan
