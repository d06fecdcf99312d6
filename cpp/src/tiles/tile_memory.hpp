#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "model/graph.hpp"
#include "model/shape_inference.hpp"
#include "realesrgan/upscaler.hpp"
#include "tiles/cpu_layers.hpp"

namespace ncnn {
class VulkanDevice;
}

namespace realesrgan {

// What one run of a tile through ncnn takes. ncnn's allocations are replayed in its order: blobs,
// padded copies, the workspaces of convolutions, and on Vulkan the blocks they lie in.
// Sizes are doubles, because 64 bits do not hold those of the largest pictures.
class TileMemory {
  public:
    // `device` is null for the CPU.
    TileMemory(const Graph& graph, const Options& options, const ncnn::VulkanDevice* device);

    // Bytes of ncnn's own memory that are in use at once, at most. Width and height in pixels of
    // the network's input; the result saturates at kMostBytes.
    std::uint64_t used(std::int64_t width, std::int64_t height) const;

    // Size of the blocks that ncnn takes from a Vulkan device for such a run.
    std::uint64_t block(std::int64_t width, std::int64_t height) const;

    // Everything, with the copies of the tile before the network and of its result.
    std::uint64_t total(std::int64_t width, std::int64_t height) const;

  private:
    struct Convolution {
        int from;
        int to;
        int kernel_width;
        int kernel_height;
        int step;      // stride
        int spacing;   // dilation
        bool grouped;  // ConvolutionDepthWise
        bool padded;
        bool transposed;  // Deconvolution
        bool own;         // of CpuLayers

        // The shape that ncnn may compute by Winograd's algorithm.
        bool suits_winograd() const {
            return !grouped && !transposed && kernel_width == 3 && kernel_height == 3 &&
                   step == 1 && spacing == 1;
        }
    };
    struct Step {
        std::vector<int> made;                 // blobs that get memory of their own
        std::vector<int> ending;               // blobs read for the last time
        std::vector<Convolution> convolution;  // none or one
    };
    struct Device {
        bool vulkan = false;
        bool discrete = false;
        bool software = false;  // computes on the processor
        double alignment = 1;
    };

    std::vector<Step> steps(const Graph& graph) const;
    double values(int blob, double width, double height) const;
    std::vector<double> workspace(const Convolution& convolution, double width,
                                  double height) const;
    double cpu_workspace(const Convolution& convolution, double width, double height) const;
    template <typename Memory>
    void replay(Memory& memory, double width, double height) const;

    std::optional<CpuLayers> own_;  // on the CPU
    std::vector<BlobSize> blobs_;
    std::vector<Step> steps_;
    int input_;
    int output_;
    int threads_;
    double value_bytes_;  // of a blob's value
    Device device_;
};

}  // namespace realesrgan
