# Tests of another CPU, with a toolchain file of cmake/toolchains and Debian's package `googletest`:
# GoogleTest is built from its sources, and programs run under the toolchain's emulator.
# Only the library is optimised in full, as this is built for many CPUs.
add_compile_options(-O1)

set(googletest /usr/src/googletest/googletest)
add_library(gtest_main STATIC ${googletest}/src/gtest-all.cc ${googletest}/src/gtest_main.cc)
target_include_directories(gtest_main SYSTEM PUBLIC ${googletest}/include)
target_include_directories(gtest_main PRIVATE ${googletest})
target_link_libraries(gtest_main PUBLIC Threads::Threads)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL riscv64)
    target_link_libraries(gtest_main PUBLIC atomic) # std::barrier exchanges bytes
endif()
add_library(GTest::gtest_main ALIAS gtest_main)

# Tests say by this what an emulator of one process cannot show.
if(CMAKE_CROSSCOMPILING_EMULATOR)
    add_compile_definitions(ASYNCJOB_TEST_EMULATED)
endif()
