// SPDX-License-Identifier: Apache-2.0
// A thread's jobs: the idle ones, how many there are in all, and the limit (S11, S13).
//
// Invariant: `total_` counts the jobs that have a stack, idle and in flight. A pool is open
// from the first start or ASYNC_init_thread() until ASYNC_cleanup_thread(); jobs that finish
// while it is closed, or over its limit, are destroyed instead of kept.
//
// A job that starts is not taken out of the idle ones until it pauses, as most do not: it is
// the thread's current job then, and the first idle one, and `is_listed` says so. Whoever uses
// the list for another job calls settle() first, as all functions here do.
//
// Owner: thread_state.hpp. Threads: its own. Next layer down: job.hpp, stack.hpp.
#pragma once

#include <cstddef>

#include "job.hpp"
#include "reason.hpp"
#include "stack.hpp"

namespace asyncjob {

class JobPool {
  public:
    // The idle job that the next start takes; NULL if there is none. It may be the current one.
    [[nodiscard]] Job* first_idle() const { return idle_; }

    // Takes first_idle() out, which is running.
    void take_first() {
        idle_->fiber.unusual &= ~unusual::is_listed;
        idle_ = idle_->next;
    }

    // Takes the current job out if it is in the list still.
    void settle() {
        if (idle_ != nullptr && (idle_->fiber.unusual & unusual::is_listed) != 0)
            take_first();
    }

    // Whether a job that finishes goes back to the idle ones, else it is to be destroyed.
    [[nodiscard]] bool keeps() const { return keeps_; }

    void put(Job* job) {
        job->next = idle_;
        idle_ = job;
    }

    // Whether jobs are running or paused.
    [[nodiscard]] bool in_flight() {
        settle();
        return total_ > idle_count();
    }

    [[nodiscard]] bool at_limit() const { return max_ != 0 && total_ >= max_; }

    // Makes an idle job for the thread `owner`, whatever the limit. Opens the pool.
    Reason make(std::uint64_t owner) noexcept;

    // Gives a job's stack and header back; it must not be idle. Not on that stack.
    void destroy(Job* job) noexcept;

    // Sets the limit and tops the idle jobs up to `init`, or leaves all as it was.
    Reason configure(std::size_t max, std::size_t init, std::uint64_t owner) noexcept;

    // Destroys the idle jobs and forgets the limit.
    void close() noexcept;

    // For a thread that ends: closes, and gives up what is in flight. Returns how many.
    std::size_t abandon() noexcept;

  private:
    void destroy_idle(std::size_t count) noexcept;
    void update_keeps() { keeps_ = open_ && (max_ == 0 || total_ <= max_); }
    [[nodiscard]] std::size_t idle_count() const;

    Job* idle_ = nullptr;
    bool keeps_ = false;
    bool open_ = false;
    std::size_t total_ = 0;
    std::size_t max_ = 0;  // 0: no limit
    HeaderSource headers_;
    StackSource stacks_;
};

}  // namespace asyncjob
