#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/half.hpp"
#include "base/integers.hpp"
#include "cpu/winograd/convolution.hpp"
#include "cpu/winograd/instruction_set.hpp"
#include "support/check.hpp"
#include "support/row_tensor.hpp"

using namespace realesrgan::winograd;
using realesrgan::float_to_half;
using realesrgan::half_to_float;
using realesrgan::idx;

namespace {

using Parts = std::vector<std::string>;

// Winograd mixes the pixels of a tile, so its rounding grows with the sum of the absolute weights
// times the largest input, which is one here. The large tile's data transform adds up to 12.5 in
// absolute values in its first row, 156 in both directions: that many times float's 2^-24 is 9e-6.
// Half of it is allowed, as roundings seldom all point one way.
double tolerance(const Kernel& kernel) {
    return kernel.tile == kSmallTile ? 1e-6 : 4.6e-6;
}

std::string name_of(const Kernel& kernel) {
    return std::string(kernel.name) + ", tiles of " + std::to_string(kernel.tile);
}

struct Case {
    int in = 0, out = 0, width = 0, height = 0, first = 0, count = 0;
    int in_offset = 0, out_offset = 0, skips = 0, slopes = 0, threads = 1;
    int kernel = 3;
    bool upsample = false, fp16 = false, bias = true, gate = false;
    bool depthwise = false, product = false, shift = false;
    Curve curve = Curve::slopes;
    WeightForm form = WeightForm::transformed;

