// SPDX-License-Identifier: Apache-2.0
// The list of threads. Contract: threads.hpp.
#include "threads.hpp"

#include <atomic>

#include "os/thread.hpp"

namespace asyncjob {

namespace {

os::ForkLock list_lock;
ThreadEntry* list = nullptr;
PastNumbers past_numbers;
std::uint64_t last_serial = 0;
std::atomic<std::size_t> jobs_left_behind = 0;
constinit thread_local ThreadEntry* own = nullptr;

void in_child() {
    list = own;
    if (own != nullptr) {
        own->next = nullptr;
        own->previous = nullptr;
        own->id = os::thread_id();
    }
    past_numbers = {};
    jobs_left_behind.store(0, std::memory_order_relaxed);
    list_lock.unlock();
}

// Adds what has come to an entry's number since the last time.
void move_to_past(std::uint64_t& past, std::uint64_t& has, std::uint64_t now) {
    past += now - has;
    has = now;
}

// Not to have them is no more than a smaller risk: there is nobody to tell at this time.
__attribute__((constructor)) void follow_forks() {
    (void)pthread_atfork([] { list_lock.lock(); }, [] { list_lock.unlock(); }, in_child);
}

}  // namespace

void enter_threads(ThreadEntry& entry) noexcept {
    entry.id = os::thread_id();
    const os::ForkLock::Guard guard(list_lock);
    entry.serial = ++last_serial;
    entry.next = list;
    entry.previous = nullptr;
    if (list != nullptr)
        list->previous = &entry;
    list = &entry;
    own = &entry;
}

void leave_threads(ThreadEntry& entry) noexcept {
    const os::ForkLock::Guard guard(list_lock);
    if (entry.serial != 0) {
        if (entry.previous != nullptr)
            entry.previous->next = entry.next;
        else
            list = entry.next;
        if (entry.next != nullptr)
            entry.next->previous = entry.previous;
        entry.serial = 0;
        own = nullptr;
    }
    const os::ForkLock::Guard jobs(entry.pool->list_lock());
    const PoolNumbers numbers = entry.pool->numbers(entry.key, *entry.current);
    move_to_past(past_numbers.finished, entry.past_finished, numbers.finished);
    move_to_past(past_numbers.cancelled, entry.past_cancelled, entry.cancelled);
    move_to_past(past_numbers.refused, entry.past_refused, entry.refused);
    if (past_numbers.peak < numbers.peak)
        past_numbers.peak = numbers.peak;
}

void add_left_behind(std::size_t jobs) noexcept {
    jobs_left_behind.fetch_add(jobs, std::memory_order_relaxed);
}

std::size_t left_behind() noexcept {
    return jobs_left_behind.load(std::memory_order_relaxed);
}

AllThreads::AllThreads(When when) noexcept
    : when_(when),
      held_(when == When::waits ? (list_lock.lock(), true) : list_lock.lock_in_time()) {}

AllThreads::~AllThreads() {
    if (held_)
        list_lock.unlock();
}

// Not static: who has no AllThreads does not have the lock.
// NOLINTNEXTLINE(readability-convert-member-functions-to-static)
ThreadEntry* AllThreads::first() const noexcept {
    return list;
}

// NOLINTNEXTLINE(readability-convert-member-functions-to-static)
const PastNumbers& AllThreads::past() const noexcept {
    return past_numbers;
}

bool AllThreads::lock_jobs(const ThreadEntry& thread) const noexcept {
    os::ForkLock& lock = thread.pool->list_lock();
    if (when_ == When::if_possible)
        return lock.lock_in_time();
    lock.lock();
    return true;
}

}  // namespace asyncjob
