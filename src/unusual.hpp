// SPDX-License-Identifier: Apache-2.0
// Why a switch cannot go the short way: bits of a thread and bits of a job, which a start, a
// pause, a resume and an end look at together, in one test.
//
// Owner: thread_state.hpp. Threads: those of the thread or job. Next layer down: none.
#pragma once

#include <cstdint>

namespace asyncjob::unusual {

// Of a thread.
inline constexpr std::uint32_t asks_for_errors = 1;  // has to, see error_queue.hpp
inline constexpr std::uint32_t has_hooks = 2;        // asyncjob_add_switch_hooks()
inline constexpr std::uint32_t has_lib_ctx = 4;      // some side's is not the process's
inline constexpr std::uint32_t is_watched = 8;       // by memcheck
inline constexpr std::uint32_t stamps_pauses = 16;   // notes the time of each
inline constexpr std::uint32_t is_new_child = 32;    // of a fork, without a use of jobs yet

// Of a job.
inline constexpr std::uint32_t is_nested = 128;  // runs, and was entered from another job
inline constexpr std::uint32_t is_blocked = 256;
inline constexpr std::uint32_t carries_exceptions = 512;
inline constexpr std::uint32_t is_cancelled = 1024;  // it pauses no more
inline constexpr std::uint32_t is_seen = 2048;       // to be ready, see job_wake.hpp
inline constexpr std::uint32_t is_held = 0x10000;    // runs code of others off its stack: no pause
inline constexpr std::uint32_t carries_errors = 0x20000;
inline constexpr std::uint32_t is_fresh = 0x40000;  // has not paused yet
inline constexpr std::uint32_t is_listed =
    0x80000;  // runs, and is the first of the idle ones still

// What a pause and a resume go the long way for: all of the above.
inline constexpr std::uint32_t diverts = 0x000f0fff;

// Of a job, and of no concern to any but its end.
inline constexpr std::uint32_t has_large_args = 0x1000;  // frees them, or their room
inline constexpr std::uint32_t has_handle = 0x2000;      // makes it stale
inline constexpr std::uint32_t has_locals = 0x4000;      // destroys them

// Of a thread, and of no concern to any but the end of a job.
inline constexpr std::uint32_t awaits_room = 0x8000;  // in a pool that was full

// Of a job: how many of its resumes will still go in by a call, so that the processor predicts
// where the job's function returns to. A job that has been resumed so often is taken for one that
// will be many times more: its resumes go in by a jump.
inline constexpr std::uint32_t young = 0x07c00000;
inline constexpr std::uint32_t young_at_first = 16U << 22U;

// What concerns the control words. These and all that arch/short_*.S looks for one by one are high
// bits: it ORs an exception's address and the number of exceptions in flight to them, and neither
// can look like that.
inline constexpr std::uint32_t compares_fp_mode = 0x10000000;  // thread: on some processors
inline constexpr std::uint32_t shares_fp_mode = 0x20000000;    // thread: asyncjob_share_fp_mode()
inline constexpr std::uint32_t is_bare = 0x40000000;           // job: the suspended side kept none
inline constexpr std::uint32_t fp_mode = compares_fp_mode | shares_fp_mode | is_bare;

}  // namespace asyncjob::unusual
