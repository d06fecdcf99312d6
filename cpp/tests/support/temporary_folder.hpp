#pragma once

#include <filesystem>
#include <random>
#include <string>

// A temporary folder for one test.
struct TemporaryFolder {
    std::filesystem::path path;
    std::string file(const std::string& name) const { return (path / name).string(); }
    TemporaryFolder()
        : path(std::filesystem::temp_directory_path() /
               ("realesrgan-test-" + std::to_string(std::random_device()()))) {
        std::filesystem::create_directories(path);
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path); }
};
