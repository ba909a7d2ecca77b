// SPDX-License-Identifier: Apache-2.0
// Who defines ASYNC_start_job() and ASYNC_pause_job(): the CPU's short way, short_<cpu>.S, which
// does what nearly every call does and leaves the rest to these; or, where there is none,
// short_none.cpp, which leaves everything to them.
//
// Threads: as the public functions. Next layer down: thread_state.cpp defines these.
#pragma once

#include "api.hpp"

extern "C" {

int asyncjob_start_or_resume(ASYNC_JOB** handle, ASYNC_WAIT_CTX* wait, int* result,
                             int (*function)(void*), void* args, size_t size) noexcept;

// A start with arguments: no pointer is NULL, but maybe the function, nor *handle anything else.
int asyncjob_start_with_args(ASYNC_JOB** handle, ASYNC_WAIT_CTX* wait, int* result,
                             int (*function)(void*), void* args, size_t size) noexcept;

int asyncjob_pause_long() noexcept;

}  // extern "C"
