#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "cpu/winograd/convolution.hpp"
#include "model/graph.hpp"
#include "model/weight_file.hpp"

namespace ncnn {
class Layer;
}

namespace realesrgan {

// The layers of an ncnn network that this project's CPU code computes in place of ncnn's:
// - 3x3 convolutions that keep the size, of channels in whole groups, by the Winograd kernels of
//   the row stream, where ncnn keeps 8 or 16 channels side by side (x86 with AVX): the kernels read
//   and write these blobs as they are. They need neither a padded copy of the input nor a
//   transformed one, which for 64 channels is 2.25 times the size of the input.
// - Linear layers of many weights that the file holds in 16 bits: the weights stay in the file, and
//   every run reads and multiplies some rows at a time.
class CpuLayers {
  public:
    static constexpr std::uint64_t kMostTransformed = std::uint64_t{512} << 20;

    // `most_transformed`: bytes of transformed weights that are not too many.
    explicit CpuLayers(const Graph& graph, std::uint64_t most_transformed = kMostTransformed);

    // Whether a layer is a convolution of the first kind.
    bool has_convolution(const Layer& layer) const;

    // Weights of a large network are kept as the file has them, two bytes each, and transformed in
    // every run; those of others once, which takes 16 bytes each.
    winograd::WeightForm weight_form() const { return form_; }

    // Bytes of workspace of such a convolution.
    std::size_t workspace_bytes(int inputs, int outputs, double width, double height,
                                int threads) const;

    // The layer that takes the place of ncnn's, not yet loaded; null: none does.
    std::unique_ptr<ncnn::Layer> make(const Graph& graph, std::size_t index,
                                      const WeightFile& weights) const;

  private:
    winograd::WeightForm form_ = winograd::WeightForm::transformed;
};

}  // namespace realesrgan
