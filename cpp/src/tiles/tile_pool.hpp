#pragma once

#include <allocator.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <unordered_map>

namespace realesrgan {

// ncnn's memory for one tile on the CPU. Freed blocks are kept for the next blob of similar size,
// because fresh pages cost as much time as a layer, while the total stays within `kept` bytes;
// ncnn's own pools never shrink. More than `most` bytes are refused.
class TilePool final : public ncnn::Allocator {
  public:
    TilePool(std::size_t kept, std::size_t most) : most_kept_(std::min(kept, most)), most_(most) {}
    ~TilePool() override;
    TilePool(const TilePool&) = delete;
    TilePool& operator=(const TilePool&) = delete;

    void* fastMalloc(std::size_t size) override;  // null when there is no memory left
    void fastFree(void* pointer) override;

    // Frees the blocks that are not in use.
    void trim();

    // Whether there was no memory for a blob: ncnn has one code for that and for a layer that
    // cannot be run.
    bool refused() const { return refused_; }

  private:
    void make_room(std::size_t size);

    std::mutex mutex_;
    std::size_t most_kept_;
    std::size_t most_;
    std::size_t held_ = 0;  // in use and kept
    std::atomic<bool> refused_{false};
    std::multimap<std::size_t, void*> kept_;
    std::unordered_map<void*, std::size_t> used_;
};

}  // namespace realesrgan
