#pragma once

namespace realesrgan {

// To be called before ncnn runs on the CPU: its parallel loops need an OpenMP runtime.
//
// The ncnn that this project builds calls the runtime in openmp.cpp, which runs the loops on
// ThreadPool: no OpenMP library is loaded, and a forked child has threads of its own. An ncnn that
// the user installed may use GCC's runtime instead. That one keeps a team of threads for each
// thread that has used it, and waits for them for ever in a forked child, where they do not exist;
// from the first call on a thread that forks ends its team before, and the next loop starts
// another.
void prepare_openmp();

}  // namespace realesrgan
