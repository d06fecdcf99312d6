# The pinned ncnn, as the imported target `ncnn`. In this order:
#   1. what the user points at: REALESRGAN_VK_NCNN (CMake variable or environment), either an installed prefix
#      or the sdist's .tar.gz for a machine without a package index;
#   2. one built earlier, in a cache outside the checkout (REALESRGAN_VK_CACHE, else the user's cache folder),
#      keyed by version, options, compiler and the environment's compiler flags;
#   3. a fresh build into that cache, from the sdist on the user's configured package index.

set(NCNN_VERSION 1.0.20261020)
string(REGEX MATCH "[0-9]+$" NCNN_DATE "${NCNN_VERSION}")  # what ncnn itself calls its version
set(NCNN_SHA256 ad8cdd63e9755cfa8e23b9b6d9ce46156077d80298a89e7c3ba325ffccfca200)

# Layers that the loader refuses (cpp/src/model/layer_kinds.cpp). All others stay, so that users' own networks load.
set(NCNN_DROPPED_LAYERS
    argmax bnll embed lrn proposal roipooling spp rnn lstm gru priorbox detectionoutput
    yolodetectionoutput yolov3detectionoutput quantize dequantize requantize psroipooling roialign
    statisticspooling convolution1d pooling1d convolutiondepthwise1d convolution3d
    convolutiondepthwise3d pooling3d deconvolution1d deconvolutiondepthwise1d deconvolution3d
    deconvolutiondepthwise3d spectrogram inversespectrogram rotaryembed cumulativesum diag
    threshold deformableconv2d celu shrink selu copyto einsum)

# AVX with FMA, AVX-512 and NEON variants are chosen at run time. int8, bf16, 16-bit sums and vendor one-offs are dropped;
# ncnn's files for AVX2 and Armv8.2 hold nothing else, except the resizing of rows. OpenMP's loops run on this project's
# threads (cpp/src/base/openmp.cpp); on Windows it is the compiler's own.
set(NCNN_OPTIONS
    -DNCNN_VERSION=${NCNN_DATE}  # else ncnn takes the day of the build
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_CXX_VISIBILITY_PRESET=hidden
    -DNCNN_VULKAN=ON -DNCNN_SIMPLEVK=ON -DNCNN_OPENMP=ON -DNCNN_RUNTIME_CPU=ON -DNCNN_SHARED_LIB=OFF
    -DNCNN_AVX=ON -DNCNN_AVX2=OFF -DNCNN_AVX512=ON -DNCNN_F16C=ON -DNCNN_FMA=ON
    -DNCNN_INT8=OFF -DNCNN_BF16=OFF -DNCNN_WEIGHT_QUANT=OFF -DNCNN_BATCH=OFF
    -DNCNN_XOP=OFF -DNCNN_FMA4=OFF -DNCNN_AVXVNNI=OFF -DNCNN_AVXVNNIINT8=OFF -DNCNN_AVXVNNIINT16=OFF
    -DNCNN_AVXNECONVERT=OFF -DNCNN_AVX512VNNI=OFF -DNCNN_AVX512BF16=OFF -DNCNN_AVX512FP16=OFF
    -DNCNN_ARM82=OFF -DNCNN_ARM82DOT=OFF -DNCNN_ARM82FP16FML=OFF -DNCNN_ARM84BF16=OFF -DNCNN_ARM84I8MM=OFF
    -DNCNN_ARM86SVE=OFF
    -DNCNN_STDIO=OFF  # files are read by us, and ncnn's notes on every device stay off the user's stderr
    -DNCNN_C_API=OFF -DNCNN_PIXEL=OFF -DNCNN_PIXEL_ROTATE=OFF -DNCNN_PIXEL_AFFINE=OFF
    -DNCNN_PIXEL_DRAWING=OFF -DNCNN_BUILD_TOOLS=OFF -DNCNN_BUILD_EXAMPLES=OFF
    -DNCNN_BUILD_BENCHMARK=OFF -DNCNN_BUILD_TESTS=OFF -DNCNN_PYTHON=OFF)
if(NOT WIN32)
    list(APPEND NCNN_OPTIONS -DNCNN_SIMPLEOMP=ON)
endif()
foreach(layer IN LISTS NCNN_DROPPED_LAYERS)
    list(APPEND NCNN_OPTIONS -DWITH_LAYER_${layer}=OFF)
endforeach()

# CMake breaks a message into lines of 77 characters, unless it begins with a space.
function(_ncnn_stop text)
    message(FATAL_ERROR " ncnn: ${text}")
endfunction()

function(_ncnn_cache_root out)
    if(DEFINED ENV{REALESRGAN_VK_CACHE})
        set(root "$ENV{REALESRGAN_VK_CACHE}")
    elseif(CMAKE_HOST_WIN32)
        set(root "$ENV{LOCALAPPDATA}/realesrgan-vk")
    elseif(DEFINED ENV{XDG_CACHE_HOME})
        set(root "$ENV{XDG_CACHE_HOME}/realesrgan-vk")
    elseif(DEFINED ENV{HOME})
        set(root "$ENV{HOME}/.cache/realesrgan-vk")
    else()
        set(root "${CMAKE_BINARY_DIR}/cache")
    endif()
    file(TO_CMAKE_PATH "${root}" root)
    set(${out} "${root}" PARENT_SCOPE)
