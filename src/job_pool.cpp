// SPDX-License-Identifier: Apache-2.0
// The pool. Contract and invariants: job_pool.hpp.
#include "job_pool.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace asyncjob {

namespace {

// More than any address space holds; asked for before the first job is made.
constexpr std::size_t most_bytes = std::numeric_limits<std::size_t>::max() >>
                                   (sizeof(std::size_t) == 8 ? 17U : 0U);

std::atomic<std::uint64_t> jobs_made = 0;

}  // namespace

Reason JobPool::make(std::uint64_t owner) noexcept {
    const Reason reason = make_idle(owner);
    if (reason == Reason::none && peak_ < total_)
        peak_ = total_;
    return reason;
}

Reason JobPool::make_idle(std::uint64_t owner) noexcept {
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
    sanitizer::begin_header(job, sizeof *job);
    job->owner.store(owner, std::memory_order_relaxed);
    job->begin_count();
    enlist(job);
    put(job);
    ++total_;
    open_ = true;
    update_room();
    return Reason::none;
}

void JobPool::enlist(Job* job) {
    const os::ForkLock::Guard guard(list_lock_);
    job->made_before = last_made_;
    job->made_after = nullptr;
    job->made = jobs_made.fetch_add(1, std::memory_order_relaxed) + 1;
    if (last_made_ != nullptr)
        last_made_->made_after = job;
    last_made_ = job;
}

void JobPool::strike_off(Job* job) {
    const os::ForkLock::Guard guard(list_lock_);
    finished_before_ += job->ended();
    job->made = 0;
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
    const Stack stack = job->rest.stack;
    sanitizer::gone(job->rest.watched, stack.low, stack.high);
    sanitizer::end_header(job, sizeof *job);
    if (stack.slab == nullptr)
        headers_.give(job);
    stacks_.give(stack, job->serial());
    --total_;
}

void JobPool::keep_or_destroy(Job* job) noexcept {
    if (room_ == 0) {
        note_peak();
        destroy(job);
        forget_stacks();
        update_room();
        return;
    }
    put(job);
    if (idle_count_ > room_) {
        keep_idle(room_ / 2);
        stacks_.tidy();
    }
}

void JobPool::update_room() {
    const bool keeps = open_ && (options_.max == 0 || total_ <= options_.max);
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max() / 2;
    room_ = keeps ? 2 * std::min(most, std::max(options_.idle_high_water, options_.prepared)) : 0;
}

// Destroys all idle jobs but the first ones, which were in use last.
void JobPool::keep_idle(std::size_t count) noexcept {
    if (idle_count_ <= count)
        return;
    note_peak();
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

// Jobs that have run stay the first: those that the most in flight at a time have not needed are
// the last ones always.
Reason JobPool::top_up(const PoolOptions& options, std::uint64_t owner) noexcept {
    Job* const first = std::exchange(idle_, nullptr);
    const std::size_t was_idle = idle_count_;
    Reason reason = Reason::none;
    while (reason == Reason::none && idle_count_ < options.prepared &&
           (options.max == 0 || total_ < options.max))
        reason = make_idle(owner);
    if (reason != Reason::none) {
        destroy_idle(idle_count_ - was_idle);
        stacks_.settle();
    }
    if (first != nullptr) {
        Job* last = first;
        while (last->next != nullptr)
            last = last->next;
        last->next = idle_;
        idle_ = first;
    }
    return reason;
}

// While no job is in flight.
void JobPool::set_stacks(const StackShape& stacks) noexcept {
    note_peak();
    destroy_idle(total_);
    stacks_.set_shape(stacks);
    options_.stacks = stacks;
}

Reason JobPool::configure(const PoolOptions& options, std::uint64_t owner) noexcept {
    if (options.prepared > most_bytes / options.stacks.with_guard())
        return Reason::no_stack;
    settle();
    const StackShape stacks = options_.stacks;
    if (options.stacks != stacks) {
        if (total_ > idle_count_)
            return Reason::jobs_in_flight;
        set_stacks(options.stacks);
    }
    const bool was_open = open_;
    const Reason reason = top_up(options, owner);
    if (reason != Reason::none) {
        if (options.stacks != stacks)
            set_stacks(stacks);
        open_ = was_open;
        update_room();
        return reason;
    }
    open_ = true;
    options_ = options;
    update_room();
    trim();
    return Reason::none;
}

// After new options: destroys what is more than they allow.
void JobPool::trim() noexcept {
    note_peak();
    if (options_.max != 0 && total_ > options_.max)
        destroy_idle(total_ - options_.max);
    else if (room_ != 0 && idle_count_ > room_)
        keep_idle(room_ / 2);
    else if (room_ == 0)
        destroy_idle(total_);
    stacks_.settle();
    update_room();
}

void JobPool::close() noexcept {
    settle();
    note_peak();
    const StackShape stacks = options_.stacks;
    options_ = PoolOptions{};
    options_.stacks = stacks;
    open_ = false;
    destroy_idle(total_);
    stacks_.settle();
    forget_stacks();
    update_room();
}

// The options of a pool that has closed are forgotten when no job stands on such stacks any more.
void JobPool::forget_stacks() noexcept {
    if (!open_ && total_ == 0)
        set_stacks(StackShape{});
}

// How many of the jobs that there are have ever run. The last idle ones have not, if there were
// always so many idle: jobs are taken from the front and put there.
std::uint64_t JobPool::used() const noexcept {
    std::uint64_t count = total_ - idle_count_;
    for (const Job* job = idle_; job != nullptr && job->ended() != 0; job = job->next)
        ++count;
    return count;
}

// Before jobs are destroyed. A start that finds no idle job has noted that all are in flight; but
// of jobs made ahead not all may ever have been.
void JobPool::note_peak() noexcept {
    if (peak_ >= total_)
        return;
    settle();
    if (const std::uint64_t most = used(); peak_ < most)
        peak_ = most;
}

const Job* JobPool::next_older(const Job* job, std::uint64_t made) const noexcept {
    if (job->made == made)
        return job->made_before;
    const Job* at = last_made_;
    while (at != nullptr && at->made >= made)
        at = at->made_before;
    return at;
}

PoolNumbers JobPool::numbers(std::uint64_t key, ASYNC_JOB* current) const noexcept {
    PoolNumbers numbers;
    numbers.finished = finished_before_;
    std::uint64_t used = 0;
    for (const Job* job = last_made_; job != nullptr; job = job->made_before) {
        const bool is_paused = job->name_if_paused_for(key, current) != nullptr;
        const std::uint64_t ended = job->ended();
        numbers.finished += ended;
        numbers.paused += is_paused ? 1 : 0;
        ++numbers.jobs;
        used += ended != 0 || is_paused ? 1 : 0;
    }
    // While the thread runs, this may be any of its moments; the headers are there in each.
    for (; current != nullptr && numbers.running < numbers.jobs - numbers.paused;
         current = Job::of(current)->outer) {
        ++numbers.running;
        used += Job::of(current)->ended() == 0 ? 1 : 0;
    }
    numbers.peak = std::max<std::uint64_t>(peak_, used);
    return numbers;
}

std::size_t JobPool::abandon() noexcept {
    close();
    const std::size_t left = total_;
    for (Job* job = last_made_; job != nullptr; job = job->made_before) {
        sanitizer::forget_frames(job->rest.watched);
        sanitizer::end_header(job, sizeof *job);
    }
    headers_.leave();
    stacks_.leave();
    *this = JobPool{};
    return left;
}

}  // namespace asyncjob
