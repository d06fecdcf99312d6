#pragma once

namespace realesrgan {

// How many forks lie between the process that loaded this library and this one. A forked child has
// one thread, and copies of handles that belong to its parent.
int fork_generation();

}  // namespace realesrgan
