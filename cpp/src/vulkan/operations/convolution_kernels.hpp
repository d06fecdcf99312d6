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

// rows x inner times inner x columns, by the lanes of one subgroup together.
struct MatrixShape {
    int m = 0, n = 0, k = 0;
    int subgroup_size = 0;
};

// Which kernel makes a convolution, and how much of it at once.
struct KernelConfig {
    KernelConfig(KernelKind which = KernelKind::plain) : kernel(which) {}

    KernelKind kernel;
    MatrixShape shape;      // of `matrix`
    int fragments = 8;      // of `matrix`: most accumulators of a subgroup
    int subgroups = 4;      // of `matrix`: subgroups of a workgroup
    bool prefetch = false;  // of `matrix`: fetches the next channels while it multiplies
    bool unroll = true;     // of `blocked`; without, a third of the code, a tenth slower

    std::string text()
        const;  // stored in records, as "matrix 16x16x16 subgroup 32, 8 fragments, 4 subgroups"
};

// Of a workgroup of the matrix kernel.
inline constexpr int kMostMatrixChannels = 64;

// How a workgroup of the matrix kernel cuts its output.
struct MatrixTiling {
    int m_tiles = 1, n_tiles = 1, r_tiles = 1;  // matrices of a subgroup; r_tiles: rows of pixels
    int columns = 1, rows = 1;                  // subgroups of a workgroup
};

// For layers of so many output channels in bands of so many rows. Shrinks until shared memory holds
// it.
MatrixTiling matrix_tiling(const KernelConfig& choice, int outputs, int most_rows,
                           std::uint64_t shared_bytes);
std::uint64_t shared_bytes(const MatrixShape& shape, const MatrixTiling& tiling);

// What a shader that multiplies matrices of this shape is made of.
ShaderVariant matrix_variant(const MatrixShape& shape);
ShaderVariant blocked_variant(const KernelConfig& choice);

// What the device can run, the fastest expected first; `plain` is always the last.
std::vector<KernelConfig> kernel_configs(const Context& context, Storage storage);

}  // namespace realesrgan::vulkan
