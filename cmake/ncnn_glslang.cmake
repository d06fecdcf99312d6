# Read by ncnn's build at the start of its part glslang, which compiles shaders at run time: a third of ncnn's build
# time, for code that runs for some tenths of a second once for each driver. Its files are compiled several as one, and
# with fewer optimisations.
set(CMAKE_UNITY_BUILD ON)
if(NOT MSVC)
    set(CMAKE_CXX_FLAGS_RELEASE "-O1 -DNDEBUG")
endif()
