// SPDX-License-Identifier: Apache-2.0
// Where a thread was when a signal came, from the context that its handler is given.
//
// Owner: overflow.cpp. Threads: that of the handler. Next layer down: libc.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdint>

namespace asyncjob::arch {

struct FaultPlace {
    std::uintptr_t instruction = 0;    // 0: not known on this CPU
    std::uintptr_t stack_pointer = 0;  // the same
};

inline FaultPlace fault_place([[maybe_unused]] const void* context) {
    FaultPlace place;
#if defined(__linux__)
    [[maybe_unused]] const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
    place.instruction = static_cast<std::uintptr_t>(registers.gregs[REG_RIP]);
    place.stack_pointer = static_cast<std::uintptr_t>(registers.gregs[REG_RSP]);
#elif defined(__i386__)
    place.instruction = static_cast<std::uintptr_t>(registers.gregs[REG_EIP]);
    place.stack_pointer = static_cast<std::uintptr_t>(registers.gregs[REG_ESP]);
#elif defined(__aarch64__)
    place.instruction = registers.pc;
    place.stack_pointer = registers.sp;
#elif defined(__arm__)
    place.instruction = registers.arm_pc;
    place.stack_pointer = registers.arm_sp;
#elif defined(__riscv)
    place.instruction = registers.__gregs[REG_PC];
    place.stack_pointer = registers.__gregs[REG_SP];
#elif defined(__powerpc64__)
    constexpr int next_instruction = 32;
    place.instruction = registers.gp_regs[next_instruction];
    place.stack_pointer = registers.gp_regs[1];
#elif defined(__s390x__)
    place.instruction = registers.psw.addr;
    place.stack_pointer = registers.gregs[15];
#endif
#endif
    return place;
}

// How far below the stack pointer code writes what belongs to its frames: a page would do, but for
// CPUs that make a frame by the store of its last word.
#if defined(__powerpc64__)
inline constexpr std::size_t below_stack_pointer = std::size_t{33} * 1024;
#else
inline constexpr std::size_t below_stack_pointer = std::size_t{4} * 1024;
#endif

// How far below the end of the stack code faults that touches a frame page by page before it moves
// the stack pointer, which may be anywhere above then; 0: the pointer moves with what is touched.
// On 32-bit Arm GCC's -fstack-clash-protection goes ahead.
#if defined(__arm__)
inline constexpr std::size_t touched_ahead = std::size_t{4} * 1024;
#else
inline constexpr std::size_t touched_ahead = 0;
#endif

}  // namespace asyncjob::arch
