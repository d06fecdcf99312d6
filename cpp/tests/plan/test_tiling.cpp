#include <random>

#include "base/integers.hpp"
#include "plan/tiling.hpp"
#include "support/check.hpp"

using realesrgan::AxisTile;
using realesrgan::AxisTiling;
using realesrgan::idx;
using realesrgan::largest_tile;
using realesrgan::tile_axis;
using realesrgan::TileRequest;

namespace {

void check_cover(const AxisTiling& plan, const TileRequest& request) {
    std::int64_t position = 0;
    for (std::size_t i = 0; i < plan.tiles.size(); ++i) {
        const AxisTile& tile = plan.tiles[i];
        CHECK_EQUAL(tile.core.begin, position);
        CHECK(tile.core.size() > 0);
        CHECK(tile.core.size() <= std::max<std::int64_t>(request.tile, request.alignment));
        position = tile.core.end;
        CHECK(tile.write.begin <= tile.core.begin && tile.write.end >= tile.core.end);
        CHECK(tile.write.begin >= tile.read.begin && tile.write.end <= tile.read.end);
        CHECK(tile.write.begin >= 0 && tile.write.end <= plan.length);
        const std::int64_t begin = tile.read.begin + request.border;
        const std::int64_t end = tile.read.end - request.border;
        CHECK(begin % request.alignment == 0 &&
              tile.read.size() % request.alignment == request.rest);
        CHECK(begin == 0 || tile.core.begin - begin >= request.halo);
        CHECK(begin >= 0 && (end >= plan.length || end - tile.core.end >= request.halo));
        // Without border and rest an aligned end is exact.
        const int spare = request.border == 0 && request.rest == 0 ? 1 : 2;
        CHECK(end < plan.length + spare * request.alignment);
    }
    CHECK_EQUAL(position, plan.length);
}

void check_weights(const AxisTiling& plan, int scale) {
    std::vector<double> sums(static_cast<std::size_t>(plan.length * scale), 0.0);
    for (std::size_t i = 0; i < plan.tiles.size(); ++i) {
        const std::vector<float> shares = plan.weights(i, scale);
        const auto first = static_cast<std::size_t>(plan.tiles[i].write.begin * scale);
        for (std::size_t j = 0; j < shares.size(); ++j) {
            CHECK(shares[j] >= 0.0F && shares[j] <= 1.0F);
            sums[first + j] += static_cast<double>(shares[j]);
        }
    }
    for (const double sum : sums) {
        CHECK_NEAR(sum, 1.0, 1e-6);
    }
}

}  // namespace

TEST_CASE("tiles cover random axes once and their weights sum to one") {
    std::mt19937 random(2);
    const auto pick = [&](int low, int high) {
        return std::uniform_int_distribution<int>(low, high)(random);
    };
    for (int round = 0; round < 400; ++round) {
        TileRequest request;
        request.tile = pick(32, 300);
        request.halo = pick(0, 64);
        request.alignment = std::vector<int>{1, 1, 2, 4}[idx(pick(0, 3))];
        request.feather = pick(0, static_cast<int>(request.halo));
        if (round % 2 == 1) {
            request.border = pick(0, 40);
            request.rest = pick(0, request.alignment - 1);
        }
        const AxisTiling plan = tile_axis(pick(1, 1500), request);
        CHECK(plan.feather <= request.feather);
        check_cover(plan, request);
        check_weights(plan, pick(1, 4));
    }
}

TEST_CASE("an axis that fits is one tile without halo") {
    for (const std::int64_t length : {1, 3, 7, 500, 1000000}) {
        const AxisTiling plan = tile_axis(length, {length, 64, 1, 32});
        CHECK_EQUAL(plan.tiles.size(), 1U);
        CHECK_EQUAL(plan.tiles[0].read.size(), length);
        CHECK_EQUAL(plan.weights(0, 2).size(), static_cast<std::size_t>(2 * length));
    }
}

TEST_CASE("a tile as long as the axis is one tile, whatever the alignment") {
    for (const std::int64_t length : {1, 7, 97, 501}) {
        const AxisTiling plan = tile_axis(length, {length, 64, 4, 32, 18, 0});
        CHECK_EQUAL(plan.tiles.size(), 1U);
        CHECK_EQUAL(plan.tiles[0].read.begin, -18);
        CHECK_EQUAL(plan.tiles[0].read.size(), (length + 3) / 4 * 4 + 36);
    }
}

TEST_CASE("no tile is smaller than half of the others") {
    const AxisTiling plan = tile_axis(65, {64, 10, 1, 5});
    CHECK_EQUAL(plan.tiles.size(), 2U);
    CHECK_EQUAL(plan.tiles[0].core.size(), 32);
    CHECK_EQUAL(plan.tiles[1].core.size(), 33);
}

TEST_CASE("a million pixels") {
    const TileRequest request{32, 64, 1, 16};
    const AxisTiling plan = tile_axis(1000000, request);
    CHECK_EQUAL(plan.tiles.size(), 31250U);
    check_cover(plan, request);
    check_weights(plan, 1);
    CHECK_EQUAL(plan.longest_read(), 160);
}

TEST_CASE("reads of an aligned network end at a multiple, past the picture if need be") {
    const AxisTiling plan = tile_axis(7, {64, 64, 4, 0});
    CHECK_EQUAL(plan.tiles.size(), 1U);
    CHECK_EQUAL(plan.tiles[0].read.end, 8);
    CHECK_EQUAL(plan.tiles[0].write.end, 7);
}

TEST_CASE("the largest tile that fits") {
    const auto up_to = [](std::int64_t most) {
        return [most](std::int64_t tile) { return tile <= most; };
    };
    CHECK_EQUAL(largest_tile(640, 32, up_to(640)), 640);
    CHECK_EQUAL(largest_tile(1'000'000, 32, up_to(172)), 172);
    CHECK_EQUAL(largest_tile(640, 32, up_to(32)), 32);
    CHECK_EQUAL(largest_tile(640, 32, up_to(31)), 0);
    CHECK_EQUAL(largest_tile(20, 32, up_to(20)), 20);
}

int main() {
    return check::run_all();
}
