#include "base/control_groups.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string_view>

#if defined(_WIN32)
#if !defined(NOMINMAX)
#define NOMINMAX
#endif
#include <windows.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace realesrgan {

namespace {

namespace fs = std::filesystem;

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc() && end == text.data() + text.size();
    return whole ? std::optional(value) : std::nullopt;
}

std::vector<std::string> words(const std::string& line, char separator = ' ') {
    std::vector<std::string> parts;
    std::istringstream in(line);
    for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
    return parts;
}

std::vector<std::string> lines(const fs::path& file) {
    std::vector<std::string> all;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
}

bool has(const std::vector<std::string>& list, const std::string& word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

// The words of a file's first line.
std::vector<std::string> first_line(const fs::path& file) {
    const std::vector<std::string> all = lines(file);
    return all.empty() ? std::vector<std::string>() : words(all.front());
}

std::optional<std::uint64_t> number_in(const fs::path& file) {
    const std::vector<std::string> line = first_line(file);
    return line.size() == 1 ? number(line.front()) : std::nullopt;
}

// The number behind `key` in a file of lines such as "file 4096" or "MemAvailable:  4096 kB".
std::optional<std::uint64_t> number_of(const fs::path& file, const std::string& key) {
    for (const std::string& line : lines(file)) {
        std::istringstream in(line);
        std::string name;
        std::string value;
        if (in >> name >> value && name == key) return number(value);
    }
    return std::nullopt;
}

std::optional<std::uint64_t> smaller(std::optional<std::uint64_t> a,
                                     std::optional<std::uint64_t> b) {
    if (!a || !b) return a ? a : b;
    return std::min(*a, *b);
}

std::uint64_t less(std::uint64_t from, std::uint64_t what) {
    return from - std::min(from, what);
}

// memory.high does not end a process but keeps it waiting for memory.
std::optional<std::uint64_t> limit_in(const fs::path& folder, int version) {
    return version == 1
               ? smaller(number_in(folder / "memory.limit_in_bytes"),
                         number_of(folder / "memory.stat", "hierarchical_memory_limit"))
               : smaller(number_in(folder / "memory.max"), number_in(folder / "memory.high"));
}

std::optional<std::uint64_t> left_in(const fs::path& folder, int version) {
    const bool first = version == 1;
    const fs::path statistics = folder / "memory.stat";
    const auto limit = limit_in(folder, version);
    if (!limit) return std::nullopt;
    const std::string prefix = first ? "total_" : "";
    std::uint64_t used =
        number_in(folder / (first ? "memory.usage_in_bytes" : "memory.current")).value_or(0);
    for (const char* kind : {"inactive_file", "active_file"}) {
        used = less(used, number_of(statistics, prefix + kind).value_or(0));
    }
    return less(*limit, used);
}

std::optional<double> cores_of(const fs::path& folder, int version) {
    std::vector<std::string> quota;
    if (version == 1) {
        quota = first_line(folder / "cpu.cfs_quota_us");  // -1: none
        const std::vector<std::string> period = first_line(folder / "cpu.cfs_period_us");
        quota.insert(quota.end(), period.begin(), period.end());
    } else {
        quota = first_line(folder / "cpu.max");  // "max 100000": none
    }
    if (quota.size() != 2) return std::nullopt;
    const auto time = number(quota[0]);
    const auto period = number(quota[1]);
    if (!time || !period || *period == 0) return std::nullopt;
    return static_cast<double>(*time) / static_cast<double>(*period);
}

}  // namespace

ControlGroups::ControlGroups(const fs::path& root)
    : root_(root), memory_(groups_of("memory")), cpu_(groups_of("cpu")) {}

