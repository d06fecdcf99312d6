#pragma once

#include <filesystem>

namespace realesrgan {

// Processors that this process may compute on at a time, at least 1: those it is bound to, and no
// more than the quota of its control groups (rounded up). `root` as of ControlGroups.
int usable_cores(const std::filesystem::path& root = "/");

// The threads to compute with: the number asked for, or for 0 one for each physical core, and never
// more than there are usable cores.
int thread_count(int asked);

}  // namespace realesrgan
