#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "cpu/winograd/kernel.hpp"

namespace realesrgan::winograd {

// The kernels compiled into this build that this processor can run, the fastest instruction set
// first, each with either tile; never empty.
const std::vector<const Kernel*>& supported_kernels();

// The kernel of the named instruction set, or of the fastest for "". Throws std::invalid_argument
// naming the supported ones. The name is a view because GCC warns of a dangling reference where a
// function that returns a reference takes a temporary string.
const Kernel& select_kernel(std::string_view name = {}, int tile = kSmallTile);

// Of one core, as the system reports it, clamped to 256 KiB to 2 MiB; 512 KiB where it is unknown.
std::size_t second_level_cache_bytes();

}  // namespace realesrgan::winograd
