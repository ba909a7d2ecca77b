// SPDX-License-Identifier: Apache-2.0
// Says what has happened when a job runs out of its stack: a handler of SIGSEGV that tells a fault
// in a guard from others, and leaves what comes of either to whoever had the signal before.
//
// The handler takes no lock and allocates nothing, as a job may overflow in malloc() or in the
// loader. It is told nothing by switches: the address leads to the stack, whose header names the
// job. What is asked of threads is a stack to run the handler on.
//
// Owner: thread_state.cpp. Threads: any. Next layer down: stack.hpp, job.hpp, threads.hpp.
#pragma once

#include "reason.hpp"
#include "threads.hpp"

namespace asyncjob {

// Installs the handler; once in the process.
Reason install_overflow_handler() noexcept;

// A thread that uses jobs, the calling one, is to have a stack for the handler, if that is
// installed or the environment wants it to be. Fails with no_memory or init_failed.
Reason watch_overflows(const ThreadEntry& thread) noexcept;

// It ends, or uses jobs no more.
void unwatch_overflows() noexcept;

}  // namespace asyncjob
