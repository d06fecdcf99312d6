# Writes shader_sources.cpp: every file of SHADERS (a list) as a string, found by its name without extension.
# Run as a script: cmake -DOUTPUT=... "-DSHADERS=a.comp;b.glsl" -P embed_shaders.cmake
set(entries "")
foreach(path IN LISTS SHADERS)
    get_filename_component(name "${path}" NAME_WE)
    file(READ "${path}" text)
    string(APPEND entries "    if (name == \"${name}\") return R\"glsl(${text})glsl\";\n")
endforeach()
file(WRITE "${OUTPUT}.new" "// Made by cmake/embed_shaders.cmake
#include \"vulkan/cache/shader_sources.hpp\"

#include <stdexcept>
#include <string>

namespace realesrgan::vulkan {

std::string_view shader_source(std::string_view name) {
${entries}    throw std::logic_error(\"no shader named \" + std::string(name));
}

}  // namespace realesrgan::vulkan
")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
