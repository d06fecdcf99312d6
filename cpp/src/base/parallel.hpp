#pragma once

#include <cstddef>
#include <functional>

namespace realesrgan {

// Calls `task` for 0..count-1 on up to `threads` threads, including the calling one, and returns
// when all are done. After an exception no more calls are started, and the first exception is
// rethrown.
void for_each_in_parallel(std::size_t count, int threads,
                          const std::function<void(std::size_t)>& task);

}  // namespace realesrgan
