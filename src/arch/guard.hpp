// SPDX-License-Identifier: Apache-2.0
// How many bytes a guard has on this CPU, at least.
//
// Owner: stack.cpp. Threads: any. Next layer down: the compilers' -fstack-clash-protection.
#pragma once

#include <cstddef>

namespace asyncjob::arch {

// Few frames are so large as to step over it, and none that is touched as it grows: each page, but
// by GCC for aarch64 each 64 KiB.
#if defined(__aarch64__)
inline constexpr std::size_t least_guard = std::size_t{64} * 1024;
#else
inline constexpr std::size_t least_guard = std::size_t{32} * 1024;
#endif

}  // namespace asyncjob::arch
