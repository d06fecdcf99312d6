#include "tiles/tile_pool.hpp"

#include <cstdint>
#include <iterator>

namespace realesrgan {

TilePool::~TilePool() {
    trim();
}

void* TilePool::fastMalloc(std::size_t size) {
    constexpr std::size_t kSlack = 8;  // a kept block may be larger by this part
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto fit = kept_.lower_bound(size);
    if (fit != kept_.end() && fit->first <= size + size / kSlack) {
        void* const pointer = fit->second;
        used_.emplace(pointer, fit->first);
        kept_.erase(fit);
        return pointer;
    }
    make_room(size);
    const bool allowed = size <= most_ && held_ <= most_ - size;
    void* pointer = allowed ? ncnn::fastMalloc(size) : nullptr;
    if (pointer == nullptr && allowed && !kept_.empty()) {
        make_room(SIZE_MAX);
        pointer = ncnn::fastMalloc(size);
    }
    if (pointer == nullptr) {
        refused_ = true;
        return nullptr;
    }
    used_.emplace(pointer, size);
    held_ += size;
    return pointer;
}

void TilePool::fastFree(void* pointer) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto used = used_.find(pointer);
    if (used == used_.end()) return;
    kept_.emplace(used->second, pointer);
    used_.erase(used);
}

void TilePool::trim() {
    const std::lock_guard<std::mutex> lock(mutex_);
    make_room(SIZE_MAX);
}

// The largest go first: what is small is wanted again soon.
void TilePool::make_room(std::size_t size) {
    while (!kept_.empty() && (size > most_kept_ || held_ > most_kept_ - size)) {
        const auto largest = std::prev(kept_.end());
        held_ -= largest->first;
        ncnn::fastFree(largest->second);
        kept_.erase(largest);
    }
}

}  // namespace realesrgan
