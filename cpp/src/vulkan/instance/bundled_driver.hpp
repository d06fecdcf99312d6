#pragma once

#include <string>

namespace realesrgan {

// The path of the driver `name` in the folder of the library or program that this function is part
// of: wheels for macOS bring MoltenVK. Empty if there is none, on Windows, and if the environment
// names a driver.
std::string bundled_driver(const std::string& name);

}  // namespace realesrgan
