#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cpu/winograd/kernel.hpp"

namespace realesrgan::winograd {

// The kernels compiled into this build that this processor can run, the fastest instruction set
// first, each with either tile; never empty.
const std::vector<const Kernel*>& supported_kernels();

// That of the named instruction set, or of the fastest for "". Throws std::invalid_argument naming
// the supported ones.
const Kernel& select_kernel(const std::string& name = "", int tile = kSmallTile);

// Of one core, as the system reports it, kept within what is plausible; 512 KiB where it says
// nothing.
std::size_t second_level_cache_bytes();

}  // namespace realesrgan::winograd
