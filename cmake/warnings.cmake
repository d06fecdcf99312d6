# Warnings are for our own code only: ncnn's and pybind11's headers are system headers. They are errors where
# REALESRGAN_VK_WERROR says so, in CI: a newer compiler's new warning must not stop anybody's build.
function(realesrgan_warnings target)
    if(MSVC)
        target_compile_options(${target} PRIVATE /W4 /utf-8 $<$<BOOL:${REALESRGAN_VK_WERROR}>:/WX>)
    else()
        target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow
            $<$<BOOL:${REALESRGAN_VK_WERROR}>:-Werror>)
    endif()
endfunction()
