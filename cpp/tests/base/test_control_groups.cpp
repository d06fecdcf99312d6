#include <fstream>
#include <initializer_list>
#include <string>
#include <utility>

#include "base/control_groups.hpp"
#include "base/thread_count.hpp"
#include "support/check.hpp"
#include "support/temporary_folder.hpp"

using namespace realesrgan;

namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

// A synthetic /proc and /sys.
class System {
  public:
    System& file(const std::string& path, const std::string& text) {
        const std::filesystem::path whole = folder_.path / path;
        std::filesystem::create_directories(whole.parent_path());
        std::ofstream(whole) << text;
        return *this;
    }

    System& mib(const std::string& path, std::uint64_t count) {
        return file(path, std::to_string(count * kMiB) + "\n");
    }

    // A machine with this much available, in the version 2 group of this name.
    System& version_2(std::uint64_t available, const std::string& group) {
        file("proc/meminfo", "MemTotal: 99999999 kB\nMemFree: 5 kB\nMemAvailable:   " +
                                 std::to_string(available * 1024) + " kB\n");
        file("proc/self/cgroup", "0::" + group + "\n");
        return file("proc/self/mountinfo",
                    "22 1 0:5 / /proc rw - proc proc rw\n"
                    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
    }

    const std::filesystem::path& root() const { return folder_.path; }
    std::uint64_t free() const { return free_memory(root()) / kMiB; }

  private:
    TemporaryFolder folder_;
};

// The memory that is available is written in the test's own proc/meminfo.
void needs_meminfo() {
#if defined(_WIN32) || defined(__APPLE__)
    throw check::Skip("this system says by a call how much memory is free");
#endif
}

}  // namespace

TEST_CASE("without control groups the machine's available memory is free") {
    needs_meminfo();
    System none;
    none.file("proc/meminfo", "MemAvailable:  4096 kB\n");
    CHECK_EQUAL(none.free(), 4U);
    CHECK(!ControlGroups(none.root()).memory_left());
    CHECK(!ControlGroups(none.root()).memory_limit());
    CHECK(!ControlGroups(none.root()).cores());
    const System unknown;
    CHECK(unknown.free() > 0);
}

TEST_CASE("a version 2 group leaves its limit minus what is used, without the page cache") {
    needs_meminfo();
    System system;
    system.version_2(8000, "/box");
    system.mib("sys/fs/cgroup/box/memory.max", 1000).mib("sys/fs/cgroup/box/memory.current", 600);
    CHECK_EQUAL(system.free(), 400U);
    const auto stat = [](std::uint64_t active, std::uint64_t inactive) {
        return "anon 7\nfile 999999999999\nactive_file " + std::to_string(active * kMiB) +
               "\ninactive_file " + std::to_string(inactive * kMiB) + "\n";
    };
    system.file("sys/fs/cgroup/box/memory.stat", stat(100, 150));
    CHECK_EQUAL(system.free(), 650U);
    system.file("sys/fs/cgroup/box/memory.stat", stat(5000, 150));  // more than is used in all
    CHECK_EQUAL(system.free(), 1000U);
    system.mib("sys/fs/cgroup/box/memory.high", 700);
    CHECK_EQUAL(system.free(), 700U);
    CHECK_EQUAL(*ControlGroups(system.root()).memory_limit() / kMiB, 700U);
    system.mib("sys/fs/cgroup/box/memory.high", 90000);
    system.mib("sys/fs/cgroup/box/memory.max", 80000);
    CHECK_EQUAL(system.free(), 8000U);  // the machine has no more
}

TEST_CASE("the parents of a version 2 group limit it, too") {
    System system;
    system.version_2(8000, "/outer/middle/inner");
    system.file("sys/fs/cgroup/outer/middle/inner/memory.max", "max\n");
    system.mib("sys/fs/cgroup/outer/middle/memory.max", 900)
        .mib("sys/fs/cgroup/outer/middle/memory.current", 100);
    CHECK_EQUAL(system.free(), 800U);
    system.mib("sys/fs/cgroup/outer/memory.max", 700)
        .mib("sys/fs/cgroup/outer/memory.current", 650);
    CHECK_EQUAL(system.free(), 50U);
    system.mib("sys/fs/cgroup/outer/memory.current", 800);  // over its limit
    CHECK_EQUAL(system.free(), 0U);
    system.mib("sys/fs/cgroup/memory.max", 1);  // in a container the root has limits, too
    CHECK_EQUAL(*ControlGroups(system.root()).memory_limit() / kMiB, 1U);
}

TEST_CASE("a group outside the mounted hierarchy is limited by the mount") {
    System system;
    system.version_2(8000, "/../../elsewhere");
    system.mib("sys/fs/cgroup/memory.max", 300).mib("sys/fs/cgroup/memory.current", 100);
    CHECK_EQUAL(system.free(), 200U);
    // A container without a namespace of its own: the mount shows a part of the hierarchy.
    system.file("proc/self/cgroup", "0::/docker/abc/job\n");
    system.file("proc/self/mountinfo",
                "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n");
    system.mib("sys/fs/cgroup/job/memory.max", 150);
    CHECK_EQUAL(system.free(), 150U);
}

