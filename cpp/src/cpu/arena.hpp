#pragma once

#include <allocator.h>

#include <cstddef>
#include <list>

#include "cpu/buffer.hpp"
#include "cpu/convolution.hpp"

namespace realesrgan::cpu {

// ncnn's temporary matrices in one planned block: handed out one behind the other, all given back
// before the next layer runs. What does not fit gets a block of its own, counted all the same.
class Arena final : public ncnn::Allocator, public KernelScratch {
  public:
    Arena(Meter& meter, std::size_t bytes) : meter_(meter), block_(meter, bytes) {}

    void* fastMalloc(std::size_t size) override;  // null when there is no memory left
    void fastFree(void* pointer) override;

  private:
    Meter& meter_;
    Buffer block_;
    std::size_t used_ = 0;
    std::size_t live_ = 0;
    std::list<Buffer> extra_;
};

}  // namespace realesrgan::cpu
