#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace realesrgan {

// An index of a container, from the signed numbers that rows, channels and tensors are counted in.
template <typename Integer>
constexpr std::size_t idx(Integer index) {
    return static_cast<std::size_t>(index);
}

// std::ssize of C++20, as the int that tensors and operations are counted in.
template <typename Container>
constexpr int ssize(const Container& container) {
    return static_cast<int>(container.size());
}

// A product of counts, none of which is negative.
template <typename... Counts>
constexpr std::uint64_t product(Counts... counts) {
    return (static_cast<std::uint64_t>(counts) * ...);
}

// Quotient rounded up. Neither number is negative.
template <typename A, typename B>
constexpr std::common_type_t<A, B> ceil_div(A value, B divisor) {
    using Integer = std::common_type_t<A, B>;
    return (static_cast<Integer>(value) + static_cast<Integer>(divisor) - 1) /
           static_cast<Integer>(divisor);
}

// The first multiple that is not less than the value, which is not negative.
template <typename A, typename B>
constexpr std::common_type_t<A, B> round_up(A value, B multiple) {
    return ceil_div(value, multiple) * static_cast<std::common_type_t<A, B>>(multiple);
}

// Quotient rounded down, of negative values, too.
constexpr std::int64_t floor_div(std::int64_t value, std::int64_t divisor) {
    return value >= 0 ? value / divisor : -ceil_div(-value, divisor);
}

}  // namespace realesrgan
