// SPDX-License-Identifier: Apache-2.0
// A thread's jobs: the idle ones, how many there are in all, and the limit (S11, S13).
//
// Invariant: `total_` counts the jobs that have a stack, idle and in flight. A pool is open
// from the first start or ASYNC_init_thread() until ASYNC_cleanup_thread(); jobs that finish
// while it is closed, or over its limit, are destroyed instead of kept. So are idle ones, when
// they have become many more than the high-water mark.
//
// A job that starts is not taken out of the idle ones until it pauses, as most do not: it is
// the thread's current job then, and the first idle one, and `is_listed` says so. Whoever uses
// the list for another job calls settle() first, as all functions here do.
//
// All jobs that have a stack are in a second list, idle or not, for whoever wants to see each of
// them. Jobs come into it as they are made and leave it as they are destroyed, when memory is
// mapped and given back, so that starts, pauses and resumes have nothing to do with it. (A walk
// through the slabs would find the same jobs without a list, but not those on stacks of a user's
// function, and would touch stacks that have been given back.)
//
// Owner: thread_state.hpp. Threads: its own. Next layer down: job.hpp, stack.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "job.hpp"
#include "os/fork_lock.hpp"
#include "reason.hpp"
#include "relaxed.hpp"
#include "stack.hpp"

namespace asyncjob {

// See asyncjob_thread_options.
struct PoolOptions {
    std::size_t max = 0;  // 0: no limit
    std::size_t prepared = 0;
    // Idle jobs above this give their memory back, once they are twice as many. Each keeps the
    // pages that it has touched, mostly one to three.
    std::size_t idle_high_water = 1024;
    StackShape stacks;
    bool stamps_pauses = false;  // for thread_state.hpp
};

// Of a pool's jobs.
struct PoolNumbers {
    std::uint64_t finished = 0;  // of jobs that are no more, too
    std::uint64_t paused = 0;
    std::uint64_t running = 0;
    std::uint64_t jobs = 0;  // idle and in flight
    std::uint64_t peak = 0;  // the most in flight at a time
};

class JobPool {
  public:
    // The idle job that the next start takes; NULL if there is none. It may be the current one.
    [[nodiscard]] Job* first_idle() const { return idle_; }

    // Takes first_idle() out, which is running.
    void take_first() {
        idle_->fiber.unusual &= ~unusual::is_listed;
        idle_ = idle_->next;
        --idle_count_;
    }

    // Takes the current job out if it is in the list still.
    void settle() {
        if (idle_ != nullptr && (idle_->fiber.unusual & unusual::is_listed) != 0)
            take_first();
    }

    // Whether a job that finishes goes to the idle ones with no more ado than put().
    [[nodiscard]] bool has_room() const { return idle_count_ < room_; }

    void put(Job* job) {
        job->next = idle_;
        idle_ = job;
        ++idle_count_;
    }

    // Keeps a job that has finished, or destroys it, or other idle ones. Not on its stack.
    void keep_or_destroy(Job* job) noexcept;

    // Whether jobs are running or paused.
    [[nodiscard]] bool in_flight() {
        settle();
        return total_ > idle_count_;
    }

    [[nodiscard]] bool at_limit() const { return options_.max != 0 && total_ >= options_.max; }

    // Makes an idle job for the thread `owner`, whatever the limit, as there is none. Opens the
    // pool.
    Reason make(std::uint64_t owner) noexcept;

    // Sets the options, checked ones, and tops the idle jobs up; or leaves the options and the
    // jobs in flight as they were. The limits of `options` agree, its sizes are rounded.
    Reason configure(const PoolOptions& options, std::uint64_t owner) noexcept;

    [[nodiscard]] const PoolOptions& options() const { return options_; }

    // Goes through all jobs: walk() gives them one after another, at the end NULL. Jobs may be
    // made and destroyed meanwhile; those that are made are not come by. There is one walk at a
    // time: the next one takes the place of the last, which is then where that one is.
    void begin_walk() { walk_ = last_made_; }
    [[nodiscard]] Job* walk() {
        Job* const job = walk_;
        if (job != nullptr)
            walk_ = job->made_before;
        return job;
    }

    // Any thread, as long as the pool is there, may count its jobs and look at each of them while
    // it has this lock; none is made or destroyed meanwhile. `key` and `current` are those of the
    // pool's thread.
    [[nodiscard]] os::ForkLock& list_lock() { return list_lock_; }
    [[nodiscard]] PoolNumbers numbers(std::uint64_t key, ASYNC_JOB* current) const noexcept;
    [[nodiscard]] const Job* newest() const { return last_made_; }  // then made_before
    // The one that comes behind `job`, whose `made` was this when the lock was held before; the
    // job itself may have been destroyed since.
    [[nodiscard]] const Job* next_older(const Job* job, std::uint64_t made) const noexcept;

    // Destroys the idle jobs and forgets the options, but for what jobs in flight stand on.
    void close() noexcept;

    // For a thread that ends: closes, and gives up what is in flight. Returns how many.
    std::size_t abandon() noexcept;

    // For arch/offsets.h.
    static constexpr std::size_t offset_of_idle() { return offsetof(JobPool, idle_); }
    static constexpr std::size_t offset_of_idle_count() { return offsetof(JobPool, idle_count_); }

  private:
    void enlist(Job* job);
    void strike_off(Job* job);
    void destroy(Job* job) noexcept;
    void destroy_idle(std::size_t count) noexcept;
    void keep_idle(std::size_t count) noexcept;
    void update_room();
    Reason make_idle(std::uint64_t owner) noexcept;
    [[nodiscard]] std::uint64_t used() const noexcept;
    void note_peak() noexcept;
    Reason top_up(const PoolOptions& options, std::uint64_t owner) noexcept;
    void set_stacks(const StackShape& stacks) noexcept;
    void forget_stacks() noexcept;
    void trim() noexcept;

    // These come first; see arch/offsets.h.
    Job* idle_ = nullptr;
    std::size_t idle_count_ = 0;
    std::size_t room_ = 0;  // idle jobs until a job that finishes means work; 0: it is destroyed
    bool open_ = false;
    std::size_t total_ = 0;
    PoolOptions options_;
    Job* last_made_ = nullptr;     // all jobs, the newest first
    Job* walk_ = nullptr;          // see walk()
    os::ForkLock list_lock_;       // of the list of all jobs, which the owner alone changes
    Relaxed<std::uint64_t> peak_;  // as far as it is known, see note_peak()
    Relaxed<std::uint64_t> finished_before_;  // by jobs that have been destroyed
    HeaderSource headers_;
    StackSource stacks_;
};

}  // namespace asyncjob
