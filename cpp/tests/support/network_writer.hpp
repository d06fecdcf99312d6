#pragma once

#include <cmath>
#include <cstdint>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/half.hpp"

// Writes small networks as .param and .bin files, layer by layer; blobs go by their names.
class NetworkWriter {
  public:
    // `fp16`: kernels and matrices are stored in 16 bits.
    explicit NetworkWriter(unsigned seed, bool fp16 = false) : random_(seed), fp16_(fp16) {}

    std::string input() {
        line("Input", {}, "");
        return "data";
    }

    // weights: uniform, small enough that a deep network stays within a few units.
    std::string convolution(const std::string& from, int inputs, int outputs,
                            const std::string& more = "", int kernel = 3, int stride = 1) {
        return kernel_layer("Convolution", from, inputs, outputs,
                            {kernel, stride, stride > 1 ? stride : kernel / 2}, more);
    }

    // Of a convolution, or a transposed one.
    struct Window {
        int kernel = 3;
        int stride = 1;
        int pad = 0;
    };

    std::string kernel_layer(const std::string& type, const std::string& from, int inputs,
                             int outputs, const Window& window, const std::string& more) {
        std::ostringstream parameters;
        const int count = inputs * outputs * window.kernel * window.kernel;
        parameters << "0=" << outputs << " 1=" << window.kernel << " 3=" << window.stride
                   << " 4=" << window.pad << " 5=1 6=" << count << ' ' << more;
        const int taps = type == "Deconvolution" ? window.kernel / window.stride : window.kernel;
        weights(count, 1.5F / std::sqrt(static_cast<float>(inputs * taps * taps)), true);
        weights(outputs, 0.1F, false);
        return line(type, {from}, parameters.str());
    }

    std::string linear(const std::string& from, int inputs, int outputs) {
        std::ostringstream parameters;
        parameters << "0=" << outputs << " 1=1 2=" << inputs * outputs;
        weights(inputs * outputs, 1.5F / std::sqrt(static_cast<float>(inputs)), true);
        weights(outputs, 0.1F, false);
        return line("InnerProduct", {from}, parameters.str());
    }

    std::string depthwise(const std::string& from, int channels, int kernel) {
        const int count = channels * kernel * kernel;
        std::ostringstream parameters;
        parameters << "0=" << channels << " 1=" << kernel << " 4=" << kernel / 2
                   << " 5=1 6=" << count << " 7=" << channels;
        weights(count, 1.5F / static_cast<float>(kernel), true);
        weights(channels, 0.1F, false);
        return line("ConvolutionDepthWise", {from}, parameters.str());
    }

    // Of each pixel's channels.
    std::string layer_norm(const std::string& from, int channels) {
        weights(channels, 1.0F, false);
        weights(channels, 0.5F, false);
        const std::string columns = line("Permute", {from}, "0=3");
        const std::string norm =
            line("LayerNorm", {columns}, "0=" + std::to_string(channels) + " 1=1.000000e-06 2=1");
        return line("Permute", {norm}, "0=4");
    }

    // The outputs' names.
    std::vector<std::string> slice(const std::string& from, const std::vector<int>& channels) {
        std::ostringstream parameters;
        parameters << "-23300=" << channels.size();
        for (const int count : channels) parameters << ',' << count;
        const std::string first = line("Slice", {from}, parameters.str());
        std::vector<std::string> all;
        for (std::size_t i = 0; i < channels.size(); ++i)
            all.push_back(i == 0 ? first : first + "_part" + std::to_string(i));
        lines_.back().more.assign(all.begin() + 1, all.end());
        return all;
    }

    std::string prelu(const std::string& from, int channels) {
        weights(channels, 0.3F, false);
        return line("PReLU", {from}, "0=" + std::to_string(channels));
    }

    // One number for each channel.
    std::string constant(int channels) {
        weights(channels, 0.5F, false);
        return line("MemoryData", {}, "0=1 1=1 2=" + std::to_string(channels));
    }

    std::string concat(const std::vector<std::string>& from) { return line("Concat", from, "0=0"); }
    std::string layer(const std::string& type, const std::vector<std::string>& from,
                      const std::string& parameters) {
        return line(type, from, parameters);
    }

    // The file names: of the .param and the .bin. As converters do, a blob with several readers is
    // split: ncnn frees a blob after its first reader.
    std::pair<std::string, std::string> save(const std::string& stem) {
        std::ostringstream text;
        int layers = 0;
        int blobs = 0;
        std::map<std::string, int> readers;
        std::map<std::string, int> taken;
        for (const Line& line : lines_) {
            for (const std::string& blob : line.from) ++readers[blob];
        }
        for (const Line& line : lines_) {
            text << line.type << " l" << layers++ << ' ' << line.from.size() << ' '
                 << 1 + line.more.size();
            for (const std::string& blob : line.from) {
                text << ' ' << blob;
                if (readers[blob] > 1) text << "_split" << taken[blob]++;
            }
            text << ' ' << line.name;
            for (const std::string& name : line.more) text << ' ' << name;
            text << ' ' << line.parameters << '\n';
            blobs += 1 + static_cast<int>(line.more.size());
            if (readers[line.name] < 2) continue;
            text << "Split s" << layers++ << " 1 " << readers[line.name] << ' ' << line.name;
            for (int i = 0; i < readers[line.name]; ++i, ++blobs)
                text << ' ' << line.name << "_split" << i;
            text << '\n';
        }
        std::ofstream(stem + ".param") << "7767517\n"
                                       << layers << ' ' << blobs << '\n'
                                       << text.str();
        std::ofstream(stem + ".bin", std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes_.data()),
                   static_cast<std::streamsize>(bytes_.size()));
        return {stem + ".param", stem + ".bin"};
    }

  private:
    std::string line(const std::string& type, const std::vector<std::string>& from,
                     const std::string& parameters) {
        const std::string name = type == "Input" ? "data" : "b" + std::to_string(lines_.size());
        lines_.push_back({type, from, parameters, name, {}});
        return name;
    }

    void weights(int count, float range, bool tagged) {
        const bool narrow = tagged && fp16_;
        if (tagged) put(std::uint32_t{narrow ? 0x01306B47U : 0U});
        std::uniform_real_distribution<float> uniform(-range, range);
        for (int i = 0; i < count; ++i) {
            const float value = uniform(random_);
            if (narrow) {
                put(realesrgan::float_to_half(value));
            } else {
                put(value);
            }
        }
        if (narrow && count % 2 != 0) put(std::uint16_t{0});
    }

    template <typename Value>
    void put(Value value) {
        const auto* raw = reinterpret_cast<const unsigned char*>(&value);
        bytes_.insert(bytes_.end(), raw, raw + sizeof(value));
    }

    struct Line {
        std::string type;
        std::vector<std::string> from;
        std::string parameters;
        std::string name;
        std::vector<std::string> more;  // outputs after the first, each with one reader at most
    };
    std::mt19937 random_;
    bool fp16_;
    std::vector<Line> lines_;
    std::vector<unsigned char> bytes_;
};
