#pragma once

#include <cstddef>
#include <vector>

#include "cpu/winograd/aligned_buffer.hpp"

namespace realesrgan::winograd {

// Seconds of processor time by phase, summed over threads.
struct Profile {
    double weights = 0.0;
    double input = 0.0;
    double multiply = 0.0;
    double output = 0.0;

    Profile& operator+=(const Profile& other) {
        weights += other.weights;
        input += other.input;
        multiply += other.multiply;
        output += other.output;
        return *this;
    }
    double total() const { return weights + input + multiply + output; }
};

// The scratch memory of one run through a network, used by one convolution after another.
class Workspace {
  public:
    // Allocates `bytes`, at least Convolution::workspace_bytes() of each convolution to be run.
    Workspace(int threads, std::size_t bytes)
        : own_(bytes / sizeof(float)),
          memory_(own_.data()),
          size_(own_.size()),
          profiles_(count(threads)) {}

    // Uses `memory`, which lies on a cache line boundary and outlives it. What it holds does not
    // matter: what is computed of it (tiles beyond a block's) is dropped.
    Workspace(int threads, float* memory, std::size_t bytes)
        : memory_(memory), size_(bytes / sizeof(float)), profiles_(count(threads)) {}

    int threads() const { return static_cast<int>(profiles_.size()); }

    Profile profile() const {
        Profile sum;
        for (const Slot& slot : profiles_) sum += slot.profile;
        return sum;
    }

  private:
    friend class Convolution;
    struct alignas(64) Slot {  // one thread's, in a cache line of its own
        Profile profile;
    };
    static std::size_t count(int threads) { return static_cast<std::size_t>(threads); }

    AlignedBuffer<float> own_;
    float* memory_;
    std::size_t size_;
    std::vector<Slot> profiles_;
};

}  // namespace realesrgan::winograd
