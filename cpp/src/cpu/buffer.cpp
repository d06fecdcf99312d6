#include "cpu/buffer.hpp"

#include <cstdlib>
#include <string>
#include <utility>

#include "base/fault_injection.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan::cpu {

namespace {
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kOverread = 64;  // vector loads may touch this much behind the end
}  // namespace

// calloc's large blocks are fresh pages of the system: zero, and not resident before they are used.
HostBuffer::HostBuffer(Meter& meter, std::size_t bytes) : meter_(&meter), size_(bytes) {
    block_ =
        faults().host_allocation.due() ? nullptr : std::calloc(1, bytes + kAlignment + kOverread);
    if (block_ == nullptr) {
        throw OutOfMemoryError("the system has no " + std::to_string(bytes) +
                               " bytes of memory left for a part of the run");
    }
    const auto address = reinterpret_cast<std::uintptr_t>(block_);
    data_ = static_cast<std::byte*>(block_) + (kAlignment - address % kAlignment) % kAlignment;
    meter.add(bytes);
}

HostBuffer::HostBuffer(HostBuffer&& other) noexcept {
    *this = std::move(other);
}

HostBuffer& HostBuffer::operator=(HostBuffer&& other) noexcept {
    if (this != &other) {
        release();
        meter_ = std::exchange(other.meter_, nullptr);
        block_ = std::exchange(other.block_, nullptr);
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
    }
    return *this;
}

HostBuffer::~HostBuffer() {
    release();
}

void HostBuffer::release() {
    if (block_ == nullptr) return;
    std::free(block_);
    meter_->remove(size_);
    block_ = nullptr;
}

}  // namespace realesrgan::cpu
