#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/graph.hpp"
#include "realesrgan/upscaler.hpp"
#include "tiles/checked_net.hpp"
#include "tiles/tile_memory.hpp"
#include "vulkan/instance/instance.hpp"

namespace realesrgan {

// An ncnn::Net loaded with every step checked, on the CPU or on a Vulkan device. Threads share it.
class NcnnNetwork final : public GpuOwned {
  public:
    // Throws ModelError for a damaged or foreign file, DeviceError, OutOfMemoryError.
    NcnnNetwork(const Graph& graph, const std::string& param_path, const std::string& bin_path,
                const Options& options);
    ~NcnnNetwork();
    void release() noexcept override;

    // The whole result for one input of width x height x channels, 0..1, unpacked 32-bit floats.
    // `progress` is called with the completed fraction between layers, and may throw. Throws
    // OutOfMemoryError where the blobs need more than `most_bytes`.
    ncnn::Mat infer(const ncnn::Mat& input, const Progress& progress,
                    std::size_t most_bytes = SIZE_MAX) const;

    // Pixels a single run can have before a buffer would be larger than the device allows.
    std::int64_t most_pixels() const { return most_pixels_; }

    // What a run takes.
    const TileMemory& memory() const { return *memory_; }

    // Bytes a run may take when the user named no limit, and whether they are the device's own.
    std::uint64_t memory_budget() const;
    bool own_memory() const;

  private:
    void load(const Graph& graph, const std::string& bin_path);
    ncnn::Mat infer_cpu(const ncnn::Mat& input, const Progress& progress,
                        std::size_t most_bytes) const;
    ncnn::Mat infer_gpu(const ncnn::Mat& input, const Progress& progress,
                        std::size_t most_bytes) const;
    [[noreturn]] void fail(int code, const ncnn::Mat& input, bool memory_refused) const;

    // A blob to stop at on the way through the layers, and the share of the work done by then.
    struct Checkpoint {
        int blob;
        double fraction;
    };
    static std::vector<Checkpoint> checkpoints(const Graph& graph);

    std::unique_ptr<CheckedNet> net_;
    const ncnn::VulkanDevice* device_ = nullptr;  // null: the CPU
    std::string name_;                            // the path of the .param, for messages
    int input_;                                   // blob ids, the graph's and ncnn's
    int output_;
    std::vector<Checkpoint> checkpoints_;
    std::optional<TileMemory> memory_;  // set by the constructor, which finds the device
    std::int64_t most_pixels_;
};

}  // namespace realesrgan
