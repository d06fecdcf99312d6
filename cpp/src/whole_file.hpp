#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <vector>

namespace realesrgan {

// A file's bytes; nothing for what is no regular file, cannot be read or has more bytes than that.
std::optional<std::vector<unsigned char>> read_whole_file(
    const std::filesystem::path& path,
    std::uintmax_t most = std::numeric_limits<std::uintmax_t>::max());

}  // namespace realesrgan
