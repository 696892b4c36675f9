# Build options and the flags that every room shares.
set(OKS_SANITIZE "" CACHE STRING "Sanitizers: address,undefined or thread")
option(OKS_FUZZ "Build the libFuzzer targets (clang)" OFF)
option(OKS_COVERAGE "Instrument for gcov" OFF)

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

add_library(oks_flags INTERFACE)
add_library(oks::flags ALIAS oks_flags)
target_compile_features(oks_flags INTERFACE c_std_11)
target_include_directories(oks_flags INTERFACE ${CMAKE_SOURCE_DIR}/include)
target_compile_definitions(oks_flags INTERFACE _GNU_SOURCE $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
target_compile_options(oks_flags INTERFACE
    -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings
    -Wformat=2 -Wvla -Wimplicit-fallthrough -Wno-unused-parameter
    -fstack-protector-strong -fno-strict-aliasing -fvisibility=hidden)
if(OKS_SANITIZE)
    target_compile_options(oks_flags INTERFACE -fsanitize=${OKS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -U_FORTIFY_SOURCE)
    target_link_options(oks_flags INTERFACE -fsanitize=${OKS_SANITIZE})
endif()
if(OKS_COVERAGE)
    target_compile_options(oks_flags INTERFACE --coverage -O0)
    target_link_options(oks_flags INTERFACE --coverage)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
