#include "vulkan/instance/bundled_driver.hpp"

#include <cstdlib>

#if !defined(_WIN32)
#include <dlfcn.h>
#include <unistd.h>
#endif

namespace realesrgan {

std::string bundled_driver([[maybe_unused]] const std::string& name) {
#if defined(_WIN32)
    return {};
#else
    for (const char* variable : {"VK_DRIVER_FILES", "VK_ICD_FILENAMES", "NCNN_VULKAN_DRIVER"}) {
        if (std::getenv(variable) != nullptr) return {};
    }
    static const char here = 0;
    Dl_info library{};
    if (dladdr(&here, &library) == 0 || library.dli_fname == nullptr) return {};
    std::string path = library.dli_fname;
    path.erase(path.find_last_of('/') + 1);  // all of a name without a folder
    path += name;
    return access(path.c_str(), R_OK) == 0 ? path : std::string();
#endif
}

}  // namespace realesrgan
