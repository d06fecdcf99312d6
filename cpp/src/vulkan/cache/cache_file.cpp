#include "vulkan/cache/cache_file.hpp"

#include <gpu.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <system_error>
#include <utility>

#include "base/escape.hpp"
#include "base/integers.hpp"

#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace realesrgan::vulkan {

namespace fs = std::filesystem;

namespace {

constexpr std::uintmax_t kLargest = std::uintmax_t{256} << 20;  // larger files are not read

#if defined(_WIN32)
// As UTF-16: the other function would lose what the code page does not have.
fs::path variable(const char* name) {
    const wchar_t* value = _wgetenv(std::wstring(name, name + std::strlen(name)).c_str());
    return value == nullptr ? fs::path() : fs::path(value);
}
#else
fs::path variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? fs::path() : fs::path(value);
}
#endif

struct Notices {
    std::mutex mutex;
    std::set<std::string> known;
    std::vector<std::string> untold;
};

Notices& notices() {
    static auto* const all = new Notices;  // may be used while the process exits
    return *all;
}

#if defined(_WIN32)
Bytes read_private(const std::string& path, bool /*secret*/) {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(fs::u8path(path), error);  // of a regular file only
    std::ifstream file(fs::u8path(path), std::ios::binary);
    if (error || !file || size > kLargest) return {};
    Bytes bytes(static_cast<std::size_t>(size));
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(file.gcount()));
    return bytes;
}

bool write_new(const fs::path& path, const Bytes& bytes) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    file.flush();
    return static_cast<bool>(file);
}

void make_folder(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
}
#else
void notice(const std::string& path) {
    Notices& all = notices();
    const std::lock_guard<std::mutex> lock(all.mutex);
    if (!all.known.insert(path).second) return;
    all.untold.push_back("the cache at " + shown_path(path) +
                         " is not read, because it belongs to another user or others may write to "
                         "it; make it yours alone (chmod go-w), or delete it");
}

// Whether only this user and system users can have written it.
bool is_private(const struct stat& status) {
    return (status.st_uid == geteuid() || status.st_uid == 0) &&
           (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

class Descriptor {
  public:
    explicit Descriptor(int value) : value_(value) {}
    ~Descriptor() {
        if (value_ >= 0) close(value_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int value() const { return value_; }

  private:
    int value_;
};

// `secret`: must not be readable by others, either.
Bytes read_private(const std::string& path, bool secret) {
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status = {};
    if (file.value() < 0 || fstat(file.value(), &status) != 0 || !S_ISREG(status.st_mode))
        return {};
    const std::string folder = fs::path(path).parent_path().string();
    struct stat around = {};
    if (stat(folder.c_str(), &around) != 0) return {};
    if (!is_private(around)) {
        notice(folder);
        return {};
    }
    if (!is_private(status) || (secret && (status.st_mode & (S_IRGRP | S_IROTH)) != 0)) {
        notice(path);
        return {};
    }
    if (static_cast<std::uintmax_t>(status.st_size) > kLargest) return {};
    Bytes bytes(static_cast<std::size_t>(status.st_size));
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count = read(file.value(), bytes.data() + done, bytes.size() - done);
        if (count <= 0) break;
        done += static_cast<std::size_t>(count);
    }
    bytes.resize(done);
    return bytes;
}

bool write_new(const fs::path& path, const Bytes& bytes) {
    const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    std::size_t done = 0;
    while (file.value() >= 0 && done < bytes.size()) {
        const ssize_t count = write(file.value(), bytes.data() + done, bytes.size() - done);
        if (count <= 0) return false;
        done += static_cast<std::size_t>(count);
    }
    return file.value() >= 0;
}

void make_folder(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder.parent_path(), error);
    mkdir(folder.c_str(), 0700);
}
#endif

// Writes a temporary file beside `path` and returns its name; empty if it cannot be written.
fs::path write_partial(const fs::path& path, const Bytes& bytes) {
    make_folder(path.parent_path());
    fs::path partial = path;
    partial += "." + hexadecimal(std::random_device{}()) + ".partial";
    if (write_new(partial, bytes)) return partial;
    std::error_code error;
    fs::remove(partial, error);
    return {};
}

fs::path key_path(const std::string& sealed) {
    return fs::u8path(sealed).parent_path() / "key";
}

std::optional<SealKey> read_key(const fs::path& path) {
    const Bytes bytes = read_private(path.u8string(), true);
    SealKey key;
    if (bytes.size() != sizeof(key)) return std::nullopt;
    std::memcpy(key.data(), bytes.data(), sizeof(key));
    return key;
}

// The key in the file; a new one where there is none that can be used. Of several processes that
// make one, the first one's counts.
std::optional<SealKey> key_for(const fs::path& path) {
    if (const auto key = read_key(path)) return key;
    std::random_device random;
    Bytes bytes(sizeof(SealKey));
    for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random());
    const fs::path partial = write_partial(path, bytes);
    if (partial.empty()) return std::nullopt;
    std::error_code error;
    fs::create_hard_link(partial, path, error);
    std::optional<SealKey> key = read_key(path);
    if (!key) {  // no such link here, or a damaged file
        fs::rename(partial, path, error);
        key = read_key(path);
    }
    fs::remove(partial, error);
    return key;
}

// The name is that of a device and a kind of file.
std::uint64_t code_of(const SealKey& key, const std::string& path, const Bytes& content) {
    const std::string name = fs::u8path(path).filename().u8string();
    Bytes all(name.begin(), name.end());
    all.push_back(0);
    all.insert(all.end(), content.begin(), content.end());
    return seal_code(key, all.data(), all.size());
}

}  // namespace

