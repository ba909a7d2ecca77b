// SPDX-License-Identifier: Apache-2.0
// ASYNCJOB_TRACE=FILE: notes when jobs start, pause, are resumed, finish, are cancelled and woken,
// for a file that the process writes when it exits. Contract: asyncjob(1).
//
// Each thread has the bit is_traced, which sends its switches the long way, and a ring of its
// newest events, made when it first uses jobs or wakes one. Without the variable there is neither.
//
// Owner: thread_state.cpp; capi_wake.cpp notes wakes. Threads: any. Next layer down:
// trace_ring.hpp, trace_file.hpp.
#pragma once

#include <atomic>
#include <cstdint>

#include "os/clock.hpp"

namespace asyncjob::trace {

enum class Event : std::uint8_t { start, resume, pause, finish, cancel, wake };

extern std::atomic<bool> is_on;

// The thread uses jobs for the first time. False: not to be traced.
[[nodiscard]] bool begin_thread() noexcept;

// An event of a job of the calling thread. `last` is the job's, 0 at its start. False: the thread
// is not to be traced any more.
[[nodiscard]] bool note(Event event, const void* job, const void* function,
                        std::uint32_t& last) noexcept;

// Any thread has woken a job, NULL if it is not known which: it was about to end.
void note_wake(const void* job, os::Time at) noexcept;

// Writes what there is so far. For a debugger, with all threads stopped.
void write() noexcept;

}  // namespace asyncjob::trace
