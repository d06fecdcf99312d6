#pragma once

#include "engine.hpp"
#include "realesrgan/rows.hpp"

namespace realesrgan {

// Reads the whole picture, runs it, and writes the whole result, for engines that cannot run by
// rows.
void run_whole(const Engine& engine, const NetworkInfo& network, RowSource& source, RowSink& sink,
               SampleType output, const Progress& progress);

}  // namespace realesrgan
