#pragma once

namespace realesrgan {

// The threads to compute with: the number asked for, or for 0 one for each physical core that this
// process may use.
int thread_count(int asked);

}  // namespace realesrgan
