// Mutates networks and loads and runs each: none may crash, run long, take much memory, or give
// different results each time. Cases are numbered; a case depends on its number and the seed alone.
//
//   fuzz_network [--cases N] [--seconds S] [--seed N] [--only CASE] [--network FILE.param]...
//
// Cases run in a child process, which is started anew behind a case that ends it. Beside the small
// networks of fuzz_seeds.hpp, the files given with --network are mutated, too. With --only one case
// runs in this process, and its files are kept. Exits with 1 when a case fails.

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "model/fuzz_seeds.hpp"
#include "model/graph.hpp"
#include "model/layer_weights.hpp"
#include "realesrgan/errors.hpp"
#include "realesrgan/upscaler.hpp"
#include "support/picture.hpp"
#include "support/temporary_folder.hpp"

using namespace realesrgan;  // NOLINT(google-build-using-namespace)

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr double kSlower = 8.0;
#else
constexpr double kSlower = 1.0;
#endif
constexpr double kMostSeconds = 1.0 * kSlower;      // of the processor's time, for a case
constexpr long kMostKilobytes = 1 << 20;            // resident, at any time
constexpr std::uint64_t kMemoryLimit = 256U << 20;  // that runs are told
constexpr std::int64_t kMostWeights = 1 << 20;      // that are made for a mutated network

struct Arguments {
    std::uint64_t cases = ~std::uint64_t{0};
    double seconds = 0;
    std::uint64_t seed = 1;
    std::int64_t only = -1;
    std::vector<std::string> networks;
};

struct Network {
    std::string param;
    std::string bin;  // empty: made to fit
};

// What the child tells the parent.
struct Shared {
    std::atomic<std::uint64_t> current;  // the case that runs
    std::atomic<std::uint64_t> loaded;
    std::atomic<std::uint64_t> ran;
    std::atomic<std::uint64_t> streamed;
    std::atomic<std::uint64_t> failures;
};

class Random {
  public:
    explicit Random(std::uint64_t seed) : generator_(seed) {}

    std::size_t below(std::size_t count) {
        return static_cast<std::size_t>(generator_() % static_cast<std::uint64_t>(count));
    }
    bool once_in(std::size_t count) { return below(count) == 0; }
    template <typename List>
    const auto& of(const List& list) {
        return list[below(std::size(list))];
    }
    float number() {
        return static_cast<float>(static_cast<double>(generator_() >> 40U) / (1U << 24U) - 0.5);
    }

  private:
    std::mt19937_64 generator_;
};

const char* const kNumbers[] = {
    "0",          "1",    "2",       "3",       "4",       "5",          "7",
    "8",          "12",   "16",      "17",      "32",      "48",         "63",
    "64",         "65",   "127",     "128",     "255",     "256",        "1023",
    "1024",       "4095", "65535",   "65536",   "1048576", "2147483647", "-2147483648",
    "2147483648", "-1",   "-2",      "-3",      "-233",    "-234",       "0.5",
    "-0.5",       "1.5",  "0.25",    "1e-3",    "1e9",     "3e38",       "1e39",
    "-1e9",       "nan",  "2.0e+00", "1.0,2.0", "1,2,3",   "-233,2",     "\"0w,0h\""};

