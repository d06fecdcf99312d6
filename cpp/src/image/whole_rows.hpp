#pragma once

#include "engine.hpp"
#include "realesrgan/rows.hpp"

namespace realesrgan {

// Reads the picture whole, runs it, and writes the result whole: for what cannot run row by row.
void run_whole(const Engine& engine, const NetworkInfo& network, RowSource& source, RowSink& sink,
               SampleType output, const Progress& progress);

}  // namespace realesrgan
