// Both weight forms of the CPU backend on every instruction set, against the reference: only
// rounding differs.

#include <algorithm>
#include <iostream>
#include <map>
#include <string>

#include "cpu/winograd/instruction_set.hpp"
#include "model/graph.hpp"
#include "stream/backend.hpp"
#include "support/check.hpp"
#include "support/random_network.hpp"
#include "support/random_program.hpp"
#include "support/temporary_folder.hpp"

using namespace realesrgan;
using random_program::difference;
using random_program::run_stream;

namespace {

constexpr double kTolerance = 2e-5;

// Runs the network in several bands; the largest difference from the reference.
double check_against_reference(const FusedNetwork& network, unsigned seed, int most_side,
                               int tile) {
    const FeatureMap picture = random_program::random_picture(network.program, seed, most_side);
    const FeatureMap expected = compute_reference(network, picture);
    const auto& kernels = winograd::supported_kernels();
    CpuBackendOptions options;
    options.threads = 2;
    options.tile = tile;
    options.instruction_set = kernels[seed % kernels.size()]->name;
    double largest = 0.0;
    for (const int band : {1, 7, 16}) {
        options.memory_limit = band == 1 ? 1 : 0;  // packed weights, directly convolved
        const std::unique_ptr<Backend> backend = make_cpu_backend(network, options);
        const auto result = run_stream(*backend, network.program, picture, backend->storage(), band,
                                       static_cast<int>(seed % 5));
        CHECK_EQUAL(result.record.not_finite, 0U);
        CHECK(result.record.allocated_bytes <= result.planned_bytes);
        const double off = difference(result.samples, expected);
        if (!(off <= kTolerance)) {
            check::fail(__FILE__, __LINE__,
                        "seed " + std::to_string(seed) + ", band " + std::to_string(band) + ", " +
                            options.instruction_set + ": differs by " + std::to_string(off));
        }
        largest = std::max(largest, off);
    }
    return largest;
}

}  // namespace

TEST_CASE("random networks give the reference's result") {
    const TemporaryFolder folder;
    double largest = 0.0;
    for (unsigned seed = 0; seed < 66; ++seed) {
        const auto [param, bin] = (seed < 30   ? random_network(seed)
                                   : seed > 57 ? random_unet(seed)
                                   : seed < 42 ? random_span(seed)
                                   : seed < 50 ? random_mosr(seed)
                                               : random_plksr(seed))
                                      .save(folder.file("net"));
        const FuseResult fused = fuse(read_graph(param), bin);
        CHECK(fused.network.has_value());
        largest = std::max(largest, check_against_reference(*fused.network, seed, 30, 0));
    }
    std::cout << "        largest difference " << largest << '\n';
}

TEST_CASE("random programs give the reference's result") {
    double largest = 0.0;
    std::map<std::string, int> seen;
    for (unsigned seed = 0; seed < 260; ++seed) {
        const int tile = seed % 2 == 0 ? winograd::kSmallTile : winograd::kLargeTile;
        const FusedNetwork network = random_program::random_program(seed);
        largest = std::max(largest, check_against_reference(network, seed, 14, tile));
        seen["transformed picture"] += network.program.input_transform.empty() ? 0 : 1;
        seen["unshuffled picture"] += network.program.unshuffle - 1;
        seen["input above scale 1"] += network.program.tensors[0].scale - 1;
        for (const Op& op : network.program.ops) {
            seen["shuffle"] += op.kind == OpKind::pixel_shuffle ? 1 : 0;
            seen["unshuffle"] += op.kind == OpKind::pixel_unshuffle ? 1 : 0;
            seen["phase"] += op.phase > 0 ? 1 : 0;
            seen["resize"] += op.kind == OpKind::resize ? 1 : 0;
            seen["enlarged thrice"] += op.upsample == 3 ? 1 : 0;
            seen["part of a tensor"] += op.input.channel > 0 ? 1 : 0;
            seen["depthwise"] += op.kind == OpKind::depthwise ? 1 : 0;
            seen["layer norm"] += op.kind == OpKind::layer_norm ? 1 : 0;
            seen["1x1"] += op.kind == OpKind::convolution && op.kernel == 1 ? 1 : 0;
            seen["large kernel"] += op.kind == OpKind::convolution && op.kernel > 3 ? 1 : 0;
            seen["Mish"] += op.activation == Activation::mish ? 1 : 0;
            seen["GELU"] += op.activation == Activation::gelu ? 1 : 0;
            seen["sigmoid"] += op.activation == Activation::sigmoid ? 1 : 0;
            seen["product"] += !op.skips.empty() && op.skips[0].product ? 1 : 0;
            seen["SiLU"] += op.activation == Activation::silu ? 1 : 0;
            seen["gate"] += op.gate ? 1 : 0;
            seen["gate after skips"] += op.gate && !op.skips.empty() ? 1 : 0;
            seen["two outputs"] += op.duplicate_output ? 1 : 0;
            seen["two skips"] += op.skips.size() == 2 ? 1 : 0;
            for (const Skip& skip : op.skips) {
                seen["enlarged skip"] += skip.upsample > 1 ? 1 : 0;
                seen["shift"] += skip.shift != 0.0F ? 1 : 0;
            }
        }
    }
    for (const auto& [what, times] : seen) {
        std::cout << "        " << what << ": " << times << '\n';
        CHECK(times >= 10);
    }
    std::cout << "        largest difference " << largest << '\n';
}

int main() {
    return check::run_all();
}
