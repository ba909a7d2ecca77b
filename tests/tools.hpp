// SPDX-License-Identifier: Apache-2.0
// Which tools watch a test program, and what they are told.
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

// Whether memory is watched so closely that its amount, or a fault, says nothing.
inline bool memory_is_watched() {
    return under_asan || under_tsan || RUNNING_ON_VALGRIND != 0;
}

}  // namespace test