TEST_CASE("version 1 groups limit memory, alone and beside version 2") {
    needs_meminfo();
    System system;
    system.version_2(8000, "/");
    system.file("proc/self/cgroup", "9:name=systemd:/\n4:hugetlb,memory:/box/job\n0::/\n");
    system.file("proc/self/mountinfo",
                "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
                "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
                "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    const std::string job = "sys/fs/cgroup/memory/box/job/";
    system.file(job + "memory.limit_in_bytes", "9223372036854771712\n");
    CHECK_EQUAL(system.free(), 8000U);
    system.mib(job + "memory.limit_in_bytes", 200).mib(job + "memory.usage_in_bytes", 120);
    CHECK_EQUAL(system.free(), 80U);
    system.file(job + "memory.stat", "inactive_file 1\ntotal_inactive_file " +
                                         std::to_string(20 * kMiB) + "\ntotal_active_file 0\n");
    CHECK_EQUAL(system.free(), 100U);
    system.mib("sys/fs/cgroup/memory/box/memory.limit_in_bytes", 60);
    CHECK_EQUAL(system.free(), 60U);
    system.file(job + "memory.stat", "hierarchical_memory_limit " + std::to_string(150 * kMiB));
    system.mib("sys/fs/cgroup/memory/box/memory.limit_in_bytes", 6000);
    CHECK_EQUAL(system.free(), 30U);
}

TEST_CASE("a file without a number limits nothing") {
    needs_meminfo();
    for (const std::string text :
         {"", "\n", "max\n", "-1\n", "12abc\n", "1e9\n", "99999999999999999999999999\n", " \0"}) {
        System system;
        system.version_2(1000, "/box");
        system.file("sys/fs/cgroup/box/memory.max", text);
        system.file("sys/fs/cgroup/box/memory.high", text);
        system.file("sys/fs/cgroup/box/memory.current", text);
        system.file("sys/fs/cgroup/box/memory.stat", text);
        system.file("sys/fs/cgroup/box/cpu.max", text + " " + text);
        CHECK_EQUAL(system.free(), 1000U);
        CHECK(!ControlGroups(system.root()).cores());
    }
    for (const std::string text : {"", ":", "::", "0:\n", "0::\n", "4:memory\n", "\n\n\n"}) {
        System system;
        system.version_2(1000, "/box");
        system.file("proc/self/cgroup", text);
        CHECK_EQUAL(system.free(), 1000U);
        system.file("proc/self/cgroup", "0::/box\n").file("proc/self/mountinfo", text);
        CHECK_EQUAL(system.free(), 1000U);
        system.file("proc/self/mountinfo", "- - -\n1 2 3 4 5 6 -\n1 2 3 4 5 - cgroup2\n");
        CHECK_EQUAL(system.free(), 1000U);
        system.file("proc/meminfo", text + "MemAvailable: many kB\n");
        CHECK(system.free() > 0);
    }
}

TEST_CASE("processors are those of the quota, rounded up, and never more than there are") {
    const int all = usable_cores(System().root());
    CHECK(all >= 1);
    System system;
    system.version_2(1000, "/outer/box");
    const auto of = [&](const std::string& text) {
        system.file("sys/fs/cgroup/outer/box/cpu.max", text);
        return usable_cores(system.root());
    };
    CHECK_EQUAL(of("max 100000\n"), all);
    CHECK_EQUAL(of("50000 100000\n"), 1);
    CHECK_EQUAL(of("0 100000\n"), 1);
    CHECK_EQUAL(of("100000 0\n"), all);
    CHECK_EQUAL(of("999999999999 1\n"), all);
    CHECK_EQUAL(of("110000 100000\n"), std::min(all, 2));
    system.file("sys/fs/cgroup/outer/cpu.max", "100000 100000\n");
    CHECK_EQUAL(of("max 100000\n"), 1);
    System first;
    first.file("proc/self/cgroup", "3:cpu,cpuacct:/box\n");
    first.file("proc/self/mountinfo",
               "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
    first.file("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n");
    first.file("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    CHECK_EQUAL(usable_cores(first.root()), all);
    first.file("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "70000\n");
    CHECK_EQUAL(usable_cores(first.root()), 1);
}

TEST_CASE("threads are no more than the usable cores") {
    const int cores = usable_cores();
    for (const int asked : {1 << 29, 1 << 30, 2147483647, cores + 1}) {
        CHECK_EQUAL(thread_count(asked), cores);
    }
    CHECK_EQUAL(thread_count(1), 1);
    CHECK(thread_count(0) >= 1 && thread_count(0) <= cores);
}

int main() {
    return check::run_all();
}
