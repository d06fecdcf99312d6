#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/layer_sizes.hpp"

namespace realesrgan {

// Sizes that pnnx writes as text, in prefix notation: "0w,*(0h,2),//(1c,4)" are three, 0w being the
// width of input 0. They consist of whole numbers, inputs' sizes and + - * // max min.

// The number of inputs that such a text refers to, 0 for none; nothing where it is malformed.
std::optional<int> expression_inputs(const std::string& text);

// The sizes; nothing where the text is malformed, names an input that is not there, divides by zero
// or leaves 32 bits.
std::optional<std::vector<std::int64_t>> evaluate_sizes(const std::string& text,
                                                        const std::vector<Shape>& inputs);

}  // namespace realesrgan
