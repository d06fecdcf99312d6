#include "whole_file.hpp"

#include <fstream>
#include <system_error>

namespace realesrgan {

std::optional<std::vector<unsigned char>> read_whole_file(const std::filesystem::path& path,
                                                          std::uintmax_t most) {
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(path, error);  // of a regular file only
    std::ifstream file(path, std::ios::binary);
    if (error || !file || size > most) return std::nullopt;
    std::vector<unsigned char> bytes(size);
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(file.gcount()));
    return bytes;
}

}  // namespace realesrgan
