# oks_room(NAME LIBRARY...): src/NAME/*.c as the static library oks::NAME, linked to just those libraries.
function(oks_room name)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.c)
    if(NOT sources)
        # A guard fails on this; the other rooms can be built meanwhile.
        message(WARNING "The room src/${name} has no source file.")
        file(WRITE ${CMAKE_BINARY_DIR}/empty_${name}.c "typedef int oks_${name}_is_empty;\n")
        set(sources ${CMAKE_BINARY_DIR}/empty_${name}.c)
    endif()
    add_library(oks_${name} STATIC ${sources})
    add_library(oks::${name} ALIAS oks_${name})
    target_include_directories(oks_${name} PRIVATE ${CMAKE_SOURCE_DIR}/src/${name})
    target_link_libraries(oks_${name} PRIVATE oks::flags PUBLIC ${ARGN})
endfunction()

# oks_room_of(VARIABLE NAME): the room that a test or fuzz target named <kind>_<room>[_more] is about; flow, which knows
# all the others, when there is none of that name.
function(oks_room_of variable name)
    string(REGEX REPLACE "^[a-z]+_([a-z]+).*$" "\\1" room ${name})
    if(NOT TARGET oks_${room})
        set(room flow)
    endif()
    set(${variable} oks::${room} PARENT_SCOPE)
endfunction()

# oks_unit_test(FILE): one cmocka program, linked to the room that its name tells (test_xml_limits.c: xml) and what that
# room may know, so that it builds while other rooms do not. Registered with ctest under the file's name.
function(oks_unit_test file)
    get_filename_component(name ${file} NAME_WE)
    oks_room_of(room ${name})
    add_executable(${name} ${file})
    target_link_libraries(${name} PRIVATE oks::flags ${room} PkgConfig::CMOCKA)
    target_compile_definitions(${name} PRIVATE OKS_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 300)
endfunction()

# oks_fuzz_target(FILE): t/fuzz/fuzz_<room>[_more].c with its LLVMFuzzerTestOneInput. Always a plain program that
# replays t/fuzz/corpus/<name>/ as an ordinary test; with OKS_FUZZ (clang) a libFuzzer program too.
function(oks_fuzz_target file)
    get_filename_component(name ${file} NAME_WE)
    oks_room_of(room ${name})
    add_executable(replay_${name} ${file} ${CMAKE_SOURCE_DIR}/t/fuzz/replay.c)
    target_link_libraries(replay_${name} PRIVATE oks::flags ${room})
    add_test(NAME replay_${name} COMMAND replay_${name} ${CMAKE_SOURCE_DIR}/t/fuzz/corpus/${name})
    set_tests_properties(replay_${name} PROPERTIES LABELS fuzz TIMEOUT 300)
    if(OKS_FUZZ)
        add_executable(${name} ${file})
        target_link_libraries(${name} PRIVATE oks::flags ${room} -fsanitize=fuzzer)
        target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    endif()
endfunction()
