// SPDX-License-Identifier: Apache-2.0
// Which tools watch a test program, what they are told, and whether an emulator runs it.
#pragma once

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#if defined(__has_feature)
#define ASYNCJOB_TEST_FEATURE(feature) __has_feature(feature)
#else
#define ASYNCJOB_TEST_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || ASYNCJOB_TEST_FEATURE(address_sanitizer)
#define ASYNCJOB_TEST_ASAN 1
#else
#define ASYNCJOB_TEST_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || ASYNCJOB_TEST_FEATURE(thread_sanitizer)
#define ASYNCJOB_TEST_TSAN 1
#else
#define ASYNCJOB_TEST_TSAN 0
#endif

#if ASYNCJOB_TEST_ASAN || ASYNCJOB_TEST_TSAN
// Sizes that nobody can allocate are an answer in these tests, not an abort. What a thread
// leaves behind is lost by contract (S13), and tests do so on purpose. Weak, as each file of a
// program that includes this has them.
extern "C" [[gnu::weak]] const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
    return "allocator_may_return_null=1";
}
extern "C" [[gnu::weak]] const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() {
    return "allocator_may_return_null=1";
}
extern "C" [[gnu::weak]] const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
    return "leak:asyncjob::StackSource::add_slab\n";
}
#endif

namespace test {

inline constexpr bool under_asan = ASYNCJOB_TEST_ASAN != 0;
inline constexpr bool under_tsan = ASYNCJOB_TEST_TSAN != 0;

// Under qemu-user (tests/cross.cmake) there are limits: memory and its limits are the emulator's
// own, filters of system calls are refused, and a child of a process with threads can have none.
#ifdef ASYNCJOB_TEST_EMULATED
inline constexpr bool emulated = true;
#else
inline constexpr bool emulated = false;
#endif

// It holds all addresses of a 32-bit process itself: what the process has unmapped, too.
inline constexpr bool emulated_32_bit = emulated && sizeof(void*) == 4;

// Whether a fault in the program goes to a tool.
inline bool faults_are_watched() {
    return under_asan || under_tsan || RUNNING_ON_VALGRIND != 0;
}

// Whether a tool or an emulator takes memory itself, so that its amount says nothing.
inline bool memory_is_watched() {
    return faults_are_watched() || emulated;
}

}  // namespace test
