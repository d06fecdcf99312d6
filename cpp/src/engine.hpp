#pragma once

#include "realesrgan/image.hpp"
#include "realesrgan/plan_report.hpp"
#include "realesrgan/upscaler.hpp"

namespace realesrgan {

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

    // What `run` would do with a picture of this size.
    virtual PlanReport plan(int width, int height) const = 0;
};

}  // namespace realesrgan
