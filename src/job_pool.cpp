// SPDX-License-Identifier: Apache-2.0
// The pool. Contract and invariants: job_pool.hpp.
#include "job_pool.hpp"

#include <algorithm>
#include <limits>

namespace asyncjob {

namespace {

// More than any address space holds; asked for before the first of them is made.
constexpr std::size_t most_jobs = (std::numeric_limits<std::size_t>::max() >> 17) / stack_size;

}  // namespace

Reason JobPool::make(std::uint64_t owner) noexcept {
    settle();
    Stack stack{};
    unsigned left = 0;
    const Reason reason = stacks_.take(stack, left);
    if (reason != Reason::none)
        return reason;
    Job* job = nullptr;
    if (stack.slab != nullptr) {
        job = Job::at_top_of(stack, left);
    } else {
        job = headers_.take();
        if (job == nullptr) {
            stacks_.give(stack, 0);
            return Reason::no_memory;
        }
    }
    job->rest.stack = stack;
    job->top = stack.high;
    sanitizer::made(job->rest.watched, stack.low, stack.high);
    job->owner.store(owner, std::memory_order_relaxed);
    enlist(job);
    put(job);
    ++total_;
    open_ = true;
    update_room();
    return Reason::none;
}

void JobPool::enlist(Job* job) {
    job->made_before = last_made_;
    job->made_after = nullptr;
    if (last_made_ != nullptr)
        last_made_->made_after = job;
    last_made_ = job;
}

void JobPool::strike_off(Job* job) {
    if (walk_ == job)
        walk_ = job->made_before;
    if (job->made_after != nullptr)
        job->made_after->made_before = job->made_before;
    else
        last_made_ = job->made_before;
    if (job->made_before != nullptr)
        job->made_before->made_after = job->made_after;
}

void JobPool::destroy(Job* job) noexcept {
    strike_off(job);
    sanitizer::gone(job->rest.watched);
    const Stack stack = job->rest.stack;
    if (stack.slab == nullptr)
        headers_.give(job);
    stacks_.give(stack, job->serial());
    --total_;
}

void JobPool::keep_or_destroy(Job* job) noexcept {
    if (room_ == 0) {
        destroy(job);
        update_room();
        return;
    }
    put(job);
    if (idle_count_ >= room_)
        keep_idle(room_ / 2);
}

void JobPool::update_room() {
    const bool keeps = open_ && (max_ == 0 || total_ <= max_);
    room_ = keeps ? 2 * std::max(high_water, prepared_) : 0;
}

// Destroys all idle jobs but the first ones, which were in use last.
void JobPool::keep_idle(std::size_t count) noexcept {
    if (idle_count_ <= count)
        return;
    Job* last = idle_;
    for (std::size_t at = 1; at < count; ++at)
        last = last->next;
    Job* const kept = idle_;
    idle_ = last->next;
    destroy_idle(idle_count_ - count);
    last->next = nullptr;
    idle_ = kept;
}

void JobPool::destroy_idle(std::size_t count) noexcept {
    for (; count > 0 && idle_ != nullptr; --count) {
        Job* const job = idle_;
        idle_ = job->next;
        --idle_count_;
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
    const std::size_t was_idle = idle_count_;
    for (std::size_t idle = was_idle; idle < init && (max == 0 || total_ < max); ++idle) {
        const Reason reason = make(owner);
        if (reason != Reason::none) {
            destroy_idle(idle - was_idle);
            stacks_.settle();
            open_ = was_open;
            update_room();
            return reason;
        }
    }
    open_ = true;
    max_ = max;
    prepared_ = init;
    if (max != 0 && total_ > max) {
        destroy_idle(total_ - max);
        stacks_.settle();
    }
    update_room();
    return Reason::none;
}

void JobPool::close() noexcept {
    settle();
    destroy_idle(total_);
    stacks_.settle();
    open_ = false;
    max_ = 0;
    prepared_ = 0;
    update_room();
}

std::size_t JobPool::abandon() noexcept {
    close();
    const std::size_t left = total_;
    headers_.leave();
    stacks_.leave();
    *this = JobPool{};
    return left;
}

}  // namespace asyncjob
