# The shared library for other programs: C and C++ headers, a CMake package and a file for pkg-config.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

add_library(realesrgan_shared SHARED src/c_api.cpp)
add_library(realesrgan::realesrgan ALIAS realesrgan_shared)
target_compile_definitions(realesrgan_shared PRIVATE REALESRGAN_BUILDING_LIBRARY
    REALESRGAN_VK_VERSION="${PROJECT_VERSION}" INTERFACE REALESRGAN_SHARED)
target_link_libraries(realesrgan_shared PRIVATE "$<LINK_LIBRARY:WHOLE_ARCHIVE,realesrgan>")
target_include_directories(realesrgan_shared PUBLIC
    "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
target_compile_features(realesrgan_shared PUBLIC cxx_std_17)
# Before 1.0 a minor version may change the binary interface.
set_target_properties(realesrgan_shared PROPERTIES OUTPUT_NAME realesrgan VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} EXPORT_NAME realesrgan)
realesrgan_warnings(realesrgan_shared)
# The symbols of ncnn and glslang stay inside. A program that closes the library (dlclose) keeps it: the threads of its
# pool wait in its code for the next run.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    target_link_options(realesrgan_shared PRIVATE "-Wl,--version-script,${CMAKE_CURRENT_SOURCE_DIR}/library.map"
        -Wl,-z,nodelete)
    set_target_properties(realesrgan_shared PROPERTIES LINK_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/library.map")
endif()

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/realesrgan")
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/realesrganConfig.cmake"
    "include(\"\${CMAKE_CURRENT_LIST_DIR}/realesrganTargets.cmake\")\n")
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/realesrganConfigVersion.cmake"
    COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
configure_file(realesrgan.pc.in "${CMAKE_CURRENT_BINARY_DIR}/realesrgan.pc" @ONLY)
install(TARGETS realesrgan_shared EXPORT realesrgan COMPONENT library)
install(DIRECTORY include/realesrgan DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT library)
install(EXPORT realesrgan NAMESPACE realesrgan:: FILE realesrganTargets.cmake DESTINATION "${package_dir}"
    COMPONENT library)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/realesrganConfig.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/realesrganConfigVersion.cmake" DESTINATION "${package_dir}" COMPONENT library)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/realesrgan.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
    COMPONENT library)
