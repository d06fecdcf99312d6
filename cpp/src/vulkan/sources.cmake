# Adds the Vulkan backend to the target `realesrgan`. Included, not a subdirectory: the rule that makes
# a generated file must be in the directory of the target that compiles it.
set(vulkan_dir "${CMAKE_CURRENT_LIST_DIR}")
set(vulkan_shaders "")
foreach(name ring.glsl operation.glsl convolution.glsl convolution_plain.comp convolution_blocked.comp
             convolution_matrix.comp pixel_shuffle.comp resize.comp gather.comp compose.comp
             roofline_copy.comp roofline_fma.comp roofline_matrix.comp)
    list(APPEND vulkan_shaders "${vulkan_dir}/shaders/${name}")
endforeach()
set(embed_shaders "${PROJECT_SOURCE_DIR}/cmake/embed_shaders.cmake")
set(shader_sources "${CMAKE_CURRENT_BINARY_DIR}/shader_sources.cpp")
add_custom_command(
    OUTPUT "${shader_sources}"
    COMMAND "${CMAKE_COMMAND}" "-DOUTPUT=${shader_sources}" "-DSHADERS=${vulkan_shaders}" -P "${embed_shaders}"
    DEPENDS ${vulkan_shaders} "${embed_shaders}"
    COMMENT "Embedding the shaders"
    VERBATIM)
target_sources(realesrgan PRIVATE
    "${shader_sources}"
    "${vulkan_dir}/buffer.cpp"
    "${vulkan_dir}/cache_file.cpp"
    "${vulkan_dir}/carries.cpp"
    "${vulkan_dir}/commands.cpp"
    "${vulkan_dir}/context.cpp"
    "${vulkan_dir}/convolution_choice.cpp"
    "${vulkan_dir}/dense_block.cpp"
    "${vulkan_dir}/device_weights.cpp"
    "${vulkan_dir}/kept_sessions.cpp"
    "${vulkan_dir}/kernel_set.cpp"
    "${vulkan_dir}/kernel_store.cpp"
    "${vulkan_dir}/kernel_timing.cpp"
    "${vulkan_dir}/operation.cpp"
    "${vulkan_dir}/pipeline.cpp"
    "${vulkan_dir}/pipeline_file.cpp"
    "${vulkan_dir}/pipelines.cpp"
    "${vulkan_dir}/ring.cpp"
    "${vulkan_dir}/roofline.cpp"
    "${vulkan_dir}/self_test.cpp"
    "${vulkan_dir}/session.cpp"
    "${vulkan_dir}/shader_code.cpp"
    "${vulkan_dir}/spirv_file.cpp"
    "${vulkan_dir}/tuning.cpp"
    "${vulkan_dir}/vulkan_backend.cpp")
set_source_files_properties("${vulkan_dir}/kernel_set.cpp" "${vulkan_dir}/spirv_file.cpp" PROPERTIES
    COMPILE_DEFINITIONS "REALESRGAN_VK_VERSION=\"${PROJECT_VERSION}\"")
