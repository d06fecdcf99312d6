#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/winograd/aligned_buffer.hpp"
#include "cpu/winograd/convolution.hpp"

namespace realesrgan::winograd {

// [out][in][3][3] taps as the kernels read them: panels of output channels, each [in][tap][channel
// of the panel], the last one padded with zeros to a whole group.
template <class Value>
AlignedBuffer<Value> pack_taps(const Description& d, const Value* taps, int panel);

}  // namespace realesrgan::winograd
