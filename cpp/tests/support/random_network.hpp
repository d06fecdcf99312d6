#pragma once

#include <iomanip>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "base/integers.hpp"
#include "support/network_writer.hpp"

// Networks of the families that the row stream runs, in both converters' dialects.
struct RrdbConfig {
    int width = 64;
    int growth = 32;
    int blocks = 2;
    int inner = 3;  // dense blocks in a block
    int depth = 4;  // growing convolutions in a dense block
    int unshuffle = 1;
    bool folded = false;       // the unshuffle is part of the first convolution
    std::vector<int> enlarge;  // factors
    bool onnx = true;          // Eltwise with coefficients, or BinaryOp with a number
};

struct CompactConfig {
    int width = 64;
    int depth = 16;  // convolutions between the first and the last
    int factor = 4;
    std::string resize;  // of the result: "", or the factor as in a .param
    int filter = 3;      // 2: bilinear, 3: bicubic
};

struct SpanConfig {
    int width = 48;
    int blocks = 6;
    int factor = 4;
    bool transform = true;      // of the picture
    bool sigmoid_first = true;  // or the addition beside it
};

struct MosrConfig {
    int width = 64;
    int hidden = 96;
    int gated = 64;  // of them, with a depthwise convolution
    int blocks = 2;
    int kernel = 7;
    int factor = 4;
    bool fused = true;  // Mish as a part of convolutions
};

struct PlksrConfig {
    int width = 64;
    int part = 16;  // with a large kernel
    int blocks = 2;
    int kernel = 17;
    int factor = 4;
    bool norm = false;  // of each pixel's channels
    bool fused = true;  // the sigmoid as a part of its convolution
};

struct UnetConfig {
    int width = 32;     // of the first convolution; the others have up to eight times as many
    int scale = 2;      // of the result: 1, 2, 3
    bool lists = true;  // crops by numbers, or to the size of another blob
    bool fused = true;  // activations as parts of convolutions
};

class NetworkBuilder {
  public:
    explicit NetworkBuilder(unsigned seed) : writer_(seed) {}

    std::pair<std::string, std::string> save(const std::string& stem) { return writer_.save(stem); }

    void rrdbnet(const RrdbConfig& config) {
        const int r = config.unshuffle;
        const std::string data = writer_.input();
        std::string first;
        if (config.folded) {
            first = writer_.convolution(data, 3, config.width, "", 3 * r, r);
        } else if (r > 1) {
            first = writer_.convolution(writer_.layer("Reorg", {data}, "0=" + std::to_string(r)),
                                        3 * r * r, config.width);
        } else {
            first = writer_.convolution(data, 3, config.width);
        }
        std::string x = first;
        for (int b = 0; b < config.blocks; ++b) {
            const std::string start = x;
            for (int i = 0; i < config.inner; ++i) x = dense_block(x, config);
            x = residual(x, start, config);
        }
        x = writer_.layer("BinaryOp", {writer_.convolution(x, config.width, config.width), first},
                          "0=0");
        for (const int factor : config.enlarge) {
            x = writer_.convolution(enlarged(x, factor), config.width, config.width, leaky());
        }
        x = writer_.convolution(x, config.width, config.width, leaky());
        writer_.convolution(x, config.width, 3);
    }

    void compact(const CompactConfig& config) {
        const std::string data = writer_.input();
        std::string x = writer_.prelu(writer_.convolution(data, 3, config.width), config.width);
        for (int i = 0; i < config.depth; ++i) {
            x = writer_.prelu(writer_.convolution(x, config.width, config.width), config.width);
        }
        const int factor = config.factor;
        x = writer_.convolution(x, config.width, 3 * factor * factor);
        if (factor > 1) x = writer_.layer("PixelShuffle", {x}, "0=" + std::to_string(factor));
        x = writer_.layer("BinaryOp", {x, factor > 1 ? enlarged(data, factor) : data}, "0=0");
        if (config.resize.empty()) return;
        writer_.layer(
            "Interp", {x},
            "0=" + std::to_string(config.filter) + " 1=" + config.resize + " 2=" + config.resize);
    }

    void span(const SpanConfig& config) {
        std::string x = writer_.input();
        if (config.transform) {
            x = writer_.layer("BinaryOp", {x, writer_.constant(3)}, "0=1");
            x = writer_.layer("BinaryOp", {x}, "0=2 1=1 2=4.000000e+00");
        }
        const std::string first = x = writer_.convolution(x, 3, config.width);
        std::string kept;
        std::string inner;
        for (int b = 0; b < config.blocks; ++b) {
            inner = silu(writer_.convolution(x, config.width, config.width));
            const std::string middle = silu(writer_.convolution(inner, config.width, config.width));
            x = gated(writer_.convolution(middle, config.width, config.width), x, config);
            if (b == 0) kept = x;
        }
        x = writer_.convolution(x, config.width, config.width);
        x = writer_.convolution(writer_.concat({first, x, kept, inner}), 4 * config.width,
                                config.width, "", 1);
        x = writer_.convolution(x, config.width, 3 * config.factor * config.factor);
        writer_.layer("PixelShuffle", {x}, "0=" + std::to_string(config.factor));
    }

