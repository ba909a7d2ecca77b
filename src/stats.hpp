// SPDX-License-Identifier: Apache-2.0
// Numbers of jobs, of a thread and of the process, put together when they are asked for.
//
// Owner: capi_stats.cpp and report.cpp. Threads: any. Next layer down: threads.hpp.
#pragma once

#include "api.hpp"
#include "threads.hpp"

namespace asyncjob {

enum class LookAtStacks { no, yes };

// Of one thread, which is in the list while this is called, or is the calling one.
[[nodiscard]] asyncjob_stats_t thread_stats(const ThreadEntry& entry, LookAtStacks stacks) noexcept;

// Of all threads. False: without the jobs of those whose list could not be locked in the way that
// the list of threads was, see AllThreads::When.
[[nodiscard]] bool process_stats(asyncjob_stats_t& sum, const AllThreads& threads,
                                 LookAtStacks stacks) noexcept;

}  // namespace asyncjob
