#pragma once

namespace realesrgan {

// How many forks lie between the process that loaded this library and this one. A forked child has
// one thread, and copies of handles that belong to its parent.
int fork_generation();

// To be called before ncnn runs on the CPU. GCC's OpenMP keeps a team of threads for each thread
// that has used it, and waits for them for ever in a forked child, where they do not exist. From
// the first call on a thread that forks ends its team before; the next loop starts another.
void end_openmp_team_at_fork();

}  // namespace realesrgan
