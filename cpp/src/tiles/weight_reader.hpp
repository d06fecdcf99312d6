#pragma once

#include <datareader.h>

#include <cstdint>
#include <fstream>
#include <string>

namespace realesrgan {

// Feeds a .bin to ncnn and notes whether it is as long as the network needs. Past its end it goes
// on with zeros, so that ncnn finishes quietly and the caller tells what was wrong.
class WeightReader : public ncnn::DataReader {
  public:
    // Throws ModelError when there is no such file, it is empty or cannot be read.
    explicit WeightReader(const std::string& path);

    std::size_t read(void* buffer, std::size_t size) const override;

    // Throws ModelError when the network wanted more bytes than there are, or fewer.
    void check_all_read() const;

  private:
    std::string path_;
    std::uint64_t size_ = 0;
    mutable std::uint64_t wanted_ = 0;
    mutable std::ifstream in_;
};

}  // namespace realesrgan
