// SPDX-License-Identifier: Apache-2.0
// What a target does about a result that its model did not foretell: says so and aborts, which is
// how libFuzzer learns of it. FUZZ_TRACE=1 prints each call before that.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace fuzz {

[[gnu::format(printf, 1, 2)]] inline void trace(const char* format, ...) {
    static const bool is_on = std::getenv("FUZZ_TRACE") != nullptr;
    if (!is_on)
        return;
    va_list arguments;
    va_start(arguments, format);
    std::vfprintf(stderr, format, arguments);
    va_end(arguments);
}

[[noreturn]] inline void differ(const char* what, long long is, long long expected) {
    std::fprintf(stderr, "the model differs: %s is %lld (%#llx), expected %lld (%#llx)\n", what, is,
                 static_cast<unsigned long long>(is), expected,
                 static_cast<unsigned long long>(expected));
    std::abort();
}

template <typename A, typename B>
void expect(const char* what, A is, B expected) {
    if (static_cast<long long>(is) != static_cast<long long>(expected))
        differ(what, static_cast<long long>(is), static_cast<long long>(expected));
}

inline void expect_that(const char* what, bool holds) {
    expect(what, holds, true);
}

template <typename T>
void expect_same(const char* what, const T* is, const T* expected) {
    expect(what, reinterpret_cast<long long>(is), reinterpret_cast<long long>(expected));
}

}  // namespace fuzz
