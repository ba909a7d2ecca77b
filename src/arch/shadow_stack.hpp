// SPDX-License-Identifier: Apache-2.0
// Whether a thread runs with a shadow stack: a second stack, of return addresses alone, with which
// the processor compares each return. A switch to another stack would not survive the next one.
//
// Owner: thread_state.cpp. Threads: the calling one. Next layer down: the processor.
#pragma once

#include <cstdint>

namespace asyncjob::arch {

inline bool has_shadow_stack() noexcept {
#if defined(__x86_64__)
    // rdsspq: a nop to processors that have none, and where they are off. By its bytes, as
    // assemblers know it under options only.
    std::uint64_t pointer = 0;
    asm volatile(".byte 0xf3, 0x48, 0x0f, 0x1e, 0xc8" : "+a"(pointer));
    return pointer != 0;
#elif defined(__aarch64__)
    // chkfeat, a nop to others, takes away the bits of what is on: here the guarded control stack.
    register std::uint64_t asked asm("x16") = 1;
    asm volatile("hint #40" : "+r"(asked));
    return asked == 0;
#else
    return false;
#endif
}

}  // namespace asyncjob::arch