    void mosr(const MosrConfig& config) {
        const std::string data = writer_.input();
        const int width = config.width;
        std::string x = writer_.convolution(data, 3, width);
        for (int b = 0; b < config.blocks; ++b) {
            const std::vector<std::string> parts = writer_.slice(
                writer_.convolution(writer_.layer_norm(x, width), width, 2 * config.hidden),
                {config.hidden, config.hidden - config.gated, config.gated});
            const std::string deep = writer_.depthwise(parts[2], config.gated, config.kernel);
            const std::string gate = writer_.layer("Mish", {parts[0]}, "");
            const std::string product =
                writer_.layer("BinaryOp", {gate, writer_.concat({parts[1], deep})}, "0=2");
            const std::string made = mish(product, config.hidden, width, config);
            x = writer_.layer("BinaryOp", {made, less_half(x)}, "0=0");
        }
        x = mish(x, width, 2 * width, config);
        x = mish(x, 2 * width, width, config);
        x = writer_.convolution(x, width, width, "", 1);
        std::string aside = mish(mish(data, 3, width, config), width, width, config);
        aside =
            writer_.layer("BinaryOp", {aside, writer_.convolution(data, 3, width, "", 1)}, "0=0");
        x = writer_.layer("BinaryOp", {x, less_half(aside)}, "0=0");
        x = writer_.convolution(x, width, 3 * config.factor * config.factor);
        writer_.layer("PixelShuffle", {x}, "0=" + std::to_string(config.factor));
    }

    void plksr(const PlksrConfig& config) {
        const std::string data = writer_.input();
        const int width = config.width;
        const int last = 3 * config.factor * config.factor;
        std::string x = writer_.convolution(data, 3, width);
        for (int b = 0; b < config.blocks; ++b) {
            std::string y = config.norm ? writer_.layer_norm(x, width) : x;
            y = writer_.layer(config.norm ? "Mish" : "GELU",
                              {writer_.convolution(y, width, 2 * width)}, "");
            y = writer_.convolution(y, 2 * width, width, "", config.norm ? 3 : 1);
            const std::vector<std::string> parts =
                writer_.slice(y, {config.part, width - config.part});
            y = writer_.concat(
                {writer_.convolution(parts[0], config.part, config.part, "", config.kernel),
                 parts[1]});
            const std::string share =
                config.fused ? writer_.convolution(y, width, width, "9=4")
                             : writer_.layer("Sigmoid", {writer_.convolution(y, width, width)}, "");
            y = writer_.layer("BinaryOp", {y, share}, "0=2");
            x = writer_.layer("BinaryOp", {writer_.convolution(y, width, width, "", 1), x}, "0=0");
        }
        x = writer_.convolution(x, width, last);
        x = writer_.layer("BinaryOp", {x, writer_.convolution(data, 3, last, "", 1)}, "0=0");
        writer_.layer("PixelShuffle", {x}, "0=" + std::to_string(config.factor));
    }

    // Convolutions without padding and a transposed one, as in waifu2x' upconv7.
    void upconv(int width, int scale) {
        std::string x = writer_.input();
        int channels = 3;
        for (const int more : {width, width, 2 * width}) {
            x = valid(x, channels, more, true);
            channels = more;
        }
        if (scale == 1) {
            writer_.kernel_layer("Convolution", x, channels, 3, {3, 1, 0}, "");
        } else {
            enlarge(x, channels, 3, {scale + 2, scale, scale + 1}, "");
        }
    }

    // Two in a row without padding and squeeze and excitation, as in Real-CUGAN's networks.
    void unets(const UnetConfig& config) {
        const int width = config.width;
        std::string x = unet(writer_.input(), 3, config, 1);
        const NetworkWriter::Window last = config.scale == 3   ? NetworkWriter::Window{5, 3, 2}
                                           : config.scale == 2 ? NetworkWriter::Window{4, 2, 3}
                                                               : NetworkWriter::Window{3, 1, 0};
        const std::string first = x =
            config.scale == 1 ? writer_.kernel_layer("Convolution", x, 2 * width, 3, last, "")
                              : enlarge(x, 2 * width, 3, last, "");
        x = unet(x, 3, config, 2);
        x = writer_.kernel_layer("Convolution", x, 2 * width, 3, {3, 1, 0}, "");
        writer_.layer("BinaryOp", {x, crop(first, 20, x, config)}, "0=0");
    }

