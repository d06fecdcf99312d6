#include "model/size_expression.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace realesrgan {

namespace expression {

namespace {

constexpr std::int64_t kMost = INT32_MAX;

std::vector<std::string> tokens_of(const std::string& text) {
    std::vector<std::string> tokens;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find_first_of("(),", at), text.size());
        if (end > at) tokens.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return tokens;
}

bool is_input(const std::string& token) {
    return token.size() == 2 && token[0] >= '0' && token[0] <= '9' &&
           std::string("whdc").find(token[1]) != std::string::npos;
}

bool is_operation(const std::string& token) {
    const char* const all[] = {"+", "-", "*", "//", "max", "min"};
    return std::find(std::begin(all), std::end(all), token) != std::end(all);
}

std::optional<std::int64_t> literal(const std::string& token) {
    std::int32_t value = 0;
    const char* last = token.data() + token.size();
    const auto [end, error] = std::from_chars(token.data(), last, value);
    if (error != std::errc() || end != last) return std::nullopt;
    return value;
}

std::int64_t size_of(const Shape& shape, char axis) {
    switch (axis) {
        case 'w':
            return shape.w;
        case 'h':
            return shape.h;
        case 'd':
            return shape.d;
        default:
            return shape.c;
    }
}

std::optional<std::int64_t> apply(const std::string& operation, std::int64_t a, std::int64_t b) {
    std::int64_t value = 0;
    if (operation == "+") value = a + b;
    if (operation == "-") value = a - b;
    if (operation == "*") value = a * b;
    if (operation == "//") {
        if (b == 0) return std::nullopt;
        value = a / b;
    }
    if (operation == "max") value = std::max(a, b);
    if (operation == "min") value = std::min(a, b);
    if (value > kMost || value < -kMost) return std::nullopt;
    return value;
}

}  // namespace

}  // namespace expression

std::optional<int> expression_inputs(const std::string& text) {
    using namespace expression;  // NOLINT(google-build-using-namespace)
    const std::vector<std::string> tokens = tokens_of(text);
    int count = 0;
    int depth = 0;
    for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
        const bool operation = is_operation(*token);
        if (operation ? depth < 2 : !is_input(*token) && !literal(*token)) return std::nullopt;
        depth += operation ? -1 : 1;
        if (is_input(*token)) count = std::max(count, (*token)[0] - '0' + 1);
    }
    if (depth == 0) return std::nullopt;
    return count;
}

std::optional<std::vector<std::int64_t>> evaluate_sizes(const std::string& text,
                                                        const std::vector<Shape>& inputs) {
    using namespace expression;  // NOLINT(google-build-using-namespace)
    const std::vector<std::string> tokens = tokens_of(text);
    std::vector<std::int64_t> stack;  // as ncnn does: from the last token to the first
    for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
        std::optional<std::int64_t> value;
        if (is_input(*token)) {
            const auto index = static_cast<std::size_t>((*token)[0] - '0');
            if (index < inputs.size()) value = size_of(inputs[index], (*token)[1]);
        } else if (!is_operation(*token)) {
            value = literal(*token);
        } else if (stack.size() >= 2) {
            const std::int64_t a = stack.back();
            stack.pop_back();
            value = apply(*token, a, stack.back());
            stack.pop_back();
        }
        if (!value) return std::nullopt;
        stack.push_back(*value);
    }
    if (stack.empty()) return std::nullopt;
    return std::vector<std::int64_t>(stack.rbegin(), stack.rend());
}

}  // namespace realesrgan