const char* const kKinds[] = {"AbsVal",
                              "BatchNorm",
                              "Bias",
                              "BinaryOp",
                              "Cast",
                              "Clip",
                              "Concat",
                              "Convolution",
                              "ConvolutionDepthWise",
                              "CopyTo",
                              "Crop",
                              "Deconvolution",
                              "DeconvolutionDepthWise",
                              "DeepCopy",
                              "Dropout",
                              "ELU",
                              "Einsum",
                              "Eltwise",
                              "Erf",
                              "Exp",
                              "ExpandDims",
                              "Flatten",
                              "Flip",
                              "Fold",
                              "GELU",
                              "GLU",
                              "Gemm",
                              "GridSample",
                              "GroupNorm",
                              "HardSigmoid",
                              "HardSwish",
                              "InnerProduct",
                              "Input",
                              "InstanceNorm",
                              "Interp",
                              "LayerNorm",
                              "Log",
                              "MVN",
                              "MatMul",
                              "MemoryData",
                              "Mish",
                              "MultiHeadAttention",
                              "Noop",
                              "Normalize",
                              "PReLU",
                              "Packing",
                              "Padding",
                              "Permute",
                              "PixelShuffle",
                              "Pooling",
                              "Power",
                              "RMSNorm",
                              "ReLU",
                              "Reduction",
                              "Reorg",
                              "Reshape",
                              "SDPA",
                              "Scale",
                              "ShuffleChannel",
                              "Sigmoid",
                              "Slice",
                              "Softmax",
                              "Softplus",
                              "Split",
                              "Squeeze",
                              "Swish",
                              "TanH",
                              "Tile",
                              "UnaryOp",
                              "Unfold"};

using Line = std::vector<std::string>;

std::vector<Line> lines_of(const std::string& text) {
    std::vector<Line> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        lines.emplace_back(std::istream_iterator<std::string>(words),
                           std::istream_iterator<std::string>());
    }
    return lines;
}

std::string text_of(const std::vector<Line>& lines) {
    std::string text;
    for (const Line& line : lines) {
        for (const std::string& word : line) text += (&word == line.data() ? "" : " ") + word;
        text += '\n';
    }
    return text;
}

void mutate_digit(std::string& word, Random& random) {
    for (std::size_t tries = 0; tries < 8 && !word.empty(); ++tries) {
        char& letter = word[random.below(word.size())];
        if (letter < '0' || letter > '9') continue;
        letter = static_cast<char>('0' + random.below(10));
        return;
    }
}

// The number behind the equals sign, or the whole word.
void mutate_number(std::string& word, Random& random) {
    const std::size_t equals = word.find('=');
    const std::size_t start = equals == std::string::npos ? 0 : equals + 1;
    std::size_t at = start;
    if (const std::size_t commas =
            static_cast<std::size_t>(std::count(word.begin(), word.end(), ','));
        commas > 0 && random.below(4) > 0) {
        for (std::size_t skip = random.below(commas + 1); skip > 0; --skip)
            at = word.find(',', at) + 1;
    }
    const std::size_t end = std::min(word.find(',', at), word.size());
    word = word.substr(0, at) + random.of(kNumbers) + word.substr(end);
}

// One change of one line or of two. Lines 0 and 1 are the header.
void mutate_line(std::vector<Line>& lines, Random& random) {
    const std::size_t at = random.below(lines.size());
    Line& line = lines[at];
    if (line.empty()) return;
    std::string& word = line[random.below(line.size())];
    switch (random.below(14)) {
        case 0:
        case 1:
        case 2:
            return mutate_number(word, random);
        case 3:
        case 4:
            return mutate_digit(word, random);
        case 5:
            line[0] = random.of(kKinds);
            return;
        case 6:
            line.erase(line.begin() + static_cast<std::ptrdiff_t>(random.below(line.size())));
            return;
        case 7:
            line.insert(line.begin() + static_cast<std::ptrdiff_t>(random.below(line.size() + 1)),
                        std::string(random.of(line)));
            return;
        case 8:
            line.push_back(std::to_string(random.below(32)) + "=" + random.of(kNumbers));
            return;
        case 9:
            if (lines.size() > 3) lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(at));
            return;
        case 10: {
            const Line copy = random.of(lines);
            lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(at), copy);
            return;
        }
        case 11:
            std::swap(lines[at], lines[random.below(lines.size())]);
            return;
        case 12: {  // another blob, or another name
            const Line& other = random.of(lines);
            if (!other.empty()) word = random.of(other);
            return;
        }
        default:
            word.insert(random.below(word.size() + 1), 1, static_cast<char>(random.below(256)));
    }
}