    // A shuffle by `factor`, then a resize to `scale` times the picture's size. Interp's filter: 2
    // (bilinear), 3 (bicubic).
    void shuffled(int factor, int filter, int scale) {
        const std::string x = writer_.convolution(writer_.input(), 3, 3 * factor * factor);
        std::ostringstream zoom;
        zoom << std::setprecision(9) << static_cast<float>(scale) / static_cast<float>(factor);
        writer_.layer("Interp", {writer_.layer("PixelShuffle", {x}, "0=" + std::to_string(factor))},
                      "0=" + std::to_string(filter) + " 1=" + zoom.str() + " 2=" + zoom.str());
    }

  private:
    static std::string slightly_leaky() { return "9=2 -23310=1,1.000000e-01"; }

    // A convolution without padding, and its activation.
    std::string valid(const std::string& x, int inputs, int outputs, bool fused,
                      const NetworkWriter::Window& window = {}) {
        if (fused)
            return writer_.kernel_layer("Convolution", x, inputs, outputs, window,
                                        slightly_leaky());
        return writer_.prelu(writer_.kernel_layer("Convolution", x, inputs, outputs, window, ""),
                             outputs);
    }

    std::string enlarge(const std::string& x, int inputs, int outputs,
                        const NetworkWriter::Window& window, const std::string& more) {
        return writer_.kernel_layer("Deconvolution", x, inputs, outputs, window, more);
    }

    std::string crop(const std::string& x, int lost, const std::string& like,
                     const UnetConfig& config) {
        const std::string n = std::to_string(lost);
        if (!config.lists) return writer_.layer("Crop", {x, like}, "0=" + n + " 1=" + n);
        return writer_.layer(
            "Crop", {x},
            "-23309=2," + n + "," + n + " -23310=2,-" + n + ",-" + n + " -23311=2,-2,-1");
    }

    // One that halves `depth` times; what comes out has twice the width's channels.
    std::string unet(const std::string& data, int inputs, const UnetConfig& config, int depth) {
        const int width = config.width;
        std::string x = valid(data, inputs, width, config.fused);
        x = valid(x, width, 2 * width, config.fused);
        x = halved(x, 2 * width, config, depth);
        return valid(x, 2 * width, 2 * width, config.fused);
    }

    // Half as large, convolved, as large again, plus what of the blob is left.
    std::string halved(const std::string& x, int width, const UnetConfig& config, int depth) {
        std::string low = valid(x, width, width, config.fused, {2, 2, 0});
        low = valid(low, width, 2 * width, config.fused);
        low = valid(low, 2 * width, depth > 1 ? 2 * width : width, config.fused);
        if (depth > 1) {
            low = halved(low, 2 * width, config, depth - 1);
            low = valid(low, 2 * width, width, config.fused);
            low = valid(low, width, width, config.fused);
        }
        const std::string up =
            config.fused ? enlarge(low, width, width, {2, 2, 0}, slightly_leaky())
                         : writer_.prelu(enlarge(low, width, width, {2, 2, 0}, ""), width);
        const int lost = depth > 1 ? 16 : 4;
        return writer_.layer("BinaryOp", {crop(x, lost, up, config), up}, "0=0");
    }

    std::string silu(const std::string& x) { return writer_.layer("Swish", {x}, ""); }

    std::string mish(const std::string& x, int inputs, int outputs, const MosrConfig& config) {
        if (config.fused) return writer_.convolution(x, inputs, outputs, "9=5");
        return writer_.layer("Mish", {writer_.convolution(x, inputs, outputs)}, "");
    }

    std::string less_half(const std::string& x) {
        return writer_.layer("BinaryOp", {x}, "0=1 1=1 2=5.000000e-01");
    }

    // (x + skip) * (sigmoid(x) - 0.5)
    std::string gated(const std::string& x, const std::string& skip, const SpanConfig& config) {
        std::string sum;
        if (!config.sigmoid_first) sum = writer_.layer("BinaryOp", {x, skip}, "0=0");
        std::string gate = writer_.layer("Sigmoid", {x}, "");
        gate = writer_.layer("BinaryOp", {gate}, "0=1 1=1 2=5.000000e-01");
        if (config.sigmoid_first) sum = writer_.layer("BinaryOp", {skip, x}, "0=0");
        return writer_.layer("BinaryOp", {sum, gate}, "0=2");
    }

    static std::string leaky() { return "9=2 -23310=1,2.000000e-01"; }

    std::string residual(const std::string& branch, const std::string& trunk,
                         const RrdbConfig& config) {
        if (config.onnx) {
            return writer_.layer("Eltwise", {branch, trunk},
                                 "0=1 -23301=2,2.000000e-01,1.000000e+00");
        }
        const std::string scaled = writer_.layer("BinaryOp", {branch}, "0=2 1=1 2=2.000000e-01");
        return writer_.layer("BinaryOp", {scaled, trunk}, "0=0");
    }

