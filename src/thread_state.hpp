// SPDX-License-Identifier: Apache-2.0
// One per thread: the current job, the pool, and what a start, a pause and a resume do.
//
// A start takes a job from the pool and runs it on its stack; a pause makes the outer job
// current again and switches back to whoever resumed; so does the end of the job's function.
// The side that leaves does all the work before it switches, and start_job() and
// pause_job() end in a tail call of the switch.
//
// Owner: the thread. Threads: each sees its own. Next layer down: job_pool.hpp, fiber.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fiber.hpp"
#include "job.hpp"
#include "job_pool.hpp"
#include "reason.hpp"

namespace asyncjob {

struct ThreadState {
    Job* current = nullptr;
    JobPool pool;
    CarriedPlaces places{};
    std::uint64_t id = 0;  // never used twice in a process; 0: the thread has not used jobs
    bool share_fp_mode = false;
    int last_reason = 0;
    unsigned long long libraries = 0;  // in the process when it was last looked for them
    int exit_rounds = 0;               // of the thread's key destructors
    ExceptionGlobals no_exceptions{};  // where no C++ runtime is in the process
};

// Initial-exec, by a compiler option: one instruction finds it, in a preloaded library too.
extern constinit thread_local ThreadState this_thread;

// The operations behind the functions of the same names in asyncjob/async.h. Pointers that
// must not be NULL are not; `function` is asked for only with *handle NULL.
int start_job(ASYNC_JOB** handle, ASYNC_WAIT_CTX* wait, int* result, JobFunction function,
              void* args, std::size_t size) noexcept;
int pause_job() noexcept;
Reason init_thread(std::size_t max, std::size_t init) noexcept;
void cleanup_thread() noexcept;

// Jobs in flight on threads that have ended.
std::size_t left_behind() noexcept;

// Raises a reason for a function of the public interface, and returns 0.
int fail(Reason reason, const char* function) noexcept;

}  // namespace asyncjob