// What the first two numbers of each line say, where they say something else.
void mend_counts(std::vector<Line>& lines) {
    std::size_t blobs = 0;
    for (std::size_t i = 2; i < lines.size(); ++i) {
        if (lines[i].size() > 3) blobs += static_cast<std::size_t>(std::atoi(lines[i][3].c_str()));
    }
    if (lines.size() > 2) lines[1] = {std::to_string(lines.size() - 2), std::to_string(blobs)};
}

void mutate_bytes(std::string& bytes, Random& random) {
    if (bytes.empty()) return;
    switch (random.below(4)) {
        case 0:
            bytes.resize(random.below(bytes.size()));
            return;
        case 1:
            bytes.append(random.below(64), static_cast<char>(random.below(256)));
            return;
        default:
            bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    }
}

// Weights of a network that can be read; empty where it cannot, or needs many.
std::string fitting_weights(const std::string& param_path, Random& random) {
    std::string bytes;
    try {
        const Graph graph = read_graph(param_path);
        std::int64_t total = 0;
        for (const Layer& layer : graph.layers) {
            for (const WeightBlock& block : weight_blocks(layer)) {
                total += block.count;
                if (total > kMostWeights) return {};
            }
        }
        for (const Layer& layer : graph.layers) {
            for (const WeightBlock& block : weight_blocks(layer)) {
                if (block.tagged) bytes.append(4, '\0');
                for (std::int64_t i = 0; i < block.count; ++i) {
                    const float number = random.number();
                    // Variances and factors are bare numbers, and positive.
                    const float value = block.tagged ? number : std::abs(number) + 0.1F;
                    char raw[sizeof(value)];
                    std::memcpy(raw, &value, sizeof(value));
                    bytes.append(raw, sizeof(raw));
                }
            }
        }
    } catch (const Error&) {
        return {};
    }
    return bytes;
}

void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

// Whether a network's numbers are of the size that networks have, so that both ways of running it
// must agree; sums of very large numbers depend on their order.
bool has_usual_numbers(const std::string& param_path) {
    constexpr float kMost = 16.0F;
    const auto usual = [](float value) { return std::abs(value) <= kMost; };
    try {
        const Graph graph = read_graph(param_path);
        for (const Layer& layer : graph.layers) {
            for (const auto& [id, value] : layer.params) {
                const auto* real = std::get_if<float>(&value);
                const std::vector<float> list = layer.array(id);
                if ((real != nullptr && !usual(*real)) ||
                    !std::all_of(list.begin(), list.end(), usual)) {
                    return false;
                }
            }
        }
    } catch (const Error&) {
        return false;
    }
    return true;
}

// The seed network, mutated, as STEM.param and STEM.bin. Tells whether the weights are whole and so
// that both ways of running it must agree: a deep network with random ones enlarges its rounding.
bool write_case(const Network& network, const std::string& stem, Random& random) {
    std::vector<Line> lines = lines_of(network.param);
    for (std::size_t changes = random.below(4); changes > 0 && !lines.empty(); --changes) {
        mutate_line(lines, random);
    }
    if (!random.once_in(4)) mend_counts(lines);
    std::string param = text_of(lines);
    if (random.once_in(16)) mutate_bytes(param, random);
    write(stem + ".param", param);
    std::string bin = network.bin;
    if (bin.empty() || random.once_in(2)) bin = fitting_weights(stem + ".param", random);
    if (bin.empty()) bin = std::string(256, '\0');
    const bool whole = !random.once_in(8);
    if (!whole) mutate_bytes(bin, random);
    write(stem + ".bin", bin);
    return whole && (network.bin.empty() || bin == network.bin);
}

Picture run(const Upscaler& upscaler, const Picture& picture) {
    const NetworkInfo& network = upscaler.network();
    Picture result(picture.width * network.scale, picture.height * network.scale,
                   network.output_channels);
    upscaler.run(picture.view(), result.writable());
    return result;
}

