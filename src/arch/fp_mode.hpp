// SPDX-License-Identifier: Apache-2.0
// The floating-point control words, read and written: for the ucontext backend, as C libraries
// differ in what their switch does with them. The assembly backends do this themselves.
//
// Threads: the calling one. Next layer down: the processor.
#pragma once

#if defined(__i386__)
#include <cpuid.h>
#endif

#include <cstdint>

namespace asyncjob::arch {

// Where there is one: its type, the constraint of what it is in, and how it is read and written.
#define ASYNCJOB_ONE_FP_WORD(type, in, read, write) \
    struct FpWords {                                \
        type word;                                  \
    };                                              \
    inline constexpr bool have_fp_mode = true;      \
    inline FpWords fp_mode() {                      \
        FpWords mode{};                             \
        asm volatile(read : "=" in(mode.word));     \
        return mode;                                \
    }                                               \
    inline void set_fp_mode(const FpWords& mode) {  \
        asm volatile(write : : in(mode.word));      \
    }

#if defined(__x86_64__)

struct FpWords {
    std::uint32_t mxcsr;
    std::uint16_t x87;
};
inline constexpr bool have_fp_mode = true;
inline FpWords fp_mode() {
    FpWords mode{};
    asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mode.mxcsr), "=m"(mode.x87));
    return mode;
}
inline void set_fp_mode(const FpWords& mode) {
    asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mode.mxcsr), "m"(mode.x87));
}

#elif defined(__i386__)

struct FpWords {
    std::uint32_t mxcsr;
    std::uint16_t x87;
};
inline constexpr bool have_fp_mode = true;
// Code in the process may use SSE where this is compiled to do without.
inline bool have_mxcsr() {
    static const bool have = [] {
        unsigned eax = 0;
        unsigned ebx = 0;
        unsigned ecx = 0;
        unsigned edx = 0;
        return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (edx & bit_SSE) != 0;
    }();
    return have;
}
inline FpWords fp_mode() {
    FpWords mode{};
    asm volatile("fnstcw %0" : "=m"(mode.x87));
    if (have_mxcsr())
        asm volatile("stmxcsr %0" : "=m"(mode.mxcsr));
    return mode;
}
inline void set_fp_mode(const FpWords& mode) {
    asm volatile("fldcw %0" : : "m"(mode.x87));
    if (have_mxcsr())
        asm volatile("ldmxcsr %0" : : "m"(mode.mxcsr));
}

#elif defined(__aarch64__)
ASYNCJOB_ONE_FP_WORD(std::uint64_t, "r", "mrs %0, fpcr", "msr fpcr, %0")
#elif defined(__arm__) && defined(__ARM_FP)
ASYNCJOB_ONE_FP_WORD(std::uint32_t, "r", "vmrs %0, fpscr", "vmsr fpscr, %0")
#elif defined(__riscv_flen)
ASYNCJOB_ONE_FP_WORD(std::uint32_t, "r", "frcsr %0", "fscsr %0")
#elif defined(__powerpc64__) && defined(_ARCH_PWR6)  // with the rounding of decimal numbers
ASYNCJOB_ONE_FP_WORD(double, "f", "mffs %0", "mtfsf 255, %0, 1, 0")
#elif defined(__powerpc64__)
ASYNCJOB_ONE_FP_WORD(double, "f", "mffs %0", "mtfsf 255, %0")
#elif defined(__s390x__)
ASYNCJOB_ONE_FP_WORD(std::uint32_t, "d", "efpc %0", "sfpc %0")
#else

struct FpWords {};
inline constexpr bool have_fp_mode = false;
inline FpWords fp_mode() {
    return {};
}
inline void set_fp_mode(const FpWords&) {}

#endif

#undef ASYNCJOB_ONE_FP_WORD

}  // namespace asyncjob::arch
