#pragma once

#include "plan/plan.hpp"
#include "program/program.hpp"

namespace realesrgan {

// The most channels of a result that its last op stores: those of one vector.
inline constexpr int kMostStoredChannels = 4;

// Whether the last op of a program can write the result's samples instead of a tensor that another
// command then reads: it is a convolution or a pixel shuffle, and its output is the whole result,
// which nothing else reads. Planes of YUV are not: a sample of chroma is a mean of several pixels.
bool can_fuse_store(const Program& program, const SessionFormat& format);

}  // namespace realesrgan