// What memory has that is allocated from now on, so that a result made of such memory shows.
void fill_memory(int byte) {
#if defined(__GLIBC__)
    mallopt(M_PERTURB, byte);
#else
    static_cast<void>(byte);
#endif
}

// Keeps freed memory in the process. A case frees and allocates large blocks many times; as
// mappings of their own each was cleared anew by the kernel, which took up to nine tenths of a
// case's time.
void keep_memory() {
#if defined(__GLIBC__)
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 64 << 20);
#endif
}

// The result, and that of a second run on memory that held other numbers before; nothing where the
// network is refused.
std::unique_ptr<Picture> run_twice(const std::string& stem, const Options& options,
                                   const Picture& sample, Shared& shared, std::string& failure) {
    try {
        const Upscaler upscaler(stem + ".param", stem + ".bin", options);
        ++shared.loaded;
        Picture picture =
            Picture::random(sample.width, sample.height, 7, upscaler.network().input_channels);
        upscaler.plan(picture.width, picture.height);
        fill_memory(0x5A);
        auto first = std::make_unique<Picture>(run(upscaler, picture));
        fill_memory(0xA5);
        const Picture second = run(upscaler, picture);
        ++shared.ran;
        if (options.tile == kTileAuto && upscaler.network().row_local) ++shared.streamed;
        const bool same = std::memcmp(first->samples.data(), second.samples.data(),
                                      second.samples.size() * sizeof(float)) == 0;
        if (!same) failure = "two runs of the same picture differ";
        return first;
    } catch (const Error&) {
        return nullptr;
    }
}

std::string run_case(const std::string& stem, bool whole_weights, Random& random, Shared& shared) {
    // The largest is cut into tiles of 32.
    const int sides[] = {1, 2, 3, 7, 9, 16, 34};
    const Picture sample(random.of(sides), random.of(sides));
    Options options;
    options.threads = 1;
    options.memory_limit = kMemoryLimit;
    std::string failure;
    const auto streamed = run_twice(stem, options, sample, shared, failure);
    options.tile = kTileWhole;
    const auto whole = run_twice(stem, options, sample, shared, failure);
    if (sample.width > 32 || sample.height > 32) {
        options.tile = 32;
        run_twice(stem, options, sample, shared, failure);
    }
    constexpr float kMost = 0.01F;
    const bool comparable = streamed && whole && whole_weights;
    if (comparable && has_usual_numbers(stem + ".param") &&
        largest_difference(*streamed, *whole) > kMost) {
        failure = "the stream and the whole picture at once differ by " +
                  std::to_string(largest_difference(*streamed, *whole));
    }
    return failure;
}

