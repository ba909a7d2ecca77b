// SPDX-License-Identifier: Apache-2.0
// Why a switch cannot go the short way: bits of a thread and bits of a job, which a start, a
// pause, a resume and an end look at together, in one test.
//
// Owner: thread_state.hpp. Threads: those of the thread or job. Next layer down: none.
#pragma once

#include <cstdint>

namespace asyncjob::unusual {

// The low 16 bits are those that arch/short_*.S tells one from the other by. It ORs to all of them
// an exception's address, which is never below 64 Ki (vm.mmap_min_addr), and in the upper half the
// number of exceptions in flight: so a value of these bits alone says that there are none.

// Which of thread and job have to do with the control words.
inline constexpr std::uint32_t compares_fp_mode = 1;  // thread: on some processors
inline constexpr std::uint32_t shares_fp_mode = 2;    // thread: asyncjob_share_fp_mode()
inline constexpr std::uint32_t is_bare = 4;           // job: the suspended side kept none
inline constexpr std::uint32_t fp_mode = compares_fp_mode | shares_fp_mode | is_bare;

// Of a job: how many of its resumes will still go in by a call, so that the processor predicts
// where the job's function returns to. A job that has been resumed so often is taken for one that
// will be many times more: its resumes go in by a jump.
inline constexpr std::uint32_t young = 0x3e0;
inline constexpr std::uint32_t young_at_first = 16U << 5U;

// Of a job, and of no concern to any but its end.
inline constexpr std::uint32_t has_large_args = 0x400;  // frees them, or their room
inline constexpr std::uint32_t has_handle = 0x800;      // makes it stale
inline constexpr std::uint32_t has_locals = 0x1000;     // destroys them

// Of a thread, and of no concern to any but the end of a job.
inline constexpr std::uint32_t awaits_room = 8;  // in a pool that was full

// All of these. For any other, a pause and a resume go the long way.
inline constexpr std::uint32_t goes_on = 0x3fff;

// Of a job.
inline constexpr std::uint32_t is_fresh = 0x4000;   // has not paused yet
inline constexpr std::uint32_t is_listed = 0x8000;  // runs, and is still the first of the idle ones
inline constexpr std::uint32_t is_nested = 0x10000;  // runs, and was entered from another job
inline constexpr std::uint32_t is_blocked = 0x20000;
inline constexpr std::uint32_t carries_exceptions = 0x40000;
inline constexpr std::uint32_t is_cancelled = 0x80000;  // it pauses no more
inline constexpr std::uint32_t is_seen = 0x100000;      // to be ready, see job_wake.hpp
inline constexpr std::uint32_t is_held = 0x200000;  // runs code of others off its stack: no pause
inline constexpr std::uint32_t carries_errors = 0x400000;

// Of a thread.
inline constexpr std::uint32_t asks_for_errors = 0x800000;  // has to, see error_queue.hpp
inline constexpr std::uint32_t has_hooks = 0x1000000;       // asyncjob_add_switch_hooks()
inline constexpr std::uint32_t has_lib_ctx = 0x2000000;     // some side's is not the process's
inline constexpr std::uint32_t is_watched = 0x4000000;      // by memcheck
inline constexpr std::uint32_t stamps_pauses = 0x8000000;   // notes the time of each
inline constexpr std::uint32_t is_new_child = 0x10000000;   // of a fork, no use of jobs yet
inline constexpr std::uint32_t is_traced = 0x20000000;      // ASYNCJOB_TRACE

}  // namespace asyncjob::unusual
