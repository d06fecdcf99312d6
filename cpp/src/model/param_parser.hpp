#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/graph.hpp"

namespace realesrgan {

// One layer as its line spells it, blobs still by name.
struct ParamLine {
    int number = 0;  // in the file, from 1
    std::string type;
    std::string name;
    std::vector<std::string> inputs;
    std::vector<std::string> outputs;
    std::map<int, ParamValue> params;
};

struct ParamText {
    int blob_count = 0;
    std::vector<ParamLine> layers;
};

// Parses the file; layers are not checked against each other. Throws ModelError with file and
// line.
ParamText read_param_text(const std::string& path);

// "FILE, line N: MESSAGE" as a ModelError.
[[noreturn]] void fail_at(const std::string& path, int line, const std::string& message);

}  // namespace realesrgan
