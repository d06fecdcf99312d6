#pragma once

#include <string_view>

namespace realesrgan::vulkan {

// The source of shaders/<name>.comp or .glsl, embedded at build time. Throws std::logic_error for
// an unknown name.
std::string_view shader_source(std::string_view name);

}  // namespace realesrgan::vulkan
