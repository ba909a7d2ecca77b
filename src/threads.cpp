// SPDX-License-Identifier: Apache-2.0
// The list of threads. Contract: threads.hpp.
#include "threads.hpp"

#include "os/thread.hpp"

namespace asyncjob {

namespace {

os::ForkLock list_lock;
ThreadEntry* list = nullptr;
PastNumbers past_numbers;
constinit thread_local ThreadEntry* own = nullptr;

void in_child() {
    list = own;
    if (own != nullptr) {
        own->next = nullptr;
        own->previous = nullptr;
        own->id = os::thread_id();
    }
    past_numbers = {};
    list_lock.unlock();
}

// Not to have them is no more than a smaller risk: there is nobody to tell at this time.
__attribute__((constructor)) void follow_forks() {
    (void)pthread_atfork([] { list_lock.lock(); }, [] { list_lock.unlock(); }, in_child);
}

}  // namespace

void enter_threads(ThreadEntry& entry) noexcept {
    entry.id = os::thread_id();
    const os::ForkLock::Guard guard(list_lock);
    entry.next = list;
    entry.previous = nullptr;
    if (list != nullptr)
        list->previous = &entry;
    list = &entry;
    own = &entry;
}

void leave_threads(ThreadEntry& entry) noexcept {
    const PoolNumbers numbers = entry.pool->numbers(entry.key, *entry.current);
    const os::ForkLock::Guard guard(list_lock);
    if (entry.previous != nullptr)
        entry.previous->next = entry.next;
    else
        list = entry.next;
    if (entry.next != nullptr)
        entry.next->previous = entry.previous;
    own = nullptr;
    past_numbers.finished += numbers.finished;
    past_numbers.cancelled += entry.cancelled;
    past_numbers.refused += entry.refused;
    if (past_numbers.peak < numbers.peak)
        past_numbers.peak = numbers.peak;
}

void add_left_behind(std::size_t jobs) noexcept {
    const os::ForkLock::Guard guard(list_lock);
    past_numbers.left_behind += jobs;
}

AllThreads::AllThreads(When when) noexcept
    : held_(when == When::waits ? (list_lock.lock(), true) : list_lock.lock_in_time()) {}

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

}  // namespace asyncjob