endfunction()

function(_ncnn_check_sdist file)
    file(SHA256 "${file}" hash)
    if(NOT hash STREQUAL NCNN_SHA256)
        _ncnn_stop("${file} has sha256 ${hash}, but ncnn ${NCNN_VERSION} must have ${NCNN_SHA256}; delete the file and fetch it again.")
    endif()
endfunction()

# The sdist's path: the given file, or the one fetched into the cache.
function(_ncnn_sdist given root out)
    set(sdist "${given}")
    if(NOT sdist)
        set(sdist "${root}/ncnn-${NCNN_VERSION}.tar.gz")
        if(NOT EXISTS "${sdist}")
            message(STATUS "ncnn: fetching the source of ${NCNN_VERSION} from the package index")
            execute_process(
                COMMAND "${Python_EXECUTABLE}" "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/fetch_sdist.py"
                        ncnn ${NCNN_VERSION} "${sdist}"
                RESULT_VARIABLE code ERROR_VARIABLE errors)
            if(NOT code EQUAL 0)
                _ncnn_stop("${errors}Without a package index, set REALESRGAN_VK_NCNN to ncnn-${NCNN_VERSION}.tar.gz or to an installed ncnn.")
            endif()
        endif()
    endif()
    _ncnn_check_sdist("${sdist}")
    set(${out} "${sdist}" PARENT_SCOPE)
endfunction()

# Stops with the end of a failed step's log.
function(_ncnn_check_step name log code)
    if(NOT code EQUAL 0)
        file(READ "${log}" text)
        string(LENGTH "${text}" length)
        if(length GREATER 4000)
            math(EXPR start "${length} - 4000")
            string(SUBSTRING "${text}" ${start} -1 text)
        endif()
        _ncnn_stop("${name} failed (${code}). The end of ${log}:\n${text}")
    endif()
endfunction()

# Runs one step of the build; its output goes to a log.
function(_ncnn_step name log)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_FILE "${log}" ERROR_FILE "${log}")
    _ncnn_check_step(${name} "${log}" "${code}")
endfunction()

# The step that takes minutes: it says how far it is. Compilers' messages on stderr go to the log through ninja and
# make, which print them.
function(_ncnn_long_step name log)
    execute_process(COMMAND ${ARGN} COMMAND "${Python_EXECUTABLE}"
        "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/build_progress.py" ncnn "${log}" RESULTS_VARIABLE codes ERROR_VARIABLE errors)
    list(GET codes 0 code)
    file(APPEND "${log}" "${errors}")
    _ncnn_check_step(${name} "${log}" "${code}")
endfunction()

function(_ncnn_build sdist prefix)
    set(work "${prefix}.work")
    file(REMOVE_RECURSE "${work}")
    file(MAKE_DIRECTORY "${work}")
    message(STATUS "ncnn: building ${NCNN_VERSION} once into ${prefix} (about four minutes on two idle cores)")
    file(ARCHIVE_EXTRACT INPUT "${sdist}" DESTINATION "${work}")
    set(toolchain "")
    if(CMAKE_TOOLCHAIN_FILE)
        set(toolchain "-DCMAKE_TOOLCHAIN_FILE=${CMAKE_TOOLCHAIN_FILE}")
    endif()
    # Installed beside its final place and renamed, so that an interrupted build is never taken for a whole one.
    _ncnn_step(configure "${work}/configure.log" "${CMAKE_COMMAND}" -G "${CMAKE_GENERATOR}"
        -S "${work}/ncnn-${NCNN_VERSION}" -B "${work}/build" ${NCNN_OPTIONS}
        "-DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM}"
        "-DCMAKE_PROJECT_ncnn_INCLUDE=${CMAKE_CURRENT_FUNCTION_LIST_DIR}/ncnn_project.cmake"
        "-DCMAKE_PROJECT_glslang_INCLUDE=${CMAKE_CURRENT_FUNCTION_LIST_DIR}/ncnn_glslang.cmake" ${toolchain}
        "-DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}" "-DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}"
        "-DCMAKE_INSTALL_PREFIX=${work}/install" -DCMAKE_INSTALL_LIBDIR=lib)
    set(jobs "$ENV{CMAKE_BUILD_PARALLEL_LEVEL}")
    if(NOT jobs)
        cmake_host_system_information(RESULT jobs QUERY NUMBER_OF_LOGICAL_CORES)
    endif()
    _ncnn_long_step(build "${work}/build.log" "${CMAKE_COMMAND}" --build "${work}/build" --config Release -j ${jobs})
    _ncnn_step(install "${work}/install.log" "${CMAKE_COMMAND}" --install "${work}/build" --config Release)
    file(RENAME "${work}/install" "${prefix}")
    file(REMOVE_RECURSE "${work}")
endfunction()

