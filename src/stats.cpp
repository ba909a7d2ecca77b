// SPDX-License-Identifier: Apache-2.0
// Numbers of jobs. Contract: stats.hpp.
#include "stats.hpp"

#include <algorithm>

#include "os/memory.hpp"

namespace asyncjob {

namespace {

std::uint64_t stack_high_water(const JobPool& pool) {
    std::uint64_t most = 0;
    for (const Job* job = pool.newest(); job != nullptr; job = job->made_before) {
        const Stack& stack = job->rest.stack;
        const std::byte* const lowest = os::lowest_resident(stack.low, stack.high);
        most = std::max(most, static_cast<std::uint64_t>(stack.high - lowest));
    }
    return most;
}

// What is known without a look at the jobs.
asyncjob_stats_t stats_of_calls(const ThreadEntry& entry) {
    asyncjob_stats_t stats{};
    stats.cancelled = entry.cancelled;
    stats.refused = entry.refused;
    stats.threads = 1;
    return stats;
}

// While the lock of its list of jobs is held.
asyncjob_stats_t stats_with_jobs(const ThreadEntry& entry, LookAtStacks stacks) {
    asyncjob_stats_t stats = stats_of_calls(entry);
    const PoolNumbers numbers = entry.pool->numbers(entry.key, *entry.current);
    stats.finished = numbers.finished;
    stats.paused = numbers.paused;
    stats.live = numbers.paused + numbers.running;
    stats.started = stats.finished + stats.live;
    stats.idle = numbers.jobs - stats.live;
    stats.peak = numbers.peak;
    if (stacks == LookAtStacks::yes)
        stats.stack_high_water = stack_high_water(*entry.pool);
    return stats;
}

}  // namespace

asyncjob_stats_t thread_stats(const ThreadEntry& entry, LookAtStacks stacks) noexcept {
    if (entry.pool == nullptr)
        return {};
    const os::ForkLock::Guard guard(entry.pool->list_lock());
    return stats_with_jobs(entry, stacks);
}

bool process_stats(asyncjob_stats_t& sum, const AllThreads& threads, LookAtStacks stacks) noexcept {
    bool are_all = true;
    const PastNumbers& past = threads.past();
    sum = {};
    sum.finished = past.finished;
    sum.cancelled = past.cancelled;
    sum.refused = past.refused;
    sum.left_behind = left_behind();
    sum.peak = past.peak;
    sum.started = past.finished + sum.left_behind;
    for (ThreadEntry* entry = threads.first(); entry != nullptr; entry = entry->next) {
        const bool has_jobs = threads.lock_jobs(*entry);
        const asyncjob_stats_t stats =
            has_jobs ? stats_with_jobs(*entry, stacks) : stats_of_calls(*entry);
        if (has_jobs)
            entry->pool->list_lock().unlock();
        are_all = are_all && has_jobs;
        sum.started += stats.started;
        sum.finished += stats.finished;
        sum.cancelled += stats.cancelled;
        sum.refused += stats.refused;
        sum.paused += stats.paused;
        sum.live += stats.live;
        sum.idle += stats.idle;
        sum.peak = std::max(sum.peak, stats.peak);
        sum.threads += stats.threads;
        sum.stack_high_water = std::max(sum.stack_high_water, stats.stack_high_water);
    }
    return are_all;
}

}  // namespace asyncjob
