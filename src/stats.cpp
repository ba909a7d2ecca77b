// SPDX-License-Identifier: Apache-2.0
// Numbers of jobs. Contract: stats.hpp.
#include "stats.hpp"

#include <algorithm>

#include "os/memory.hpp"

namespace asyncjob {

namespace {

std::uint64_t stack_high_water(JobPool& pool) {
    const os::ForkLock::Guard guard(pool.list_lock());
    std::uint64_t most = 0;
    for (const Job* job = pool.newest(); job != nullptr; job = job->made_before) {
        const Stack& stack = job->rest.stack;
        const std::byte* const lowest = os::lowest_resident(stack.low, stack.high);
        most = std::max(most, static_cast<std::uint64_t>(stack.high - lowest));
    }
    return most;
}

}  // namespace

asyncjob_stats_t thread_stats(ThreadEntry& entry, LookAtStacks stacks) noexcept {
    asyncjob_stats_t stats{};
    if (entry.pool == nullptr)
        return stats;
    const PoolNumbers numbers = entry.pool->numbers(entry.key, *entry.current);
    stats.finished = numbers.finished;
    stats.cancelled = entry.cancelled;
    stats.refused = entry.refused;
    stats.paused = numbers.paused;
    stats.live = numbers.paused + numbers.running;
    stats.started = stats.finished + stats.live;
    stats.idle = numbers.jobs - stats.live;
    stats.peak = numbers.peak;
    stats.threads = 1;
    if (stacks == LookAtStacks::yes)
        stats.stack_high_water = stack_high_water(*entry.pool);
    return stats;
}

asyncjob_stats_t process_stats(const AllThreads& threads, LookAtStacks stacks) noexcept {
    const PastNumbers& past = threads.past();
    asyncjob_stats_t sum{};
    sum.finished = past.finished;
    sum.cancelled = past.cancelled;
    sum.refused = past.refused;
    sum.left_behind = past.left_behind;
    sum.peak = past.peak;
    sum.started = past.finished + past.left_behind;
    for (ThreadEntry* entry = threads.first(); entry != nullptr; entry = entry->next) {
        const asyncjob_stats_t stats = thread_stats(*entry, stacks);
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
    return sum;
}

}  // namespace asyncjob
