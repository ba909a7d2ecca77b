// SPDX-License-Identifier: Apache-2.0
// Time that only goes forward.
//
// Owner: thread_state.cpp and dump.cpp. Threads: any, signal handlers too. Next layer down: libc.
#pragma once

#include <cstdint>
#include <ctime>

namespace asyncjob::os {

// CLOCK_MONOTONIC. Never 0.
[[nodiscard]] inline std::uint64_t nanoseconds_now() noexcept {
    timespec now{};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000000000U +
           static_cast<std::uint64_t>(now.tv_nsec) + 1;
}

}  // namespace asyncjob::os
