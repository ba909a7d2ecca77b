// SPDX-License-Identifier: Apache-2.0
// The floating-point control words, read and written: for the ucontext backend, whose
// switch cannot leave them alone. The assembly backends do this themselves.
//
// Threads: the calling one. Next layer down: the processor.
#pragma once

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

#else

struct FpWords {};
inline constexpr bool have_fp_mode = false;
inline FpWords fp_mode() {
    return {};
}
inline void set_fp_mode(const FpWords&) {}

#endif

}  // namespace asyncjob::arch
