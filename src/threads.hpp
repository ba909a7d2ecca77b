// SPDX-License-Identifier: Apache-2.0
// The threads that use jobs, for whoever wants to see the jobs of the process, and the numbers of
// those that have ended.
//
// A thread enters the list with its first use of jobs and leaves it at its end, when the destructor
// of the library's key is called for the first time; what destructors of other keys still do with
// jobs is added to the numbers of ended threads. (A thread whose very first use is in its last
// round of key destructors, behind the library's, would stay in the list.) Whoever goes
// through the list holds its lock, so that no thread ends meanwhile; jobs start, pause, resume and
// end all the time. The child of a fork has the forking thread in its list alone, with the
// numbers that it brings, and none of others that have ended.
//
// Owner: thread_state.hpp, which has an entry for each thread. Threads: any.
// Next layer down: job_pool.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "job_pool.hpp"
#include "os/fork_lock.hpp"
#include "relaxed.hpp"

namespace asyncjob {

struct ThreadEntry {
    // Set when it enters.
    JobPool* pool = nullptr;
    const Relaxed<ASYNC_JOB*>* current = nullptr;
    std::uint64_t key = 0;
    int id = 0;                // the system's
    std::uint64_t serial = 0;  // in the list, which has the newest first; 0: not in it

    Relaxed<std::uint64_t> cancelled;
    Relaxed<std::uint64_t> refused;

    // What of its numbers the past ones have.
    std::uint64_t past_finished = 0;
    std::uint64_t past_cancelled = 0;
    std::uint64_t past_refused = 0;

    ThreadEntry* next = nullptr;
    ThreadEntry* previous = nullptr;
};

// Of threads that have ended.
struct PastNumbers {
    std::uint64_t finished = 0;
    std::uint64_t cancelled = 0;
    std::uint64_t refused = 0;
    std::uint64_t peak = 0;
};

// Makes the calling thread's entry one of the list.
void enter_threads(ThreadEntry& entry) noexcept;

// The opposite, before the pool is given up. May be called again, for what was done meanwhile.
void leave_threads(ThreadEntry& entry) noexcept;

// Jobs in flight on threads that have ended: known later than their other numbers.
void add_left_behind(std::size_t jobs) noexcept;
[[nodiscard]] std::size_t left_behind() noexcept;

// The list, while its lock is held.
class AllThreads {
  public:
    enum class When {
        waits,        // for the lock
        if_possible,  // in a signal handler, say: not if the interrupted thread has it
    };
    explicit AllThreads(When when) noexcept;
    ~AllThreads();
    AllThreads(const AllThreads&) = delete;
    AllThreads& operator=(const AllThreads&) = delete;

    explicit operator bool() const { return held_; }
    [[nodiscard]] ThreadEntry* first() const noexcept;
    [[nodiscard]] const PastNumbers& past() const noexcept;

    // The lock of a thread's list of jobs, got as this one was. False: not possible.
    [[nodiscard]] bool lock_jobs(const ThreadEntry& thread) const noexcept;

  private:
    When when_;
    bool held_;
};

}  // namespace asyncjob
