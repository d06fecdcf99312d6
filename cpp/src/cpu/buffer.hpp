#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace realesrgan::cpu {

// Bytes allocated by one session, now and at most.
class Meter {
  public:
    void add(std::size_t bytes) {
        now_ += bytes;
        most_ = now_ > most_ ? now_ : most_;
    }
    void remove(std::size_t bytes) { now_ -= bytes; }
    std::uint64_t most() const { return most_; }

  private:
    std::uint64_t now_ = 0;
    std::uint64_t most_ = 0;
};

// Zeroed memory on a 64-byte boundary, counted by a meter that outlives it. Throws
// OutOfMemoryError.
class HostBuffer {
  public:
    HostBuffer() = default;
    HostBuffer(Meter& meter, std::size_t bytes);
    HostBuffer(HostBuffer&& other) noexcept;
    HostBuffer& operator=(HostBuffer&& other) noexcept;
    ~HostBuffer();

    float* floats() const { return reinterpret_cast<float*>(data_); }
    std::byte* bytes() const { return data_; }
    std::size_t size() const { return size_; }

  private:
    void release();

    Meter* meter_ = nullptr;
    void* block_ = nullptr;  // what calloc gave
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace realesrgan::cpu