double processor_seconds() {
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

long resident_kilobytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

std::uint64_t seed_of(const Arguments& arguments, std::uint64_t number) {
    return arguments.seed * 1000000007U + number;
}

// One case from its number; what is wrong, or nothing.
std::string attempt_once(const Arguments& arguments, const std::vector<Network>& networks,
                         std::uint64_t number, const std::string& stem, Shared& shared) {
    Random random(seed_of(arguments, number));
    const bool whole_weights = write_case(random.of(networks), stem, random);
    try {
        return run_case(stem, whole_weights, random, shared);
    } catch (const std::exception& error) {
        return std::string("an exception that is none of the library's: ") + error.what();
    }
}

// Processor time of the slowest of the networks as they are.
double slowest_network(const std::vector<Network>& networks, const std::string& stem) {
    double slowest = 0;
    for (const Network& network : networks) {
        Random random(0);
        write(stem + ".param", network.param);
        write(stem + ".bin",
              network.bin.empty() ? fitting_weights(stem + ".param", random) : network.bin);
        Shared uncounted{};
        const double start = processor_seconds();
        run_case(stem, true, random, uncounted);
        slowest = std::max(slowest, processor_seconds() - start);
    }
    return slowest;
}

// By how much the machine is slower now than at its best so far, at least 1: on a virtual machine
// whose memory and cores others use, too, the same case takes up to four times the processor time.
double slowdown(const std::vector<Network>& networks, const std::string& stem) {
    static double best = std::numeric_limits<double>::max();
    const double now = slowest_network(networks, stem);
    best = std::min(best, now);
    return now / best;
}

// One case, repeated while it takes too long for what the machine gives in the same moment; the
// shortest time counts.
std::string attempt(const Arguments& arguments, const std::vector<Network>& networks,
                    std::uint64_t number, const std::string& stem, Shared& shared) {
    constexpr int kTries = 4;
    double least = 0;
    for (int i = 0; i < kTries; ++i) {
        const double start = processor_seconds();
        std::string failure = attempt_once(arguments, networks, number, stem, shared);
        const double seconds = processor_seconds() - start;
        if (!failure.empty() || seconds <= kMostSeconds) return failure;
        const double usual = seconds / slowdown(networks, stem + "_seed");
        if (usual <= kMostSeconds) return {};
        least = i == 0 ? usual : std::min(least, usual);
    }
    return "took " + std::to_string(least) + " s";
}

void report(const Arguments& arguments, std::uint64_t number, const std::string& what) {
    std::cout << "case " << number << " (--seed " << arguments.seed << " --only " << number
              << "): " << what << std::endl;
}

// Ends the process with SIGPROF after 60 seconds of processor time in one case (an endless loop),
// and with SIGALRM after 600 seconds of wall time (a deadlock; a busy machine may take long for a
// case that takes little time itself).
void limit_time() {
    const itimerval limit{{0, 0}, {60, 0}};
    setitimer(ITIMER_PROF, &limit, nullptr);
    alarm(600);
}

std::string describe(int signal) {
    if (signal == SIGPROF) return "took more than 60 s of processor time";
    if (signal == SIGALRM) return "did not end within 600 s";
    return "ended with signal " + std::to_string(signal);
}

// Runs cases from `first` on; ends at the last, at the time, or with the process.
[[noreturn]] void run_child(const Arguments& arguments, const std::vector<Network>& networks,
                            std::uint64_t first, double seconds, const std::string& stem,
                            Shared& shared) {
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 3; ++i) slowdown(networks, stem + "_seed");  // finds the best
    long most = resident_kilobytes() + kMostKilobytes;
    for (std::uint64_t number = first; number < arguments.cases; ++number) {
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
        if (seconds > 0 && passed.count() > seconds) break;
        shared.current = number;
        limit_time();
        std::string failure = attempt(arguments, networks, number, stem, shared);
        if (resident_kilobytes() > most) {
            failure = "took " + std::to_string(resident_kilobytes() / 1024) + " MiB";
            most = resident_kilobytes() + kMostKilobytes;
        }
        if (!failure.empty()) {
            report(arguments, number, failure);
            ++shared.failures;
        }
        shared.current = number + 1;
    }
    std::cout.flush();
    _exit(0);
}

bool is_option(const std::string& name) {
    const std::set<std::string> names{"--cases", "--seconds", "--seed", "--only", "--network"};
    return names.count(name) != 0;
}

Arguments parse(int count, char** values) {
    Arguments arguments;
    for (int i = 1; i < count; i += 2) {
        const std::string name = values[i];
        if (!is_option(name) || i + 1 == count) {
            std::cerr << "fuzz_network [--cases N] [--seconds S] [--seed N] [--only CASE] "
                         "[--network FILE.param]...\n";
            std::exit(2);
        }
        const std::string value = values[i + 1];
        if (name == "--cases") arguments.cases = std::stoull(value);
        if (name == "--seconds") arguments.seconds = std::stod(value);
        if (name == "--seed") arguments.seed = std::stoull(value);
        if (name == "--only") arguments.only = std::stoll(value);
        if (name == "--network") arguments.networks.push_back(value);
    }
    if (arguments.seconds == 0 && arguments.cases == ~std::uint64_t{0}) arguments.cases = 1000;
    return arguments;
}

