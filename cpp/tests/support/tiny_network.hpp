#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

// Networks small enough to write here, as the .param and .bin files the core reads.
namespace tiny {

// A temporary folder for one test program.
class Folder {
  public:
    Folder() {
        std::random_device seed;
        path_ = std::filesystem::temp_directory_path() /
                ("realesrgan-test-" + std::to_string(seed()) + std::to_string(seed()));
        std::filesystem::create_directories(path_);
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::string file(const std::string& name, const std::string& content) const {
        const std::filesystem::path path = path_ / name;
        std::ofstream(path, std::ios::binary) << content;
        return path.string();
    }

  private:
    std::filesystem::path path_;
};

// Weights of one convolution after the other, as a .bin has them: a tag of 0 (fp32), the weights,
// the biases.
class Weights {
  public:
    explicit Weights(std::uint32_t seed = 1) : random_(seed) {}

    Weights& convolution(int out, int in, int kernel, float bound) {
        const std::size_t count = static_cast<std::size_t>(out * in * kernel * kernel);
        put(std::uint32_t{0});
        for (std::size_t i = 0; i < count; ++i) {
            put(uniform(bound));
        }
        return floats(std::vector<float>(static_cast<std::size_t>(out), 0.01F));
    }

    Weights& tagged(const std::vector<float>& weights, const std::vector<float>& biases) {
        put(std::uint32_t{0});
        return floats(weights).floats(biases);
    }

    Weights& floats(const std::vector<float>& values) {
        for (const float value : values) {
            put(value);
        }
        return *this;
    }

    const std::string& bytes() const { return bytes_; }

  private:
    float uniform(float bound) {
        return std::uniform_real_distribution<float>(-bound, bound)(random_);
    }

    template <typename Value>
    void put(Value value) {
        char raw[sizeof(Value)];
        std::memcpy(raw, &value, sizeof(Value));
        bytes_.append(raw, sizeof(Value));
    }

    std::mt19937 random_;
    std::string bytes_;
};

struct Network {
    std::string param;
    std::string bin;
};

// A small SRVGGNetCompact: two convolutions, a shuffle by 2, and the nearest picture added.
inline Network compact() {
    return {
        "7767517\n8 9\n"
        "Input in 0 1 data\n"
        "Split s 1 2 data a b\n"
        "Convolution c1 1 1 a f 0=16 1=3 4=1 5=1 6=432\n"
        "PReLU p 1 1 f g 0=16\n"
        "Convolution c2 1 1 g h 0=12 1=3 4=1 5=1 6=1728\n"
        "PixelShuffle d 1 1 h i 0=2\n"
        "Interp n 1 1 b j 0=1 1=2.0 2=2.0\n"
        "BinaryOp add 2 1 i j output\n",
        Weights(2)
            .convolution(16, 3, 3, 0.2F)
            .floats(std::vector<float>(16, 0.25F))
            .convolution(12, 16, 3, 0.05F)
            .bytes()};
}

// One 3x3 convolution over 3 channels whose kernel is given, each channel for itself.
inline Network filter(const std::vector<float>& kernel) {
    std::vector<float> weights;
    for (int out = 0; out < 3; ++out) {
        for (int in = 0; in < 3; ++in) {
            for (const float tap : kernel) {
                weights.push_back(out == in ? tap : 0.0F);
            }
        }
    }
    return {"7767517\n2 2\nInput in 0 1 in0\nConvolution c 1 1 in0 out0 0=3 1=3 4=1 5=1 6=81\n",
            Weights().tagged(weights, {0, 0, 0}).bytes()};
}

// As x2 exports begin: space to depth by 2, a convolution, depth to space by 4. Scale 2, even
// sides.
inline Network unshuffled() {
    return {
        "7767517\n4 4\n"
        "Input in 0 1 in0\n"
        "Reorg u 1 1 in0 a 0=2 1=1\n"
        "Convolution c 1 1 a b 0=48 1=3 4=1 5=1 6=5184\n"
        "PixelShuffle d 1 1 b out0 0=4\n",
        Weights(3).convolution(48, 12, 3, 0.1F).bytes()};
}

}  // namespace tiny
