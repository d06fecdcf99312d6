#pragma once

#include <cstdint>

namespace realesrgan {

// Bytes that a run may use when the user named no limit: half of what the machine has free, so that
// it stays usable; of a GPU's own memory, four fifths of what the driver reports free to this
// process.
std::uint64_t default_memory_limit(int device);

}  // namespace realesrgan
