#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/line_buffer.hpp"
#include "support/check.hpp"

using realesrgan::cpu::LineBuffer;
using realesrgan::cpu::RowLayout;

namespace {

constexpr int kHeight = 100;

// 8 rows of 3 pixels and 8 channels.
struct Fixture {
    RowLayout layout{1, 3, 8};
    std::vector<float> memory = std::vector<float>(layout.floats(), 0.0F);
    LineBuffer buffer(bool ring) { return LineBuffer(memory.data(), layout, kHeight, ring); }
};

void refuses(const std::function<void()>& body) {
    CHECK_THROWS(std::logic_error, std::vector<std::string>{"planned ring of 8"}, body());
}

}  // namespace

TEST_CASE("a ring holds its last rows and refuses others") {
    Fixture fixture;
    LineBuffer ring = fixture.buffer(true);
    ring.reach(0, 8, 0);
    ring.expect(0, 8);
    refuses([&] { ring.reach(8, 9, 0); });
    ring.reach(8, 11, 3);
    ring.expect(3, 11);
    ring.expect(5, 5);
    refuses([&] { ring.expect(2, 4); });
    refuses([&] { ring.expect(10, 12); });
    refuses([&] { ring.reach(-20, -5, -20); });
    refuses([&] { ring.reach(kHeight, kHeight + 1, kHeight); });
}

TEST_CASE("a window moves to its rows and refuses others") {
    Fixture fixture;
    LineBuffer window = fixture.buffer(false);
    window.reach(0, 7, -1);  // the zero row above the picture and rows 0 to 6
    window.expect(-1, 7);
    refuses([&] { window.reach(7, 8, -1); });
    window.reach(7, 10, 4);
    window.expect(4, 10);
    refuses([&] { window.expect(3, 10); });
    refuses([&] { window.expect(4, 13); });
    refuses([&] { window.reach(10, 13, 2); });
    refuses([&] { window.reach(10, 1'000'000, 10); });
    refuses([&] { window.reach(10, 13, 11); });  // row 10 would lie before the window
    refuses([&] { window.acquire(-2); });
    window.reach(kHeight - 2, kHeight, kHeight - 2);
    window.expect(kHeight - 2, kHeight + 1);  // rows below the picture are ignored
}

int main() {
    return check::run_all();
}
