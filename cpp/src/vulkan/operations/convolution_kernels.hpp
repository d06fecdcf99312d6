#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vulkan/device/context.hpp"
#include "vulkan/device/pipeline.hpp"

namespace realesrgan::vulkan {

// plain: the reference, any channel counts. blocked: eight pixels by four channels in registers.
// matrix: cooperative matrices, fp16 storage only.
enum class KernelKind { plain, blocked, matrix };

// A cooperative matrix product of m x k and k x n matrices.
struct MatrixShape {
    int m = 0, n = 0, k = 0;
    int subgroup_size = 0;
    bool fp16_sums = false;  // the device lists the shape with sums in fp16, too
};

// Which kernel computes a convolution, and its tile parameters.
struct KernelConfig {
    KernelConfig(KernelKind which = KernelKind::plain) : kernel(which) {}

    KernelKind kernel;
    MatrixShape shape;      // of `matrix`
    int fragments = 8;      // of `matrix`: most accumulators of a subgroup
    int subgroups = 4;      // of `matrix`: subgroups of a workgroup
    bool prefetch = false;  // of `matrix`: fetches the next channels while it multiplies
    // Of `matrix`: so many products of matrices (1 or 3, a column of taps) are summed in fp16, and
    // these sums in fp32. 0: all in fp32.
    int half_products = 0;
    // Of `blocked`: without, a third of the code, a tenth slower. Of a pair by `matrix`: without, a
    // quarter of the time that a software driver compiles.
    bool unroll = true;

    std::string text()
        const;  // stored in records, as "matrix 16x16x16 subgroup 32, 8 fragments, 4 subgroups"
};

// The most output channels of a workgroup of the matrix kernel.
inline constexpr int kMostMatrixChannels = 64;

// How a workgroup of the matrix kernel partitions its output.
struct MatrixTiling {
    int m_tiles = 1, n_tiles = 1, r_tiles = 1;  // matrices of a subgroup; r_tiles: rows of pixels
    int columns = 1, rows = 1;                  // subgroups of a workgroup
};

// For layers with `outputs` channels in row bands of up to `most_rows` rows. Shrinks until it fits
// into shared memory.
MatrixTiling matrix_tiling(const KernelConfig& choice, int outputs, int most_rows,
                           std::uint64_t shared_bytes);
std::uint64_t shared_bytes(const MatrixShape& shape, const MatrixTiling& tiling);

// The shader variant for its matrices and sums.
ShaderVariant matrix_variant(const KernelConfig& choice);
ShaderVariant blocked_variant(const KernelConfig& choice);

// The configurations that the device supports, in order of expected speed; `plain` is always the
// last.
std::vector<KernelConfig> kernel_configs(const Context& context, Storage storage);

}  // namespace realesrgan::vulkan
