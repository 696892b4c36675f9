# Build options and the flags that every room shares.
set(OKS_SANITIZE "" CACHE STRING "Sanitizers: address,undefined or thread")
option(OKS_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
option(OKS_COVERAGE "Instrument for gcov" OFF)

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug, Release, RelWithDebInfo" FORCE)
endif()
if(OKS_FUZZ AND NOT CMAKE_C_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "OKS_FUZZ needs clang: cmake -DCMAKE_C_COMPILER=clang -DOKS_FUZZ=ON")
endif()

set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(oks_flags INTERFACE)
add_library(oks::flags ALIAS oks_flags)
target_compile_features(oks_flags INTERFACE c_std_11)
target_include_directories(oks_flags INTERFACE ${CMAKE_SOURCE_DIR}/include)
target_compile_definitions(oks_flags INTERFACE _GNU_SOURCE OKS_VERSION="${PROJECT_VERSION}")
target_compile_options(oks_flags INTERFACE
    -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings
    -Wformat=2 -Wvla -Wundef -Wcast-qual -Wimplicit-fallthrough -Wno-unused-parameter
    # Out-parameters are set before OKS_TRY returns; gcc's guess about that changes with the optimization level.
    $<$<C_COMPILER_ID:GNU>:-Wlogical-op -Wduplicated-cond -Wno-maybe-uninitialized>
    -fstack-protector-strong -fno-strict-aliasing -fvisibility=hidden)

if(OKS_SANITIZE)
    target_compile_options(oks_flags INTERFACE
        -fsanitize=${OKS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(oks_flags INTERFACE -fsanitize=${OKS_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL Debug AND NOT OKS_COVERAGE)
    # Needs an optimizing build, and hides errors from sanitizers. Some compilers define another level themselves.
    target_compile_options(oks_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(OKS_FUZZ)
    target_compile_options(oks_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(OKS_COVERAGE)
    target_compile_options(oks_flags INTERFACE --coverage -fprofile-update=atomic -O0) # threads of a test count together
    target_link_options(oks_flags INTERFACE --coverage)
endif()
