#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

#include "base/fault_injection.hpp"

namespace realesrgan::winograd {

// Zeroed memory on a cache line boundary. Grows by replacing its content; never shrinks.
template <class T>
class AlignedBuffer {
  public:
    AlignedBuffer() = default;
    explicit AlignedBuffer(std::size_t size) { reserve(size); }

    void reserve(std::size_t size) {
        if (size <= size_) return;
        memory_.reset();
        size_ = 0;
        if (faults().host_allocation.due()) throw std::bad_alloc();
        memory_.reset(static_cast<T*>(::operator new(size * sizeof(T), kAlignment)));
        std::memset(memory_.get(), 0, size * sizeof(T));
        size_ = size;
    }

    T* data() { return memory_.get(); }
    const T* data() const { return memory_.get(); }
    std::size_t size() const { return size_; }
    std::size_t bytes() const { return size_ * sizeof(T); }

  private:
    static constexpr std::align_val_t kAlignment{64};
    struct Free {
        void operator()(T* p) const { ::operator delete(p, kAlignment); }
    };
    std::unique_ptr<T, Free> memory_;
    std::size_t size_ = 0;
};

}  // namespace realesrgan::winograd
