// SPDX-License-Identifier: Apache-2.0
// The stream of plain requests: an open loop that sends one at each tick of its schedule,
// whether or not the last was answered, and counts each latency from its tick. A server that
// stands still is thus seen by every request of that time, not only by the first.
//
// Threads: run on one of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "net.hpp"
#include "outcome.hpp"

namespace asyncjob::demo {

// Requests of this size, which the server sends back.
inline constexpr std::size_t plain_size = 32;

struct PlainReport {
    std::vector<PlainRequest> requests;
    std::size_t unanswered = 0;
};

// From begin to end, then waits a while for what is not answered yet. Throws.
PlainReport run_plain(std::uint16_t port, Clock::time_point begin, Clock::time_point end,
                      Milliseconds interval);

}  // namespace asyncjob::demo
