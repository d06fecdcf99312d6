#include "base/emulated_limits.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>
#include <vector>

#include "realesrgan/errors.hpp"

namespace realesrgan {

namespace {

constexpr std::size_t kMostDigits = 18;

[[noreturn]] void refuse(const std::string& word) {
    throw DeviceError("REALESRGAN_VK_LIMITS has '" + word +
                      "'; expected names and whole numbers, such as groups=65535");
}

std::uint64_t number_of(const std::string& word, const std::string& digits) {
    if (digits.empty() || digits.size() > kMostDigits ||
        digits.find_first_not_of("0123456789") != std::string::npos) {
        refuse(word);
    }
    return std::stoull(digits);
}

// A number that may be missing, and the values that it may have: any if none is listed.
struct Choice {
    std::optional<std::uint64_t>* value;
    std::vector<std::uint64_t> allowed;
};

void set(const Choice& choice, const std::string& word, std::uint64_t value) {
    const auto& allowed = choice.allowed;
    if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
        std::string expected;
        for (const std::uint64_t each : allowed) {
            expected += (expected.empty() ? "" : " or ") + std::to_string(each);
        }
        throw DeviceError("REALESRGAN_VK_LIMITS has '" + word + "'; expected " +
                          word.substr(0, word.find('=') + 1) + expected);
    }
    *choice.value = value;
}

}  // namespace

EmulatedLimits parse_limits(const std::string& text) {
    EmulatedLimits limits;
    const std::map<std::string, std::uint64_t*> numbers = {
        {"groups", &limits.groups},       {"binding", &limits.binding},
        {"shared", &limits.shared},       {"invocations", &limits.invocations},
        {"alignment", &limits.alignment}, {"memory", &limits.memory},
        {"subgroup", &limits.subgroup},
    };
    const std::map<std::string, Choice> choices = {
        {"timestamp_bits", {&limits.timestamp_bits, {}}},
        {"fp16", {&limits.fp16, {0, 1}}},
        {"matrices", {&limits.matrices, {0, 1}}},
        {"half_products", {&limits.half_products, {0, 1, 3}}},
        {"own_memory", {&limits.own_memory, {0, 1}}},
        {"transfer_queue", {&limits.transfer_queue, {}}},
    };
    std::istringstream words(text);
    for (std::string word; words >> word;) {
        const std::size_t sign = word.find('=');
        if (sign == std::string::npos) refuse(word);
        const std::string name = word.substr(0, sign);
        const std::uint64_t value = number_of(word, word.substr(sign + 1));
        const auto number = numbers.find(name);
        const auto choice = choices.find(name);
        if (number != numbers.end()) {
            *number->second = value;
        } else if (choice != choices.end()) {
            set(choice->second, word, value);
        } else {
            refuse(word);
        }
    }
    return limits;
}

const EmulatedLimits& emulated_limits() {
    static const EmulatedLimits limits = [] {
        const char* text = std::getenv("REALESRGAN_VK_LIMITS");
        return parse_limits(text == nullptr ? "" : text);
    }();
    return limits;
}

}  // namespace realesrgan