std::string content(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<Network> read_networks(const Arguments& arguments) {
    std::vector<Network> networks;
    for (const std::string& param : fuzz::seeds()) networks.push_back({param, ""});
    for (const std::string& path : arguments.networks) {
        const std::string stem = path.substr(0, path.size() - std::strlen(".param"));
        networks.push_back({content(path), content(stem + ".bin")});
    }
    return networks;
}

// Every seed network as it is must load and run, or its mutations tell nothing.
std::uint64_t check_seeds(const std::vector<Network>& networks, const std::string& stem) {
    std::uint64_t failures = 0;
    for (std::size_t i = 0; i < networks.size(); ++i) {
        Random random(i);
        write(stem + ".param", networks[i].param);
        const std::string made =
            networks[i].bin.empty() ? fitting_weights(stem + ".param", random) : networks[i].bin;
        write(stem + ".bin", made.empty() ? std::string(4, '\0') : made);
        try {
            for (const int tile : {kTileAuto, kTileWhole}) {
                Options options;
                options.threads = 1;
                options.tile = tile;
                const Upscaler upscaler(stem + ".param", stem + ".bin", options);
                run(upscaler, Picture::random(16, 16, 7, upscaler.network().input_channels));
            }
        } catch (const std::exception& error) {
            std::cout << "seed network " << i << ": " << error.what() << std::endl;
            ++failures;
        }
    }
    return failures;
}

int run_all(const Arguments& arguments, const std::vector<Network>& networks,
            const std::string& stem) {
    void* memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Shared& shared = *new (memory) Shared{};
    const auto start = std::chrono::steady_clock::now();
    for (bool done = false; !done;) {
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
        const double left = arguments.seconds > 0 ? arguments.seconds - passed.count() : 0;
        if (arguments.seconds > 0 && left <= 0) break;
        const std::uint64_t first = shared.current;
        const pid_t child = fork();
        if (child == 0) run_child(arguments, networks, first, left, stem, shared);
        int status = 0;
        waitpid(child, &status, 0);
        done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (!done) {
            const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
            report(arguments, shared.current,
                   signal != 0 ? describe(signal)
                               : "ended with " + std::to_string(WEXITSTATUS(status)));
            ++shared.failures;
            ++shared.current;
        }
    }
    std::cout << shared.current << " mutated networks: " << shared.loaded << " loads, "
              << shared.ran << " runs (" << shared.streamed << " in the row stream), "
              << shared.failures << " failures" << std::endl;
    return shared.failures == 0 ? 0 : 1;
}

// Seeds are tried in a process of their own: a process that has used OpenMP must not fork.
int seeds_failed(const std::vector<Network>& networks, const std::string& stem) {
    const pid_t child = fork();
    if (child == 0) {
        const std::uint64_t failures = check_seeds(networks, stem);
        _exit(failures == 0 ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

}  // namespace

int main(int count, char** values) {
    keep_memory();
    const Arguments arguments = parse(count, values);
    const std::vector<Network> networks = read_networks(arguments);
    if (arguments.only >= 0) {
        Shared shared{};
        const std::string stem = "fuzz_case";
        const std::string failure =
            attempt(arguments, networks, static_cast<std::uint64_t>(arguments.only), stem, shared);
        std::cout << stem << ".param, " << stem << ".bin: " << (failure.empty() ? "fine" : failure)
                  << ", " << resident_kilobytes() / 1024 << " MiB\n";
        return failure.empty() ? 0 : 1;
    }
    const TemporaryFolder folder;
    const std::string stem = folder.file("network");
    return seeds_failed(networks, stem) != 0 ? 1 : run_all(arguments, networks, stem);
}
