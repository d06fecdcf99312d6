#include "tiles/weight_reader.hpp"

#include <cstring>
#include <filesystem>

#include "base/escape.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {
namespace {

std::ifstream open_binary(const std::string& path) {
    const std::filesystem::path file = std::filesystem::u8path(path);
    std::error_code error;
    if (!std::filesystem::is_regular_file(file, error)) {
        throw ModelError(shown_path(path) +
                         ": no such file; a network is a .param and a .bin file");
    }
    std::ifstream in(file, std::ios::binary);
    if (!in) {
        throw ModelError(shown_path(path) + ": cannot be read; check its permissions");
    }
    return in;
}

}  // namespace

WeightReader::WeightReader(const std::string& path) : path_(path), in_(open_binary(path)) {
    std::error_code error;
    size_ = std::filesystem::file_size(std::filesystem::u8path(path), error);
    if (error || size_ == 0) {
        throw ModelError(shown_path(path) + ": the file is empty; download or copy it again");
    }
}

std::size_t WeightReader::read(void* buffer, std::size_t size) const {
    wanted_ += size;
    in_.read(static_cast<char*>(buffer), static_cast<std::streamsize>(size));
    const auto got = static_cast<std::size_t>(in_.gcount());
    std::memset(static_cast<char*>(buffer) + got, 0, size - got);
    return size;
}

void WeightReader::check_all_read() const {
    if (wanted_ != size_) {
        throw ModelError(shown_path(path_) + ": has " + std::to_string(size_) +
                         " bytes, but the network of the .param file needs " +
                         std::to_string(wanted_) +
                         "; it is truncated or damaged, or belongs to another network");
    }
}

}  // namespace realesrgan
