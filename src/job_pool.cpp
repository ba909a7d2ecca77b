// SPDX-License-Identifier: Apache-2.0
// The pool. Contract and invariants: job_pool.hpp.
#include "job_pool.hpp"

#include <limits>

namespace asyncjob {

namespace {

// More than any address space holds; asked for before the first of them is made.
constexpr std::size_t most_jobs = (std::numeric_limits<std::size_t>::max() >> 17) / stack_size;

}  // namespace

Reason JobPool::make(std::uint64_t owner) noexcept {
    settle();
    Job* const job = headers_.take();
    if (job == nullptr)
        return Reason::no_memory;
    const Reason reason = stacks_.take(job->rest.stack);
    if (reason != Reason::none) {
        headers_.give(job);
        return reason;
    }
    job->rest.top = job->rest.stack.high;
    sanitizer::made(job->rest.watched, job->rest.stack.low, job->rest.stack.high);
    job->owner.store(owner, std::memory_order_relaxed);
    put(job);
    ++total_;
    open_ = true;
    update_keeps();
    return Reason::none;
}

void JobPool::destroy(Job* job) noexcept {
    sanitizer::gone(job->rest.watched);
    stacks_.give(job->rest.stack);
    headers_.give(job);
    --total_;
    update_keeps();
}

std::size_t JobPool::idle_count() const {
    std::size_t count = 0;
    for (const Job* job = idle_; job != nullptr; job = job->next)
        ++count;
    return count;
}

void JobPool::destroy_idle(std::size_t count) noexcept {
    for (; count > 0 && idle_ != nullptr; --count) {
        Job* const job = idle_;
        idle_ = job->next;
        destroy(job);
    }
}

Reason JobPool::configure(std::size_t max, std::size_t init, std::uint64_t owner) noexcept {
    if (max != 0 && init > max)
        return Reason::invalid_pool_size;
    if (init > most_jobs)
        return Reason::no_stack;

    settle();
    const bool was_open = open_;
    const std::size_t was_idle = idle_count();
    for (std::size_t idle = was_idle; idle < init && (max == 0 || total_ < max); ++idle) {
        const Reason reason = make(owner);
        if (reason != Reason::none) {
            destroy_idle(idle - was_idle);
            open_ = was_open;
            update_keeps();
            return reason;
        }
    }
    open_ = true;
    max_ = max;
    if (max != 0 && total_ > max)
        destroy_idle(total_ - max);
    update_keeps();
    return Reason::none;
}

void JobPool::close() noexcept {
    settle();
    destroy_idle(total_);
    open_ = false;
    max_ = 0;
    update_keeps();
}

std::size_t JobPool::abandon() noexcept {
    close();
    const std::size_t left = total_;
    headers_.leave();
    stacks_.forget();
    *this = JobPool{};
    return left;
}

}  // namespace asyncjob
