#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/winograd/aligned_buffer.hpp"
#include "cpu/winograd/kernel.hpp"
#include "cpu/winograd/workspace.hpp"

namespace realesrgan::winograd {

// How a convolution stores its weights.
enum class WeightForm {
    transformed,  // once, in the constructor: 16 bytes a weight (28 for the large tile), the
                  // fastest
    packed,  // as given (2 bytes a weight from fp16 values), transformed in each run; bands of one
             // row, of whose tiles Winograd would use one row each, are convolved directly
};

// A convolution with stride 1 and zero padding to the same size. The pointers need to live only
// through the constructor.
struct Description {
    int in_channels = 0;
    int out_channels = 0;
    int kernel = 3;               // side, odd
    bool depthwise = false;       // of each channel alone: as many in as out
    const float* taps = nullptr;  // [out][in][kernel][kernel], or [channel][kernel][kernel]
    const std::uint16_t* fp16_taps =
        nullptr;                  // the same as IEEE fp16 values; exactly one of the two is given
    const float* bias = nullptr;  // [out], or null for zeros
    std::vector<float>
        slopes;  // below zero: none (identity), one (0: ReLU, else LeakyReLU) or [out] (PReLU)
};

// What one run reads and writes: rows of channel groups (kernel.hpp). `output` may share memory
// with `input` as long as no element is both, and with a skip element by element.
struct OutputRows {
    int width = 0;   // output pixels
    int height = 0;  // output rows
    bool upsample =
        false;       // nearest x2: `input` is half as wide (width is even), rows are given twice
    RowsView input;  // height + kernel - 1 rows, from kernel / 2 above the first output row;
                     // null: zeros
    MutableRowsView
        output;  // height rows; all lanes of the last group are written, unused ones with 0
    Epilogue epilogue;
};

// One convolution's weights, ready for one kernel. Immutable: any number of threads may
// run it.
class Convolution {
  public:
    // Throws std::invalid_argument for counts below one, slopes of another length, or not exactly
    // one of the taps.
    Convolution(const Description& description, WeightForm form, const Kernel& kernel);

    // Computes the band on up to workspace.threads() threads of ThreadPool::shared().
    // Throws std::invalid_argument for a size below one, an odd width with `upsample`, too many
    // skips or too small a workspace.
    void run(const OutputRows& band, Workspace& workspace) const;

    // Bytes of workspace that a band of this size needs.
    std::size_t workspace_bytes(int width, int height, int threads) const;
    static std::size_t workspace_bytes(int in_channels, int out_channels, WeightForm form,
                                       const Kernel& kernel, int width, int height, int threads);

    std::size_t bytes() const;

  private:
    struct Layout;
    static bool direct(WeightForm form, int height) {
        return form == WeightForm::packed && height == 1;
    }
    bool direct(int height) const {
        return kernel_side_ != 3 || depthwise_ || direct(form_, height);
    }
    int taps() const { return kernel_side_ * kernel_side_; }
    void pack_depthwise(const Description& description);
    // `row`: in the direct form. `side`: of the kernel.
    static Layout layout(int in_channels, int out_channels, int side, bool row, WeightForm form,
                         const Kernel& kernel, int width, int height, int threads);
    Layout own_layout(int width, int height, int threads) const;
    void derive_weights(bool direct, int begin, int end, float* result) const;
    const float* weights_from_packed(bool direct, Workspace& workspace, float* result) const;
    Task task_of(const OutputRows& band) const;

    int in_channels_;
    int out_channels_;
    int kernel_side_;
    bool depthwise_;
    WeightForm form_;
    const Kernel* kernel_;
    AlignedBuffer<float> transformed_;
    AlignedBuffer<float> taps_;  // packed form: exactly one of these two
    AlignedBuffer<std::uint16_t> half_taps_;
    AlignedBuffer<float> bias_;
    AlignedBuffer<float> slopes_;
};

}  // namespace realesrgan::winograd