    std::string text() const {
        std::string s;
        for (const int v : {in,
                            out,
                            width,
                            height,
                            first,
                            count,
                            in_offset,
                            out_offset,
                            skips,
                            slopes,
                            threads,
                            static_cast<int>(upsample),
                            static_cast<int>(fp16),
                            static_cast<int>(form),
                            static_cast<int>(curve),
                            static_cast<int>(gate),
                            kernel,
                            static_cast<int>(depthwise),
                            static_cast<int>(product),
                            static_cast<int>(shift)}) {
            s += std::to_string(v) + " ";
        }
        return s;
    }
};

template <class T>
T pick(std::mt19937& random, std::initializer_list<T> values) {
    return values.begin()[random() % values.size()];
}

int between(std::mt19937& random, int low, int high) {
    return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
}

Case random_case(std::mt19937& random) {
    Case c;
    c.in = pick(random, {1, 3, 8, 12, 16, 24, 27, 48, 64, 96});
    c.out = pick(random, {1, 3, 8, 12, 16, 24, 27, 32, 40, 48, 64});
    c.upsample = random() % 4 == 0;
    const int enlarge = c.upsample ? 2 : 1;
    c.width = pick(random, {1, 2, 3, between(random, 4, 9), between(random, 10, 60)});
    c.height = pick(random, {1, 2, between(random, 3, 8), between(random, 9, 40)});
    c.first = between(random, 0, c.height * enlarge - 1);
    c.count = pick(random, {1, between(random, 1, c.height * enlarge - c.first)});
    c.count = std::min(c.count, c.height * enlarge - c.first);
    c.in_offset = 8 * between(random, 0, 3);
    c.out_offset = 8 * between(random, 0, 3);
    c.skips = between(random, 0, 2);
    c.slopes = between(random, 0, 3);
    c.threads = between(random, 1, 4);
    c.fp16 = random() % 3 == 0;
    c.bias = random() % 5 != 0;
    c.form = pick(random, {WeightForm::transformed, WeightForm::packed});
    if (c.slopes == 0) {
        c.curve =
            pick(random, {Curve::slopes, Curve::silu, Curve::mish, Curve::gelu, Curve::sigmoid});
    }
    c.gate = random() % 4 == 0;
    c.kernel = pick(random, {3, 3, 3, 3, 3, 1, 5});
    c.depthwise = random() % 4 == 0;
    if (c.depthwise) c.out = c.in;
    c.product = c.skips > 0 && random() % 3 == 0;
    c.shift = random() % 3 == 0;
    return c;
}

struct Numbers {
    std::vector<float> taps, bias, slopes;
    std::vector<std::uint16_t> fp16;
};

Numbers random_numbers(const Case& c, std::mt19937& random) {
    Numbers n;
    std::normal_distribution<float> normal(0.0f, 0.1f);
    const auto count = idx((c.depthwise ? 1 : c.in) * c.out * c.kernel * c.kernel);
    for (std::size_t i = 0; i < count; ++i) {
        const auto half =
            static_cast<std::uint16_t>((random() & 0x8FFFu) | 0x2000u);  // 2^-7 to 2^-3
        n.fp16.push_back(half);
        n.taps.push_back(c.fp16 ? half_to_float(half) : normal(random));
    }
    for (int i = 0; i < c.out; ++i) n.bias.push_back(c.bias ? normal(random) : 0.0f);
    if (c.slopes == 1) n.slopes = {0.0f};
    if (c.slopes == 2) n.slopes = {0.2f};
    for (int i = 0; c.slopes == 3 && i < c.out; ++i) n.slopes.push_back(normal(random));
    return n;
}

double sigmoid(double value) {
    return 1.0 / (1.0 + std::exp(-value));
}

// The definition in double precision; rounding errors are relative to `size`.
double expected(const Case& c, const Numbers& n, const RowTensor& input, int o, int y, int x,
                double* size) {
    double sum = static_cast<double>(n.bias[idx(o)]);
    *size = std::abs(sum) + 1e-6;
    const int enlarge = c.upsample ? 2 : 1;
    const int taps = c.kernel * c.kernel;
    for (int i = c.depthwise ? o : 0; i < (c.depthwise ? o + 1 : c.in); ++i) {
        const float* weight = &n.taps[idx((c.depthwise ? o : o * c.in + i) * taps)];
        for (int row = y - c.kernel / 2; row <= y + c.kernel / 2; ++row) {
            for (int column = x - c.kernel / 2; column <= x + c.kernel / 2; ++column, ++weight) {
                const bool inside = row >= 0 && column >= 0;  // -1 / 2 would be 0
                const double value =
                    inside ? input.padded(row / enlarge, i, column / enlarge) : 0.0;
                sum += value * static_cast<double>(*weight);
                *size += std::abs(static_cast<double>(*weight));
            }
        }
    }
    if (c.curve == Curve::silu) return sum * sigmoid(sum);
    if (c.curve == Curve::mish) return sum * std::tanh(std::log1p(std::exp(sum)));
    if (c.curve == Curve::gelu) return 0.5 * sum * std::erfc(-sum / std::sqrt(2.0));
    if (c.curve == Curve::sigmoid) return sigmoid(sum);
    if (sum < 0.0 && !n.slopes.empty())
        sum *= n.slopes[n.slopes.size() > 1 ? static_cast<std::size_t>(o) : 0];
    return sum;
}

double worst_error(const Case& c, const Numbers& n, const RowTensor& input, const RowTensor& output,
                   const std::vector<RowTensor>& skips, const Epilogue& epilogue) {
    double worst = 0.0;
    for (int o = 0; o < c.out; ++o) {
        for (int y = 0; y < c.count; ++y) {
            for (int x = 0; x < output.width(); ++x) {
                double size = 0.0;
                const double before = expected(c, n, input, o, c.first + y, x, &size);
                double value = before * static_cast<double>(epilogue.scale);
                if (c.product) value *= static_cast<double>(skips[0].at(y, o, x));
                value += static_cast<double>(epilogue.shift);
                for (std::size_t s = c.product ? 1 : 0; s < skips.size(); ++s) {
                    value += static_cast<double>(epilogue.skips[s].weight * skips[s].at(y, o, x));
                    size += 1.0;
                }
                if (c.gate) value *= sigmoid(before) + static_cast<double>(epilogue.gate_offset);
                const double error =
                    std::abs(value - static_cast<double>(output.at(y, o, x))) / size;
                worst = error <= worst ? worst : error;  // a NaN is kept
            }
        }
    }
    return worst;
}

double run_case(const Case& c, const Kernel& kernel, unsigned seed) {
    std::mt19937 random(seed);
    const int enlarge = c.upsample ? 2 : 1;
    const RowTensor input(c.in, c.in_offset, c.width, c.height, random);
    RowTensor output(c.out, c.out_offset, c.width * enlarge, c.count, random);
    std::vector<RowTensor> skips;
    for (int s = 0; s < c.skips; ++s) {
        skips.emplace_back(c.out, 8 * s, output.width(), c.count, random);
    }
    const Numbers n = random_numbers(c, random);
    Description d;
    d.in_channels = c.in;
    d.out_channels = c.out;
    d.kernel = c.kernel;
    d.depthwise = c.depthwise;
    d.taps = c.fp16 ? nullptr : n.taps.data();
    d.fp16_taps = c.fp16 ? n.fp16.data() : nullptr;
    d.bias = c.bias ? n.bias.data() : nullptr;
    d.slopes = n.slopes;
    const Convolution convolution(d, c.form, kernel);

    const std::vector<const float*> patch = input.patch_rows(c.first, c.count, enlarge, c.kernel);
    const std::vector<float*> destination = output.mutable_rows();
    std::vector<std::vector<const float*>> skip_rows;
    for (const RowTensor& skip : skips) skip_rows.push_back(skip.rows());
    OutputRows band;
    band.width = output.width();
    band.height = c.count;
    band.upsample = c.upsample;
    band.input = {patch.data(), {input.group_stride()}};
    band.output = {destination.data(), {output.group_stride()}};
    band.epilogue.scale = c.skips > 0 ? 0.2f : 1.0f;
    band.epilogue.skip_count = c.skips;
    band.epilogue.curve = c.curve;
    band.epilogue.product = c.product;
    band.epilogue.shift = c.shift ? 0.25f : 0.0f;
    band.epilogue.gate = c.gate;
    band.epilogue.gate_offset = c.gate ? -0.5f : 0.0f;
    for (std::size_t s = 0; s < skips.size(); ++s) {
        band.epilogue.skips[s] = {{skip_rows[s].data(), {skips[s].group_stride()}},
                                  s == 0 ? 1.0f : -0.3f};
    }
    Workspace workspace(c.threads, convolution.workspace_bytes(band.width, band.height, c.threads));
    convolution.run(band, workspace);
    CHECK_EQUAL(output.damaged(), 0);
    for (int o = c.out; o % 8 != 0; ++o) {
        if (c.skips == 0) CHECK_EQUAL(output.at(0, o, 0), 0.0f);
    }
    return worst_error(c, n, input, output, skips, band.epilogue);
}

}  // namespace

