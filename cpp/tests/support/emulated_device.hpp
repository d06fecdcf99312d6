#pragma once

#include <cstdlib>
#include <string>

// To be called before anything reads the limits of a device (base/emulated_limits.hpp). `limits`
// overrule those of the environment.
inline void emulate_limits(const std::string& limits) {
    const char* given = std::getenv("REALESRGAN_VK_LIMITS");
    const std::string all = given == nullptr ? limits : std::string(given) + " " + limits;
#if defined(_WIN32)
    _putenv_s("REALESRGAN_VK_LIMITS", all.c_str());
#else
    setenv("REALESRGAN_VK_LIMITS", all.c_str(), 1);
#endif
}
