#include "tiles/tile_pool.hpp"

#include <cstdint>
#include <iterator>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace realesrgan {
namespace {

[[maybe_unused]] constexpr std::size_t kLarge = std::size_t{1} << 20U;
// What ncnn's kernels may read behind a blob.
[[maybe_unused]] constexpr std::size_t kReadBeyond = 64;

// Large blocks come from the system and go back to it. On the heap those of some megabytes would
// leave gaps that stay with the process, a fifth of what a large network's run takes.
void* allocate(std::size_t size) {
#ifdef __linux__
    if (size >= kLarge) {
        void* const pointer = mmap(nullptr, size + kReadBeyond, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return pointer == MAP_FAILED ? nullptr : pointer;
    }
#endif
    return ncnn::fastMalloc(size);
}

void release(void* pointer, [[maybe_unused]] std::size_t size) {
#ifdef __linux__
    if (size >= kLarge) {
        munmap(pointer, size + kReadBeyond);
        return;
    }
#endif
    ncnn::fastFree(pointer);
}

}  // namespace

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
    void* pointer = allowed ? allocate(size) : nullptr;
    if (pointer == nullptr && allowed && !kept_.empty()) {
        make_room(SIZE_MAX);
        pointer = allocate(size);
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
        release(largest->second, largest->first);
        kept_.erase(largest);
    }
}

}  // namespace realesrgan
