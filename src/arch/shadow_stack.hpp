// SPDX-License-Identifier: Apache-2.0
// Whether a thread runs with a shadow stack: a second stack, of return addresses alone, with which
// the processor compares each return. A switch to another stack would not survive the next one.
//
// Owner: thread_state.cpp. Threads: the calling one. Next layer down: the processor, or the kernel.
#pragma once

#if defined(__riscv) && defined(__linux__)
#include <sys/prctl.h>

#include <cerrno>
#endif
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
#elif defined(__riscv) && defined(__linux__)
    // PR_GET_SHADOW_STACK_STATUS, whose bit 0 is PR_SHADOW_STACK_ENABLE. The kernel is asked, as
    // older processors may fault at reading the pointer; without shadow stacks it says EINVAL.
    const int before = errno;
    unsigned long status = 0;
    const bool is_known = prctl(74, &status, 0, 0, 0) == 0;
    errno = before;
    return is_known && (status & 1U) != 0;
#else
    return false;
#endif
}

}  // namespace asyncjob::arch