TEST_CASE("every kernel computes the convolution's definition, over random shapes") {
    for (const Kernel* kernel : supported_kernels()) {
        std::mt19937 random(20261123);
        double worst = 0.0;
        for (unsigned seed = 0; seed < (check::kSanitized ? 100U : 400U); ++seed) {
            const Case c = random_case(random);
            const double error = run_case(c, *kernel, seed);
            if (!(error <= tolerance(*kernel))) {
                check::fail(__FILE__, __LINE__,
                            name_of(*kernel) + " is wrong by " + std::to_string(error) + " for " +
                                c.text());
            }
            worst = std::max(worst, error);
        }
        std::cout << "        " << name_of(*kernel) << ": at most " << worst
                  << " of the absolute sum\n";
    }
}

TEST_CASE("the shapes of the networks, with many blocks and threads") {
    for (const Kernel* kernel : supported_kernels()) {
        for (const WeightForm form : {WeightForm::transformed, WeightForm::packed}) {
            Case c;
            c.in = 192;
            c.out = 64;
            c.width = 101;
            c.height = c.count = 18;
            c.threads = 4;
            c.skips = 2;
            c.fp16 = true;
            c.form = form;
            CHECK(run_case(c, *kernel, 1) <= tolerance(*kernel));
        }
    }
}

// Of a picture of c.in channels, the kernel's result with `from` floats a pixel of the input and
// `to` of the output; the workspace holds no numbers.
std::vector<float> result_of_packed(const Case& c, const Kernel& kernel, int from, int to) {
    std::mt19937 random(5);
    const Numbers n = random_numbers(c, random);
    Description d;
    d.in_channels = c.in;
    d.out_channels = c.out;
    d.taps = n.taps.data();
    const Convolution convolution(d, c.form, kernel);
    const auto plane = idx(c.width * c.height);
    const auto place = [&](int channel, std::size_t i, int pixel) {
        return idx(channel / pixel) * plane * idx(pixel) + i * idx(pixel) + idx(channel % pixel);
    };
    std::vector<float> input(plane * idx(c.in));
    std::vector<float> output(plane * idx(c.out));
    std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
    for (int channel = 0; channel < c.in; ++channel) {
        for (std::size_t i = 0; i < plane; ++i) input[place(channel, i, from)] = uniform(random);
    }
    std::vector<const float*> rows{nullptr};
    std::vector<float*> made;
    for (int y = 0; y < c.height; ++y) {
        rows.push_back(input.data() + idx(y * c.width * from));
        made.push_back(output.data() + idx(y * c.width * to));
    }
    rows.push_back(nullptr);
    OutputRows band;
    band.width = c.width;
    band.height = c.height;
    band.input = {rows.data(), {plane * idx(from), from}};
    band.output = {made.data(), {plane * idx(to), to}};
    const std::size_t bytes = convolution.workspace_bytes(c.width, c.height, c.threads);
    AlignedBuffer<float> memory(bytes / sizeof(float));
    std::fill_n(memory.data(), memory.size(), std::numeric_limits<float>::quiet_NaN());
    Workspace workspace(c.threads, memory.data(), bytes);
    convolution.run(band, workspace);
    std::vector<float> planes(output.size());
    for (int channel = 0; channel < c.out; ++channel) {
        for (std::size_t i = 0; i < plane; ++i) {
            planes[idx(channel) * plane + i] = output[place(channel, i, to)];
        }
    }
    return planes;
}

