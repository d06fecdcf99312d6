// How the matrix kernel cuts its output: arithmetic, no device needed.

#include <algorithm>
#include <cstdint>
#include <utility>

#include "support/check.hpp"
#include "vulkan/operations/convolution_kernels.hpp"

namespace vk = realesrgan::vulkan;

TEST_CASE("a matrix workgroup fits whatever shared memory there is") {
    for (const int edge : {8, 16}) {
        for (const auto& [fragments, subgroups] : {std::pair{8, 4}, {16, 8}, {4, 4}}) {
            vk::KernelConfig choice(vk::KernelKind::matrix);
            choice.shape = {edge, edge, 8, 32};
            choice.fragments = fragments;
            choice.subgroups = subgroups;
            for (const int outputs : {3, 16, 32, 48, 64, 200}) {
                for (const int rows : {1, 2, 3, 4, 64}) {
                    for (const std::uint64_t limit : {16384, 32768, 49152}) {
                        const auto tiling = vk::matrix_tiling(choice, outputs, rows, limit);
                        CHECK(vk::shared_bytes(choice.shape, tiling) <= limit);
                        CHECK(tiling.rows <= rows && tiling.rows * tiling.columns <= subgroups);
                        CHECK(tiling.m_tiles >= 1 && tiling.n_tiles >= 1 && tiling.columns >= 1);
                        CHECK(tiling.n_tiles * edge < std::min(outputs, 64) + edge);
                    }
                }
            }
        }
    }
}

int main() {
    return check::run_all();
}