fs::path cache_folder() {
    if (const fs::path given = variable("REALESRGAN_VK_CACHE"); !given.empty()) return given;
#ifdef _WIN32
    const fs::path base = variable("LOCALAPPDATA");
#else
    fs::path base = variable("XDG_CACHE_HOME");
    if (base.empty() && !variable("HOME").empty()) base = variable("HOME") / ".cache";
#endif
    return base.empty() ? fs::path() : base / "realesrgan-vk";
}

std::uint64_t checksum(const unsigned char* data, std::size_t size) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (std::size_t i = 0; i < size; i++) hash = (hash ^ data[i]) * 0x100000001b3U;
    return hash;
}

std::string hexadecimal(std::uint64_t value) {
    std::string digits(16, '0');
    for (int i = 15; i >= 0; i--, value >>= 4) digits[idx(i)] = "0123456789abcdef"[value & 15];
    return digits;
}

std::string cache_file_path(const ncnn::GpuInfo& info, const std::string& kind) {
    const fs::path folder = cache_folder();
    if (folder.empty()) return "";
    Bytes identity(info.pipeline_cache_uuid(), info.pipeline_cache_uuid() + VK_UUID_SIZE);
    for (const std::uint32_t part : {info.vendor_id(), info.device_id(), info.driver_version()}) {
        for (int shift = 0; shift < 32; shift += 8)
            identity.push_back(static_cast<unsigned char>(part >> shift));
    }
    for (const char* c = info.device_name(); *c != 0; c++)
        identity.push_back(static_cast<unsigned char>(*c));
    const std::string name = kind + "-" + hexadecimal(checksum(identity.data(), identity.size()));
    return (folder / name).u8string();
}

Bytes read_cache_file(const std::string& path) {
    return read_private(path, false);
}

void write_cache_file(const std::string& path, const Bytes& bytes) {
    if (path.empty()) return;
    const fs::path partial = write_partial(fs::u8path(path), bytes);
    if (partial.empty()) return;
    std::error_code error;
    fs::rename(partial, fs::u8path(path), error);
    if (error) fs::remove(partial, error);
}

void remove_cache_file(const std::string& path) {
    std::error_code error;
    if (!path.empty()) fs::remove(fs::u8path(path), error);
}

Bytes read_sealed_file(const std::string& path) {
    Bytes bytes = read_cache_file(path);
    std::uint64_t stored = 0;
    if (bytes.size() < sizeof(stored)) return {};
    const std::optional<SealKey> key = read_key(key_path(path));
    const std::size_t size = bytes.size() - sizeof(stored);
    std::memcpy(&stored, bytes.data() + size, sizeof(stored));
    bytes.resize(size);
    if (!key || stored != code_of(*key, path, bytes)) return {};
    return bytes;
}

void write_sealed_file(const std::string& path, Bytes bytes) {
    if (path.empty()) return;
    const std::optional<SealKey> key = key_for(key_path(path));
    if (!key) return;
    const std::uint64_t code = code_of(*key, path, bytes);
    const auto* tail = reinterpret_cast<const unsigned char*>(&code);
    bytes.insert(bytes.end(), tail, tail + sizeof(code));
    write_cache_file(path, bytes);
}

std::uint64_t seal_code(const SealKey& key, const unsigned char* data, std::size_t size) {
    std::array<std::uint64_t, 4> v = {key[0] ^ 0x736f6d6570736575U, key[1] ^ 0x646f72616e646f6dU,
                                      key[0] ^ 0x6c7967656e657261U, key[1] ^ 0x7465646279746573U};
    const auto turn = [](std::uint64_t value, int bits) {
        return value << bits | value >> (64 - bits);
    };
    const auto round = [&] {
        v[0] += v[1];
        v[1] = turn(v[1], 13) ^ v[0];
        v[0] = turn(v[0], 32);
        v[2] += v[3];
        v[3] = turn(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = turn(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = turn(v[1], 17) ^ v[2];
        v[2] = turn(v[2], 32);
    };
    for (std::size_t at = 0; at <= size; at += 8) {
        std::uint64_t word = 0;
        const std::size_t count = std::min<std::size_t>(8, size - at);
        for (std::size_t i = 0; i < count; i++) word |= std::uint64_t{data[at + i]} << (8 * i);
        if (count < 8) word |= std::uint64_t{size & 0xff} << 56;
        v[3] ^= word;
        round();
        round();
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++) round();
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

std::vector<std::string> take_cache_notices() {
    Notices& all = notices();
    const std::lock_guard<std::mutex> lock(all.mutex);
    return std::exchange(all.untold, {});
}

}  // namespace realesrgan::vulkan
