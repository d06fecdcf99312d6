#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "realesrgan/image.hpp"
#include "realesrgan/plan_report.hpp"
#include "realesrgan/profile.hpp"
#include "realesrgan/rows.hpp"
#include "realesrgan/upscaler.hpp"
#include "realesrgan/yuv.hpp"

namespace realesrgan {

// Calls `progress` with fractions up to 1 that never decrease, also when a run starts again with
// less memory. Null where `progress` is, which must outlive it.
inline Progress monotone(const Progress& progress) {
    if (!progress) return nullptr;
    return [&progress, best = 0.0](double fraction) mutable {
        best = std::max(best, std::min(fraction, 1.0));
        progress(best);
    };
}

// Of a plan's reason: what is read beyond the picture. Empty without a border.
inline std::string border_note(int border) {
    if (border == 0) return {};
    return "; its result lacks " + std::to_string(border) +
           " pixels on each side, by which the picture is mirrored beyond its edges";
}

// One way to run one network on one device: the row stream, or tiles. The views are checked and fit
// the network; any number of threads call `run` at once. Errors as Upscaler::run gives them.
class Engine {
  public:
    Engine() = default;
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    virtual ~Engine() = default;

    virtual void run(const ImageView& input, const MutableImageView& output,
                     const Progress& progress) const = 0;

    // Makes what the first `run` of 8-bit pictures of this size would make (pipelines, above all),
    // and tells the bytes that such a run takes on the device; 0 where that is not known.
    virtual std::uint64_t prepare(int width, int height) const = 0;

    // As `run`, with no more than a few rows in memory. False, and nothing read or written, where
    // this way of running needs the picture whole.
    virtual bool run_rows(RowSource& /*source*/, RowSink& /*sink*/, SampleType /*output*/,
                          const Progress& /*progress*/) const {
        return false;
    }

    // As `run_rows`, from planes to planes. False, and nothing written, where the device does not
    // convert their colours.
    virtual bool run_planes(const YuvView& /*source*/, const MutableYuvView& /*target*/,
                            const Progress& /*progress*/) const {
        return false;
    }

    // As `run`, and times the run and, where `timed`, everything in it. False, and nothing written,
    // where this way of running cannot.
    virtual bool run_profiled(const ImageView& /*input*/, const MutableImageView& /*output*/,
                              int /*band_rows*/, bool /*timed*/, RunProfile& /*profile*/) const {
        return false;
    }

    // What the user should know of the device; each line is told once.
    virtual std::vector<std::string> notices() const { return {}; }

    virtual PlanReport plan(const RunShape& size) const = 0;
};

}  // namespace realesrgan
