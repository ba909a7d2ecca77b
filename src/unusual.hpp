// SPDX-License-Identifier: Apache-2.0
// Why a switch cannot go the short way: bits of a thread and bits of a job, which a start, a
// pause, a resume and an end look at together, in one test.
//
// Owner: thread_state.hpp. Threads: those of the thread or job. Next layer down: none.
#pragma once

#include <cstdint>

namespace asyncjob::unusual {

// Of a thread.
inline constexpr std::uint32_t shares_fp_mode = 1;         // asyncjob_share_fp_mode()
inline constexpr std::uint32_t compares_fp_mode = 2;       // on processors that prefer it
inline constexpr std::uint32_t has_lib_ctx = 4;            // some side's is not the process's
inline constexpr std::uint32_t is_watched = 8;             // by memcheck
inline constexpr std::uint32_t has_hooks = 0x10000;        // asyncjob_add_switch_hooks()
inline constexpr std::uint32_t asks_for_errors = 0x20000;  // has to, see error_queue.hpp
inline constexpr std::uint32_t stamps_pauses = 0x100000;   // notes the time of each

// Of a thread, and of no concern to any but the end of a job.
inline constexpr std::uint32_t awaits_room = 0x8000;  // in a pool that was full

// Of a job.
inline constexpr std::uint32_t is_bare = 16;     // the suspended side kept no control words
inline constexpr std::uint32_t is_fresh = 32;    // has not paused yet
inline constexpr std::uint32_t is_listed = 64;   // runs, and is the first of the idle ones still
inline constexpr std::uint32_t is_nested = 128;  // runs, and was entered from another job
inline constexpr std::uint32_t is_blocked = 256;
inline constexpr std::uint32_t carries_exceptions = 512;
inline constexpr std::uint32_t is_cancelled = 1024;  // it pauses no more
inline constexpr std::uint32_t is_seen = 2048;       // to be ready, see job_wake.hpp
inline constexpr std::uint32_t is_held = 0x40000;    // runs code of others off its stack: no pause
inline constexpr std::uint32_t carries_errors = 0x80000;

// Of a job, and of no concern to any but its end.
inline constexpr std::uint32_t has_large_args = 4096;  // frees them, or their room
inline constexpr std::uint32_t has_handle = 8192;      // makes it stale
inline constexpr std::uint32_t has_locals = 16384;     // destroys them

// In the highest bits of a job: how many of its resumes will still go in by a call, so that
// the processor predicts where the job's function returns to. A job that has been resumed so
// often is taken for one that will be many times more: its resumes go in by a jump.
inline constexpr std::uint32_t young = 0xff000000;
inline constexpr std::uint32_t young_at_first = 16U << 24U;

// What only the control words are concerned in.
inline constexpr std::uint32_t fp_mode = shares_fp_mode | compares_fp_mode | is_bare;

// What a pause and a resume go the long way for.
inline constexpr std::uint32_t diverts = 0x00ff0fff & ~fp_mode;

}  // namespace asyncjob::unusual
