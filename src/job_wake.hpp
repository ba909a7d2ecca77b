// SPDX-License-Identifier: Apache-2.0
// What wakes and deadlines are to jobs: hands out handles, pauses and tells what the pause meant,
// lists the jobs that are ready.
//
// A job that was seen to be ready has the bit is_seen, so that its next switch goes the long way.
// On a paused job, until its resume: it has been listed, and is not listed again before. On a
// running one, until its pause: it could not be listed, and comes back into the queue then.
//
// Owner: capi_wake.cpp, whose functions these are. Threads: the thread of the jobs.
// Next layer down: thread_state.hpp, wake.hpp.
#pragma once

#include <cstddef>

#include "api.hpp"
#include "os/event.hpp"
#include "reason.hpp"

namespace asyncjob {

Reason get_handle(ASYNC_JOB* name, asyncjob_handle& handle) noexcept;

// `deadline` may be os::never. With a reason the job has not paused; without one `meaning` is an
// ASYNCJOB_* value.
Reason pause_until(os::Time deadline, int& meaning) noexcept;

[[nodiscard]] bool can_pause() noexcept;

Reason ready_fd(int& fd) noexcept;
[[nodiscard]] std::size_t take_ready(ASYNC_JOB** jobs, std::size_t max) noexcept;

}  // namespace asyncjob
