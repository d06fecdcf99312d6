# Adds the Vulkan backend to the target `realesrgan`. Included, not a subdirectory: the rule that makes
# a generated file must be in the directory of the target that compiles it.
set(vulkan_dir "${CMAKE_CURRENT_LIST_DIR}")
set(vulkan_shaders "")
foreach(name ring.glsl load.glsl samples.glsl operation.glsl convolution.glsl matrices.glsl convolution_plain.comp convolution_blocked.comp
             convolution_matrix.comp dense_pair.comp depthwise.comp layer_norm.comp pixel_shuffle.comp
             pixel_unshuffle.comp resize.comp load_input.comp store_output.comp
             load_planes.comp store_planes.comp
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
    "${vulkan_dir}/instance/bundled_driver.cpp"
    "${vulkan_dir}/instance/device_list.cpp"
    "${vulkan_dir}/instance/instance.cpp"
    "${vulkan_dir}/cache/cache_file.cpp"
    "${vulkan_dir}/cache/pipeline_file.cpp"
    "${vulkan_dir}/cache/spirv_file.cpp"
    "${vulkan_dir}/device/buffer.cpp"
    "${vulkan_dir}/device/command_buffer.cpp"
    "${vulkan_dir}/device/context.cpp"
    "${vulkan_dir}/device/pipeline.cpp"
    "${vulkan_dir}/device/semaphore.cpp"
    "${vulkan_dir}/device/pipeline_registry.cpp"
    "${vulkan_dir}/device/shader_cache.cpp"
    "${vulkan_dir}/operations/convolution_kernels.cpp"
    "${vulkan_dir}/operations/dense_pair.cpp"
    "${vulkan_dir}/operations/halo_rows.cpp"
    "${vulkan_dir}/operations/operation.cpp"
    "${vulkan_dir}/operations/planes.cpp"
    "${vulkan_dir}/operations/result_samples.cpp"
    "${vulkan_dir}/operations/ring_buffer.cpp"
    "${vulkan_dir}/operations/weights.cpp"
    "${vulkan_dir}/tuning/benchmark_block.cpp"
    "${vulkan_dir}/tuning/kernel_set.cpp"
    "${vulkan_dir}/tuning/kernel_timing.cpp"
    "${vulkan_dir}/tuning/roofline.cpp"
    "${vulkan_dir}/kernel_store.cpp"
    "${vulkan_dir}/self_test.cpp"
    "${vulkan_dir}/session.cpp"
    "${vulkan_dir}/session_pool.cpp"
    "${vulkan_dir}/tune_device.cpp"
    "${vulkan_dir}/vulkan_backend.cpp"
    "${vulkan_dir}/device/timestamps.cpp")
set_source_files_properties("${vulkan_dir}/cache/spirv_file.cpp" "${vulkan_dir}/tuning/kernel_set.cpp" PROPERTIES
    COMPILE_DEFINITIONS "REALESRGAN_VK_VERSION=\"${PROJECT_VERSION}\"")