TEST_CASE("two groups side by side in a pixel give the same bits, whatever the workspace holds") {
    for (const Kernel* kernel : supported_kernels()) {
        for (const int height : {1, 11}) {
            Case c;
            c.in = 32;
            c.out = 48;
            c.width = 37;
            c.height = c.count = height;
            c.threads = 2;
            c.form = WeightForm::packed;
            const std::vector<float> plain = result_of_packed(c, *kernel, 8, 8);
            for (const auto& [from, to] : {std::pair{16, 8}, std::pair{8, 16}, std::pair{16, 16}}) {
                CHECK(result_of_packed(c, *kernel, from, to) == plain);
            }
        }
    }
}

TEST_CASE("rows of halves times a vector, of any length") {
    std::mt19937 random(6);
    std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
    for (const Kernel* kernel : supported_kernels()) {
        for (const int inputs : {1, 7, 16, 61, 256}) {
            for (const int count : {1, 4, 11}) {
                std::vector<std::uint16_t> rows;
                std::vector<float> vector;
                for (int i = 0; i < inputs * count; ++i) {
                    rows.push_back(realesrgan::float_to_half(uniform(random)));
                }
                for (int i = 0; i < inputs; ++i) vector.push_back(uniform(random));
                std::vector<float> sums(idx(count));
                kernel->multiply_rows(rows.data(), count, inputs, vector.data(), sums.data());
                for (int row = 0; row < count; ++row) {
                    double expected = 0.0;
                    for (int i = 0; i < inputs; ++i) {
                        expected += realesrgan::half_to_float(rows[idx(row * inputs + i)]) *
                                    static_cast<double>(vector[idx(i)]);
                    }
                    CHECK_BELOW(std::abs(expected - static_cast<double>(sums[idx(row)])), 1e-5);
                }
            }
        }
    }
}

TEST_CASE("messages name invalid arguments") {
    const Kernel& kernel = select_kernel();
    const std::vector<float> taps(9);
    Description d;
    d.in_channels = d.out_channels = 1;
    const auto make = [&] { Convolution(d, WeightForm::transformed, kernel); };
    CHECK_THROWS(std::invalid_argument, (Parts{"fp32 or as fp16"}), make());
    d.taps = taps.data();
    d.slopes = {0.1f, 0.2f};
    CHECK_THROWS(std::invalid_argument, (Parts{"one or 1 slopes, got 2"}), make());
    d.slopes.clear();
    d.in_channels = 0;
    CHECK_THROWS(std::invalid_argument, (Parts{"at least one channel", "got 0 in and 1 out"}),
                 make());
    d.in_channels = 1;
    const Convolution convolution(d, WeightForm::transformed, kernel);
    Workspace workspace(1, 0);
    OutputRows band;
    band.width = 3;
    band.height = 1;
    band.upsample = true;
    CHECK_THROWS(std::invalid_argument, (Parts{"a band of 3x1"}), convolution.run(band, workspace));
    band.upsample = false;
    band.epilogue.skip_count = 3;
    CHECK_THROWS(std::invalid_argument, (Parts{"at most 2 skips, got 3"}),
                 convolution.run(band, workspace));
    CHECK_THROWS(std::invalid_argument, (Parts{"\"mmx\"", supported_kernels().back()->name}),
                 select_kernel("mmx"));
    CHECK_THROWS(std::invalid_argument, (Parts{"tiles of 5"}), select_kernel("", 5));
}

TEST_CASE("every finite half is widened exactly by every kernel") {
    std::vector<std::uint16_t> fp16;
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
        if ((bits & 0x7C00) == 0x7C00) continue;
        fp16.push_back(static_cast<std::uint16_t>(bits));
        CHECK_EQUAL(float_to_half(half_to_float(fp16.back())), fp16.back());
    }
    // Each half is the first tap of a convolution of one channel to eight, whose first product is
    // the tap itself.
    const auto channels = static_cast<int>(fp16.size() / 8);
    std::vector<std::uint16_t> taps(fp16.size() * 9);
    for (std::size_t i = 0; i < fp16.size(); ++i) taps[i / 8 * 72 + i % 8] = fp16[i];
    for (const Kernel* kernel : supported_kernels()) {
        std::vector<float> transformed(static_cast<std::size_t>(kernel->points) *
                                       (fp16.size() + kSkew));
        kernel->from_half.transform({taps.data(), channels, 1}, 0, channels, transformed.data());
        for (std::size_t i = 0; i < fp16.size(); ++i)
            CHECK_EQUAL(transformed[i], half_to_float(fp16[i]));
    }

    CHECK_EQUAL(half_to_float(0x0001), std::ldexp(1.0f, -24));
    CHECK_EQUAL(half_to_float(0x3C00), 1.0f);
    CHECK_EQUAL(half_to_float(0xC500), -5.0f);
    CHECK_EQUAL(half_to_float(0x7BFF), 65504.0f);
}

int main() {
    return check::run_all();
}
