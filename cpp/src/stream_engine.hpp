#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "backend.hpp"
#include "engine.hpp"
#include "fuse.hpp"
#include "planner.hpp"
#include "realesrgan/plan_report.hpp"
#include "realesrgan/upscaler.hpp"

namespace realesrgan {

// The path for row-local networks: the whole picture's result, in bands.
class StreamEngine final : public Engine {
  public:
    // Makes the backend for the options' device. The weights are read here.
    StreamEngine(FusedNetwork network, const NetworkInfo& info, const Options& options);

    void run(const ImageView& input, const MutableImageView& output,
             const Progress& progress) const override;
    PlanReport plan(int width, int height) const override;

    const Backend& backend() const { return *backend_; }
    const Program& program() const { return network_->program; }

  private:
    PlannerRequest request(int width, int height, SampleType input, SampleType output) const;
    StreamPlan choose(const PlannerRequest& request) const;
    void shrink(PlannerRequest& wanted, std::uint64_t used, const std::string& failure) const;

    std::unique_ptr<FusedNetwork> network_;  // the backend refers to it
    NetworkInfo info_;
    Options options_;
    std::unique_ptr<Backend> backend_;
};

}  // namespace realesrgan