# A prefix somebody else installed: its own settings say whether it will do.
function(_ncnn_check_prefix prefix)
    file(GLOB config "${prefix}/lib*/cmake/ncnn/ncnnConfig.cmake" "${prefix}/lib/*/cmake/ncnn/ncnnConfig.cmake")
    if(NOT config)
        _ncnn_stop("REALESRGAN_VK_NCNN names the folder ${prefix}, which has no lib/cmake/ncnn/ncnnConfig.cmake; give the prefix ncnn ${NCNN_VERSION} was installed into, or ncnn-${NCNN_VERSION}.tar.gz.")
    endif()
    list(GET config 0 config)
    file(STRINGS "${config}" settings REGEX "^set\\(NCNN_")
    foreach(name IN ITEMS VERSION VULKAN SIMPLEVK)
        string(REGEX MATCH "NCNN_${name} ([^)]*)" matched "${settings}")
        set(${name} "${CMAKE_MATCH_1}")
    endforeach()
    if(NOT VERSION STREQUAL NCNN_DATE)
        _ncnn_stop("${prefix} has ncnn ${VERSION}, but ${NCNN_DATE} is needed; build ncnn ${NCNN_VERSION} with -DNCNN_VERSION=${NCNN_DATE} (it takes the day of the build otherwise), or unset REALESRGAN_VK_NCNN.")
    endif()
    if(NOT VULKAN OR NOT SIMPLEVK)
        _ncnn_stop("${prefix} has an ncnn without Vulkan, or one that links the Vulkan loader; build it with -DNCNN_VULKAN=ON -DNCNN_SIMPLEVK=ON, or unset REALESRGAN_VK_NCNN.")
    endif()
endfunction()

# Where the build for this recipe and compiler lies. Its configuration runs in this environment, but does not
# see this project's own flags (CMAKE_CXX_FLAGS), so that sanitized and plain builds share one ncnn.
function(_ncnn_cached_prefix root out)
    set(recipe ${NCNN_VERSION} ${NCNN_SHA256} ${NCNN_OPTIONS} "${CMAKE_CXX_COMPILER_ID}"
        "${CMAKE_CXX_COMPILER_VERSION}" "${CMAKE_SYSTEM_NAME}" "${CMAKE_SYSTEM_PROCESSOR}")
    foreach(name IN ITEMS CFLAGS CXXFLAGS LDFLAGS CMAKE_TOOLCHAIN_FILE MACOSX_DEPLOYMENT_TARGET)
        list(APPEND recipe "${name}=$ENV{${name}}")
    endforeach()
    set(files "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/ncnn_project.cmake"
        "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/ncnn_glslang.cmake" ${CMAKE_TOOLCHAIN_FILE})
    foreach(file IN LISTS files)
        file(SHA256 "${file}" hash)
        list(APPEND recipe "${hash}")
    endforeach()
    string(SHA256 key "${recipe}")
    string(SUBSTRING "${key}" 0 16 key)
    set(${out} "${root}/ncnn-${NCNN_VERSION}-${key}" PARENT_SCOPE)
endfunction()

function(_ncnn_prefix out)
    set(given "${REALESRGAN_VK_NCNN}")
    if(NOT given AND DEFINED ENV{REALESRGAN_VK_NCNN})
        set(given "$ENV{REALESRGAN_VK_NCNN}")
    endif()
    if(given)
        cmake_path(ABSOLUTE_PATH given BASE_DIRECTORY "${CMAKE_SOURCE_DIR}" NORMALIZE)
        if(NOT EXISTS "${given}")
            _ncnn_stop("REALESRGAN_VK_NCNN names ${given}, which does not exist; give an installed prefix or ncnn-${NCNN_VERSION}.tar.gz.")
        elseif(IS_DIRECTORY "${given}")
            _ncnn_check_prefix("${given}")
            set(${out} "${given}" PARENT_SCOPE)
            return()
        endif()
        _ncnn_check_sdist("${given}")  # whatever the cache has: a wrong file is never passed over
    endif()
    _ncnn_cache_root(root)
    _ncnn_cached_prefix("${root}" prefix)
    if(NOT EXISTS "${prefix}/lib")
        if(NOT EXISTS "${root}")
            # The core keeps compiled shaders there, and reads none where others than the user may write.
            file(MAKE_DIRECTORY "${root}")
            file(CHMOD "${root}" DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
        endif()
        file(LOCK "${prefix}.lock" GUARD FUNCTION TIMEOUT 3600)  # a second build waits for the first
        if(NOT EXISTS "${prefix}/lib")
            _ncnn_sdist("${given}" "${root}" sdist)
            _ncnn_build("${sdist}" "${prefix}")
        endif()
    endif()
    set(${out} "${prefix}" PARENT_SCOPE)
endfunction()

_ncnn_prefix(REALESRGAN_VK_NCNN_PREFIX)
message(STATUS "ncnn: using ${REALESRGAN_VK_NCNN_PREFIX}")
unset(ncnn_DIR CACHE)  # an existing build folder remembers the prefix of its last configuration
find_package(ncnn CONFIG REQUIRED PATHS "${REALESRGAN_VK_NCNN_PREFIX}" NO_DEFAULT_PATH)
