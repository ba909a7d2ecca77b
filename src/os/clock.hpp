// SPDX-License-Identifier: Apache-2.0
// Time that only goes forward.
//
// Threads: any, signal handlers too. Next layer down: libc.
#pragma once

#include <cstdint>
#include <ctime>

namespace asyncjob::os {

// Nanoseconds of CLOCK_MONOTONIC.
using Time = std::int64_t;
inline constexpr Time never = INT64_MAX;
inline constexpr Time second = 1'000'000'000;

[[nodiscard]] inline Time now() noexcept {
    timespec time{};
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * second + time.tv_nsec;
}

}  // namespace asyncjob::os
