// SPDX-License-Identifier: Apache-2.0
// One per thread: the current job, the pool, and what a start, a pause and a resume do.
//
// A start takes a job from the pool and runs it on its stack; a pause makes the outer job
// current again and switches back to whoever resumed; so does the end of the job's function.
// The side that leaves does all the work before it switches, and each of these ends in a tail
// call of the switch. What nearly always happens has a short way in assembly beside this,
// arch/short_x86_64.S.
//
// Owner: the thread. Threads: each sees its own. Next layer down: job_pool.hpp, fiber.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fiber.hpp"
#include "hooks.hpp"
#include "job.hpp"
#include "job_pool.hpp"
#include "reason.hpp"
#include "relaxed.hpp"
#include "threads.hpp"
#include "wake.hpp"

namespace asyncjob {

// Called when a job's end makes room in a pool that was full.
struct SlotFree {
    void (*callback)(void*) = nullptr;
    void* arg = nullptr;
};

struct alignas(64) ThreadState {
    // What a switch uses comes first.
    Relaxed<ASYNC_JOB*> current;  // the handle
    std::uint64_t key = no_key;   // never used twice in a process, low 6 bits 0
    CarriedPlaces places{};
    arch::Slot outside = nullptr;  // the frame of whoever entered the current job
    std::uint32_t special = 0;     // see unusual.hpp; 0 for nearly all threads
    ThreadErrors errors{};         // NULL until the thread uses jobs
    JobPool pool;
    int last_reason = 0;
    Mailbox* mailbox = nullptr;  // from when it is first needed
    SlotFree slot_free;
    ThreadEntry entry;
    unsigned long long libraries = 0;  // in the process when it was last looked for them
    int exit_rounds = 0;               // in which the key's destructor was called
    SwitchHooks hooks;                 // with unusual::has_hooks only
    ExceptionGlobals no_exceptions{};  // where no C++ runtime is in the process

    // Of a thread that has not used jobs yet.
    static constexpr std::uint64_t no_key = std::uint64_t{1} << 63;

    [[nodiscard]] Job* current_job() const {
        return current != nullptr ? Job::of(current) : nullptr;
    }
};

// Initial-exec, by a compiler option: one instruction finds it, in a preloaded library too.
extern constinit thread_local ThreadState this_thread asm("asyncjob_this_thread");

// Makes the thread one that uses jobs, as a start does.
Reason use_jobs() noexcept;

// Whether that can succeed, memory and limits aside.
bool can_have_jobs() noexcept;

// Asked when a thread first uses jobs. A variable, as there are few machines to try it on: tests
// set it.
extern bool (*has_shadow_stack)() noexcept;

// The operations behind the functions of the same names in asyncjob/async.h; those behind
// ASYNC_start_job() and ASYNC_pause_job() are in arch/short.hpp.
Reason init_thread(std::size_t max, std::size_t init) noexcept;
Reason init_thread(const PoolOptions& options) noexcept;
void cleanup_thread() noexcept;

// Of all threads; those that use jobs already, but for this one, when they make the next.
Reason report_overflows() noexcept;

// The next call comes after the next ASYNC_NO_JOBS.
Reason on_slot_free(const SlotFree& slot_free) noexcept;

// Resumes a paused job for the last time: its pauses return 0, the one that it is in and all
// later ones, so that it comes back only when its function has returned. Fails as a resume does.
Reason cancel(ASYNC_JOB** handle, int* result) noexcept;

// Cancels jobs of the thread until none is paused. Returns how many.
std::size_t cancel_all() noexcept;

// The lowest address in these bytes at which a paused job of the thread has put its handle, if it
// is there still.
ASYNC_JOB** find_handle(const void* object, std::size_t size) noexcept;

// Whether the current job was cancelled.
bool is_cancelled() noexcept;

// Outside jobs only.
Reason add_switch_hook(const SwitchHook& hook) noexcept;
Reason remove_switch_hook(const SwitchHook& hook) noexcept;

// Returns what was.
bool share_fp_mode(bool share) noexcept;

// Raises a reason for a function of the public interface, and returns 0.
int fail(Reason reason, const char* function) noexcept;

// 1, or 0 with the reason raised.
inline int succeed(Reason reason, const char* function) noexcept {
    return reason == Reason::none ? 1 : fail(reason, function);
}

}  // namespace asyncjob
