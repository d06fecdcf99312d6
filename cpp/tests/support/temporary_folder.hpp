#pragma once

#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>

// A temporary folder for one test.
struct TemporaryFolder {
    std::filesystem::path path;
    std::string file(const std::string& name) const {  // both in UTF-8
        return (path / std::filesystem::u8path(name)).u8string();
    }
    // What this process keeps for a device goes into this folder from now on.
    void keep_caches() const {
#if defined(_WIN32)
        _wputenv_s(L"REALESRGAN_VK_CACHE", path.c_str());
#else
        setenv("REALESRGAN_VK_CACHE", path.c_str(), 1);
#endif
    }
    TemporaryFolder()
        : path(std::filesystem::temp_directory_path() /
               ("realesrgan-test-" + std::to_string(std::random_device()()))) {
        std::filesystem::create_directories(path);
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path); }
};
