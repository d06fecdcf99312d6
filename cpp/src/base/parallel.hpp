#pragma once

#include <cstddef>
#include <functional>

namespace realesrgan {

// Calls `task` for 0..count-1 on up to so many threads, the calling one among them, and returns
// when all are done. After one has thrown no more are begun, and the first exception comes out.
void for_each_in_parallel(std::size_t count, int threads,
                          const std::function<void(std::size_t)>& task);

}  // namespace realesrgan
