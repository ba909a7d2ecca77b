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

struct FpWords {
    std::uint64_t fpcr;
};
inline constexpr bool have_fp_mode = true;
inline FpWords fp_mode() {
    FpWords mode{};
    asm volatile("mrs %0, fpcr" : "=r"(mode.fpcr));
    return mode;
}
inline void set_fp_mode(const FpWords& mode) {
    asm volatile("msr fpcr, %0" : : "r"(mode.fpcr));
}

#elif defined(__arm__) && defined(__ARM_FP)

struct FpWords {
    std::uint32_t fpscr;
};
inline constexpr bool have_fp_mode = true;
inline FpWords fp_mode() {
    FpWords mode{};
    asm volatile("vmrs %0, fpscr" : "=r"(mode.fpscr));
    return mode;
}
inline void set_fp_mode(const FpWords& mode) {
    asm volatile("vmsr fpscr, %0" : : "r"(mode.fpscr));
}

#elif defined(__riscv_flen)

struct FpWords {
    std::uint32_t fcsr;
};
inline constexpr bool have_fp_mode = true;
inline FpWords fp_mode() {
    FpWords mode{};
    asm volatile("frcsr %0" : "=r"(mode.fcsr));
    return mode;
}
inline void set_fp_mode(const FpWords& mode) {
    asm volatile("fscsr %0" : : "r"(mode.fcsr));
}

#elif defined(__powerpc64__)

struct FpWords {
    double fpscr;
};
inline constexpr bool have_fp_mode = true;
inline FpWords fp_mode() {
    FpWords mode{};
    asm volatile("mffs %0" : "=f"(mode.fpscr));
    return mode;
}
inline void set_fp_mode(const FpWords& mode) {
    asm volatile("mtfsf 255, %0" : : "f"(mode.fpscr));
}

#elif defined(__s390x__)

struct FpWords {
    std::uint32_t fpc;
};
inline constexpr bool have_fp_mode = true;
inline FpWords fp_mode() {
    FpWords mode{};
    asm volatile("efpc %0" : "=d"(mode.fpc));
    return mode;
}
inline void set_fp_mode(const FpWords& mode) {
    asm volatile("sfpc %0" : : "d"(mode.fpc));
}

#else

struct FpWords {};
inline constexpr bool have_fp_mode = false;
inline FpWords fp_mode() {
    return {};
}
inline void set_fp_mode(const FpWords&) {}

#endif

}  // namespace asyncjob::arch
