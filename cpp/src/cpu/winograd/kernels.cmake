# The fused 3x3 convolution for the CPU: one source (kernel.cpp) compiled once for each instruction set of the
# target's architecture and each size of tile, chosen at run time. Vector types of the compiler rather than a SIMD
# library: the kernels need only loads, stores, multiply-add and broadcast, whose code both compilers generate as
# written, and nothing else has to be found, built or shipped with the wheel.
set(_winograd ${CMAKE_CURRENT_LIST_DIR})
find_package(Threads REQUIRED)
add_library(realesrgan_winograd OBJECT
    ${_winograd}/convolution.cpp ${_winograd}/instruction_set.cpp
    ${_winograd}/../../base/thread_pool.cpp)
target_include_directories(realesrgan_winograd PUBLIC ${_winograd}/../..)
target_compile_features(realesrgan_winograd PUBLIC cxx_std_17)
target_link_libraries(realesrgan_winograd PUBLIC Threads::Threads)
if(COMMAND realesrgan_warnings)
    realesrgan_warnings(realesrgan_winograd)
endif()

function(_add_winograd_kernel name)
    foreach(tile 4 6)
        _add_winograd_tile(${name} ${tile} ${ARGN})
    endforeach()
    string(TOUPPER ${name} upper)
    target_compile_definitions(realesrgan_winograd PRIVATE REALESRGAN_KERNEL_${upper})
endfunction()

function(_add_winograd_tile name tile)
    set(target realesrgan_winograd_${name}_${tile})
    add_library(${target} OBJECT ${_winograd}/kernel.cpp)
    target_include_directories(${target} PRIVATE ${_winograd}/../..)
    target_compile_features(${target} PRIVATE cxx_std_17)
    target_compile_definitions(${target} PRIVATE KERNEL_ISA=${name}_${tile} KERNEL_NAME="${name}"
        KERNEL_TILE=${tile})
    target_compile_options(${target} PRIVATE ${ARGN})
    if(NOT MSVC)  # whole for speed in every build type but the sanitizers'
        target_compile_options(${target} PRIVATE -O3 -ffp-contract=fast)
    endif()
    if(COMMAND realesrgan_warnings)
        realesrgan_warnings(${target})
    endif()
    target_sources(realesrgan_winograd INTERFACE $<TARGET_OBJECTS:${target}>)
endfunction()

if(NOT MSVC AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
    _add_winograd_kernel(neon)  # part of every such processor: it is the baseline
else()
    _add_winograd_kernel(baseline)  # what the compiler assumes of the target
    if(NOT MSVC AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
        _add_winograd_kernel(avx2 -mavx2 -mfma)
        _add_winograd_kernel(avx512 -mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma)
    endif()
endif()