// proc/self/cgroup names the process's group of each hierarchy, as "4:memory:/outer/inner", or
// "0::/outer/inner" in version 2. proc/self/mountinfo says which part of a hierarchy can be seen
// where: "35 31 0:32 /outer /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory".
std::vector<ControlGroups::Group> ControlGroups::groups_of(const std::string& controller) const {
    std::vector<Group> groups;
    const std::vector<std::string> mounts = lines(root_ / "proc/self/mountinfo");
    for (const std::string& line : lines(root_ / "proc/self/cgroup")) {
        const std::vector<std::string> own = words(line, ':');
        if (own.size() < 3) continue;
        const int version = own[0] == "0" && own[1].empty() ? 2 : 1;
        if (version == 1 && !has(words(own[1], ','), controller)) continue;
        for (const std::string& mount : mounts) {
            const std::vector<std::string> fields = words(mount);
            const auto dash = std::find(fields.begin(), fields.end(), "-");
            if (fields.size() < 5 || fields.end() - dash < 4) continue;
            const bool same = version == 2
                                  ? dash[1] == "cgroup2"
                                  : dash[1] == "cgroup" && has(words(dash[3], ','), controller);
            if (!same) continue;
            const fs::path top = root_ / fs::path(fields[4]).relative_path();
            // A group outside of what is mounted here is known by its mount only.
            fs::path inside = fs::path(own[2]).lexically_relative(fields[3]);
            if (inside.empty() || *inside.begin() == "..") inside = ".";
            for (fs::path part = inside;; part = part.parent_path()) {
                groups.push_back({(top / part).lexically_normal(), version});
                if (part == "." || part.empty()) break;
            }
        }
    }
    return groups;
}

std::optional<std::uint64_t> ControlGroups::memory_left() const {
    std::optional<std::uint64_t> least;
    for (const Group& group : memory_) least = smaller(least, left_in(group.folder, group.version));
    return least;
}

std::optional<std::uint64_t> ControlGroups::memory_limit() const {
    std::optional<std::uint64_t> least;
    for (const Group& group : memory_) {
        least = smaller(least, limit_in(group.folder, group.version));
    }
    return least;
}

std::optional<double> ControlGroups::cores() const {
    std::optional<double> least;
    for (const Group& group : cpu_) {
        const std::optional<double> cores = cores_of(group.folder, group.version);
        if (cores && (!least || *cores < *least)) least = cores;
    }
    return least;
}

namespace {

#if defined(_WIN32)
std::optional<std::uint64_t> machine_memory(const fs::path&, bool available) {
    MEMORYSTATUSEX status;
    status.dwLength = sizeof(status);
    if (!GlobalMemoryStatusEx(&status)) return std::nullopt;
    return available ? status.ullAvailPhys : status.ullTotalPhys;
}
#elif defined(__APPLE__)
std::optional<std::uint64_t> machine_memory(const fs::path&, bool available) {
    std::uint64_t total = 0;
    std::size_t size = sizeof(total);
    if (sysctlbyname("hw.memsize", &total, &size, nullptr, 0) != 0) return std::nullopt;
    // macOS keeps little free and gives the rest when asked: count half of the machine.
    return available ? total / 2 : total;
}
#else
constexpr std::uint64_t kKilobyte = 1024;

std::optional<std::uint64_t> machine_memory(const fs::path& root, bool available) {
    const auto count = number_of(root / "proc/meminfo", available ? "MemAvailable:" : "MemTotal:");
    if (!count) return std::nullopt;
    return std::min(*count, UINT64_MAX / kKilobyte) * kKilobyte;
}
#endif

}  // namespace

std::optional<std::uint64_t> installed_memory(const fs::path& root) {
    return smaller(machine_memory(root, false), ControlGroups(root).memory_limit());
}

std::uint64_t free_memory(const fs::path& root) {
    constexpr std::uint64_t kUnknown = std::uint64_t{4} << 30;
    const std::uint64_t machine = machine_memory(root, true).value_or(kUnknown);
    return smaller(machine, ControlGroups(root).memory_left()).value_or(machine);
}

}  // namespace realesrgan
