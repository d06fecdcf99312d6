#include "vulkan/operations/convolution_kernels.hpp"

#include <algorithm>
#include <utility>

#include "base/emulated_limits.hpp"

namespace realesrgan::vulkan {

namespace {

// Must match convolution_matrix.comp.
constexpr int kChunk = 16;
constexpr int kPixelUnits = kChunk / 8 + 1;
constexpr int kUnitBytes = 16;
// A subgroup that computes r rows loads r + 2 rows for 3 r products: more than four rows gain
// little.
constexpr int kMostTileRows = 4;
constexpr int kMostRows = 16;  // of a workgroup

// The shader cuts chunks of 16 channels into K, and rows of weights into units of eight. Samples of
// four pixels are whole words.
bool fits(const MatrixShape& shape) {
    return shape.m > 0 && shape.m <= 32 && shape.m % 4 == 0 && shape.n % 8 == 0 && shape.n > 0 &&
           shape.n <= 32 && shape.k % 8 == 0 && shape.k > 0 && kChunk % shape.k == 0;
}

bool takes_halves(const VkCooperativeMatrixPropertiesKHR& listed, VkComponentTypeKHR sums) {
    return listed.AType == VK_COMPONENT_TYPE_FLOAT16_KHR &&
           listed.BType == VK_COMPONENT_TYPE_FLOAT16_KHR && listed.CType == sums &&
           listed.ResultType == sums && listed.scope == VK_SCOPE_SUBGROUP_KHR;
}

std::vector<MatrixShape> matrix_shapes(const Context& context) {
    const ncnn::GpuInfo& info = context.ncnn_device().info;
    std::vector<MatrixShape> shapes;
    // The shaders of the extension require the Vulkan memory model and fp16 arithmetic.
    if (info.support_VK_KHR_cooperative_matrix() == 0 ||
        info.queryVulkanMemoryModelFeatures().vulkanMemoryModel == VK_FALSE ||
        !info.support_fp16_arithmetic() || emulated_limits().matrices == 0U) {
        return shapes;
    }
    const auto& all = info.queryCooperativeMatrixSubProperties();
    for (const VkCooperativeMatrixPropertiesKHR& listed : all) {
        const bool fp16_sums = std::any_of(all.begin(), all.end(), [&](const auto& other) {
            return takes_halves(other, VK_COMPONENT_TYPE_FLOAT16_KHR) &&
                   other.MSize == listed.MSize && other.NSize == listed.NSize &&
                   other.KSize == listed.KSize;
        });
        const MatrixShape shape = {static_cast<int>(listed.MSize), static_cast<int>(listed.NSize),
                                   static_cast<int>(listed.KSize),
                                   static_cast<int>(info.subgroup_size()), fp16_sums};
        if (takes_halves(listed, VK_COMPONENT_TYPE_FLOAT32_KHR) && fits(shape) &&
            shared_bytes(shape, MatrixTiling()) <= context.limits().maxComputeSharedMemorySize) {
            shapes.push_back(shape);
        }
    }
    // Larger shapes use each loaded operand for more products.
    std::stable_sort(shapes.begin(), shapes.end(), [](const MatrixShape& a, const MatrixShape& b) {
        return a.m * a.n * a.k > b.m * b.n * b.k;
    });
    return shapes;
}

// As REALESRGAN_VK_LIMITS says: without kernels that sum in fp16, or with some of them first.
void prefer_emulated_sums(std::vector<KernelConfig>& choices) {
    const auto wanted = emulated_limits().half_products;
    if (!wanted) return;
    const auto rest =
        std::stable_partition(choices.begin(), choices.end(), [&](const auto& choice) {
            return static_cast<std::uint64_t>(choice.half_products) == *wanted;
        });
    if (*wanted == 0) choices.erase(rest, choices.end());
}

int halved(int& value) {
    value = std::max(1, value / 2);
    return value;
}

}  // namespace

std::string KernelConfig::text() const {
    if (kernel == KernelKind::plain) return "plain";
    if (kernel == KernelKind::blocked) return unroll ? "blocked" : "blocked, rolled";
    return "matrix " + std::to_string(shape.m) + "x" + std::to_string(shape.n) + "x" +
           std::to_string(shape.k) + " subgroup " + std::to_string(shape.subgroup_size) + ", " +
           std::to_string(fragments) + " fragments, " + std::to_string(subgroups) + " subgroups" +
           (prefetch ? ", ahead" : "") +
           (half_products > 0 ? ", fp16 sums of " + std::to_string(half_products * shape.k) : "");
}

std::uint64_t shared_bytes(const MatrixShape& shape, const MatrixTiling& tiling) {
    const int span = tiling.columns * tiling.m_tiles * shape.m + 2;
    const int tap_units = (tiling.n_tiles * shape.n / 8) | 1;
    const int units =
        (tiling.rows * tiling.r_tiles + 2) * span * kPixelUnits + 9 * kChunk * tap_units;
    return static_cast<std::uint64_t>(units) * kUnitBytes;
}

MatrixTiling matrix_tiling(const KernelConfig& choice, int outputs, int most_rows,
                           std::uint64_t limit) {
    const MatrixShape& shape = choice.shape;
    MatrixTiling tiling;
    tiling.n_tiles = std::clamp((outputs + shape.n - 1) / shape.n, 1,
                                std::max(1, kMostMatrixChannels / shape.n));
    const int matrices = std::max(1, choice.fragments / tiling.n_tiles);
    while (tiling.r_tiles * 2 <= std::min({matrices, most_rows, kMostTileRows}))
        tiling.r_tiles *= 2;
    tiling.m_tiles = matrices / tiling.r_tiles;
    while (tiling.rows * 2 <= choice.subgroups &&
           tiling.rows * 2 * tiling.r_tiles <= std::min(most_rows, kMostRows)) {
        tiling.rows *= 2;
    }
    tiling.columns = std::max(1, choice.subgroups / tiling.rows);
    while (shared_bytes(shape, tiling) > limit) {
        if (tiling.m_tiles > 1) {
            halved(tiling.m_tiles);
        } else if (tiling.columns > 1) {
            halved(tiling.columns);
        } else if (tiling.rows > 1) {
            halved(tiling.rows);
        } else if (tiling.r_tiles > 1) {
            halved(tiling.r_tiles);
        } else if (tiling.n_tiles > 1) {
            tiling.n_tiles--;
        } else {
            break;  // kernel_configs() names no shape for which this is too much
        }
    }
    return tiling;
}

ShaderVariant matrix_variant(const KernelConfig& choice) {
    const MatrixShape& shape = choice.shape;
    ShaderVariant variant;
    variant.defines = "#define MATRIX_M " + std::to_string(shape.m) + "\n#define MATRIX_N " +
                      std::to_string(shape.n) + "\n#define MATRIX_K " + std::to_string(shape.k) +
                      "\n";
    if (choice.half_products > 0) {
        variant.defines += "#define HALF_PRODUCTS " + std::to_string(choice.half_products) + "\n";
    }
    variant.subgroup_size = shape.subgroup_size;
    variant.cooperative_matrix = true;
    return variant;
}

ShaderVariant blocked_variant(const KernelConfig& choice) {
    ShaderVariant variant;
    if (!choice.unroll) variant.defines = "#define NO_UNROLL 1\n";
    return variant;
}

std::vector<KernelConfig> kernel_configs(const Context& context, Storage storage) {
    std::vector<KernelConfig> choices;
    struct Size {
        int fragments, subgroups;
        bool prefetch;
        int half_products;
    };
    // A software driver takes seconds to compile large tiles, without gain. On a GPU the gain
    // depends on its registers and on the workgroups that it can run at once.
    const std::vector<Size> sizes =
        context.is_software()
            ? std::vector<Size>{{2, 4, false, 0},
                                {8, 2, true, 0},
                                {2, 4, false, 3},
                                {2, 4, true, 1}}
            : std::vector<Size>{{8, 4, false, 0},  {16, 4, true, 0}, {16, 4, false, 0},
                                {16, 8, true, 0},  {4, 4, false, 0}, {16, 4, true, 3},
                                {16, 4, false, 3}, {8, 4, false, 3}, {16, 4, true, 1},
                                {8, 4, false, 1}};
    if (storage == Storage::fp16) {
        for (const MatrixShape& shape : matrix_shapes(context)) {
            for (const Size& size : sizes) {
                if (size.half_products > 0 && !shape.fp16_sums) continue;
                KernelConfig choice(KernelKind::matrix);
                choice.shape = shape;
                choice.fragments = size.fragments;
                choice.subgroups = size.subgroups;
                choice.prefetch = size.prefetch;
                choice.half_products = size.half_products;
                choice.unroll = !context.is_software();
                if (static_cast<std::uint32_t>(size.subgroups * shape.subgroup_size) <=
                    context.limits().maxComputeWorkGroupInvocations) {
                    choices.push_back(choice);
                }
            }
        }
    }
    prefer_emulated_sums(choices);
    // It is written for workgroups of exactly 64, which ncnn rounds up to whole subgroups.
    if (context.subgroup_size() <= 64) {
        KernelConfig blocked(KernelKind::blocked);
        // Compiling the unrolled variant for ten layers takes such a driver as long as a small
        // picture.
        blocked.unroll = !context.is_software();
        choices.push_back(blocked);
        if (!blocked.unroll) choices.emplace_back(KernelKind::blocked);
    }
    choices.emplace_back(KernelKind::plain);
    return choices;
}

}  // namespace realesrgan::vulkan
