#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace realesrgan {

// What Linux's control groups (versions 1 and 2) leave to this process: its own group's limits and
// those of every group around it that can be seen. Without such groups, and on other systems,
// nothing is limited. Files that cannot be read or hold no number limit nothing, either.
class ControlGroups {
  public:
    // `root`: below which proc/ and sys/ lie, "/" but for tests.
    explicit ControlGroups(const std::filesystem::path& root = "/");

    // Bytes that can still be allocated: the least that a group's limit leaves, where files in the
    // page cache do not count as used.
    std::optional<std::uint64_t> memory_left() const;

    // The least of the limits, whatever is used.
    std::optional<std::uint64_t> memory_limit() const;

    // Processors' time a second, the least of the quotas.
    std::optional<double> cores() const;

  private:
    // A folder of limits, and the version whose names its files have.
    struct Group {
        std::filesystem::path folder;
        int version = 0;
    };
    std::vector<Group> groups_of(const std::string& controller) const;

    std::filesystem::path root_;
    std::vector<Group> memory_;  // from the process's own group outwards
    std::vector<Group> cpu_;
};

// Bytes of memory that this process could ever have: the machine's, or what its control groups
// allow. Nothing where that is not known.
std::optional<std::uint64_t> installed_memory(const std::filesystem::path& root = "/");

// Bytes that this process can allocate before the machine, or a control group, has none left.
std::uint64_t free_memory(const std::filesystem::path& root = "/");

}  // namespace realesrgan
