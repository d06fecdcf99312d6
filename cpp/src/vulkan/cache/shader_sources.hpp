#pragma once

#include <string_view>

namespace realesrgan::vulkan {

// The text of shaders/<name>.comp or .glsl, embedded when the library was built; the names are
// ours, so one that is missing is a mistake in this program (std::logic_error).
std::string_view shader_source(std::string_view name);

}  // namespace realesrgan::vulkan