    std::string dense_block(const std::string& x, const RrdbConfig& config) {
        std::vector<std::string> parts{x};
        int channels = config.width;
        for (int i = 0; i < config.depth; ++i) {
            const std::string in = parts.size() == 1 ? x : writer_.concat(parts);
            parts.push_back(writer_.convolution(in, channels, config.growth, leaky()));
            channels += config.growth;
        }
        return residual(writer_.convolution(writer_.concat(parts), channels, config.width), x,
                        config);
    }

    std::string enlarged(const std::string& x, int factor) {
        const std::string size = std::to_string(factor) + ".000000e+00";
        return writer_.layer("Interp", {x}, "0=1 1=" + size + " 2=" + size);
    }

    NetworkWriter writer_;
};

// A small SPAN of random shape.
inline NetworkBuilder random_span(unsigned seed) {
    SpanConfig config;
    config.width = static_cast<int>(3 + seed * 7 % 38);
    config.blocks = static_cast<int>(2 + seed % 3);
    config.factor = static_cast<int>(2 + seed % 3);
    config.transform = seed % 4 != 3;
    config.sigmoid_first = seed % 2 == 0;
    NetworkBuilder builder(seed);
    builder.span(config);
    return builder;
}

// A small MoSR of random shape.
inline NetworkBuilder random_mosr(unsigned seed) {
    MosrConfig config;
    config.width = static_cast<int>(4 + seed * 7 % 30);
    config.hidden = config.width * 3 / 2;
    config.gated = seed % 3 == 0 ? config.hidden - 1 : config.width;
    config.blocks = static_cast<int>(1 + seed % 3);
    config.kernel = static_cast<int>(3 + seed % 3 * 2);
    config.factor = static_cast<int>(1 + seed % 4);
    config.fused = seed % 2 == 0;
    NetworkBuilder builder(seed);
    builder.mosr(config);
    return builder;
}

// A small PLKSR of random shape.
inline NetworkBuilder random_plksr(unsigned seed) {
    PlksrConfig config;
    config.width = static_cast<int>(8 + seed * 7 % 30);
    config.part = config.width / 4;
    config.blocks = static_cast<int>(1 + seed % 2);
    config.kernel = static_cast<int>(5 + seed % 4 * 4);
    config.factor = static_cast<int>(1 + seed % 4);
    config.norm = seed % 3 == 0;
    config.fused = seed % 2 == 0;
    NetworkBuilder builder(seed);
    builder.plksr(config);
    return builder;
}

// Networks without padding, of random shape: two U-nets, or a few convolutions and a transposed
// one.
inline NetworkBuilder random_unet(unsigned seed) {
    NetworkBuilder builder(seed);
    if (seed % 3 == 0) {
        builder.upconv(static_cast<int>(3 + seed * 7 % 20), static_cast<int>(1 + seed / 3 % 4));
        return builder;
    }
    UnetConfig config;
    config.width = static_cast<int>(2 + seed * 5 % 7);
    config.scale = static_cast<int>(1 + seed % 4 % 3);
    config.lists = seed % 2 == 0;
    config.fused = seed % 4 < 2;
    builder.unets(config);
    return builder;
}

// Small ones of random shapes.
inline NetworkBuilder compact_network(unsigned seed, int width, int depth, int factor = 2) {
    NetworkBuilder builder(seed);
    CompactConfig config;
    config.width = width;
    config.depth = depth;
    config.factor = factor;
    builder.compact(config);
    return builder;
}

inline NetworkBuilder random_network(unsigned seed) {
    std::mt19937 random(seed);
    const auto pick = [&](int low, int high) {
        return std::uniform_int_distribution<int>(low, high)(random);
    };
    NetworkBuilder builder(seed + 1);
    if (pick(0, 1) == 0) {
        RrdbConfig config;
        config.width = pick(3, 40);
        config.growth = pick(2, 20);
        config.blocks = pick(1, 5);
        config.inner = pick(1, 3);
        config.depth = pick(1, 3);
        config.unshuffle = pick(0, 1) == 0 ? 1 : 2;
        config.folded = config.unshuffle > 1 && pick(0, 1) == 0;
        config.onnx = pick(0, 1) == 0;
        if (config.unshuffle > 1) config.enlarge.push_back(2);
        for (int i = pick(0, 1); i > 0; --i) config.enlarge.push_back(pick(2, 3));
        builder.rrdbnet(config);
    } else {
        CompactConfig config;
        config.width = pick(3, 40);
        config.depth = pick(0, 12);
        config.factor = pick(1, 4);
        const std::vector<std::string> sizes{"", "5.000000e-01", "7.500000e-01"};
        if (config.factor == 4) config.resize = sizes[realesrgan::idx(pick(0, 2))];
        config.filter = pick(2, 3);
        builder.compact(config);
    }
    return builder;
}
