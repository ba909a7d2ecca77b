// SPDX-License-Identifier: Apache-2.0
// The threads' rings, and when they are written. Contract: trace.hpp.
#include "trace.hpp"

#include <pthread.h>

#include <new>

#include "os/fork_lock.hpp"
#include "os/keep_errno.hpp"
#include "os/memory.hpp"
#include "output_file.hpp"
#include "trace_file.hpp"
#include "trace_ring.hpp"

namespace asyncjob::trace {

constinit std::atomic<bool> is_on = false;

namespace {

// Of threads that have ended as many are kept as make this many in all.
constexpr std::size_t most_kept = 64;

constinit OutputFile file("ASYNCJOB_TRACE");
os::ForkLock lock;  // of what follows
Ring* rings = nullptr;
std::size_t ring_count = 0;
bool is_child = false;
bool is_checked = false;
std::uint64_t dropped_with_rings = 0;
std::atomic<std::uint64_t> without_ring = 0;

constinit thread_local Ring* own = nullptr;

// Events of the parent are in its own file.
void in_child() {
    own = nullptr;
    while (rings != nullptr) {
        Ring* const ring = rings;
        rings = ring->made_before;
        os::unmap(reinterpret_cast<std::byte*>(ring), sizeof(Ring));
    }
    ring_count = 0;
    is_child = true;
    is_checked = false;
    dropped_with_rings = 0;
    without_ring.store(0, std::memory_order_relaxed);
    lock.unlock();
}

__attribute__((constructor)) void read_variable() {
    file.read_variable();
    if (!file.is_wanted())
        return;
    is_on.store(true, std::memory_order_relaxed);
    (void)pthread_atfork([] { lock.lock(); }, [] { lock.unlock(); }, in_child);
}

// Now rather than at the end, when all events would be lost.
bool can_be_written() {
    return file.find_path(is_child) && can_write_file(file);
}

// Of a thread that has ended, the one that did so first. NULL: of none.
Ring* oldest_ring() {
    Ring* oldest = nullptr;
    os::Time oldest_time = os::never;
    for (Ring* ring = rings; ring != nullptr; ring = ring->made_before) {
        const std::uint64_t end = ring->end();
        const os::Time last = end == ring->begin(end) ? 0 : ring->at(end - 1).at;
        if (last < oldest_time && !os::has_thread(ring->thread)) {
            oldest = ring;
            oldest_time = last;
        }
    }
    return oldest;
}

Ring* take_ring() {
    Ring* const ring = oldest_ring();
    if (ring != nullptr) {
        const std::uint64_t end = ring->end();
        dropped_with_rings += ring->dropped(end) + (end - ring->begin(end));
        ring->begin_anew();
    }
    return ring;
}

Ring* make_ring() {
    const std::size_t page = os::page_size();
    std::byte* const memory = os::map((sizeof(Ring) + page - 1) / page * page);
    if (memory == nullptr)
        return nullptr;
    Ring* const ring = new (memory) Ring;
    ring->made_before = rings;
    rings = ring;
    ++ring_count;
    return ring;
}

// NULL: none to be had, or nothing is traced.
Ring* find_ring() {
    const os::KeepErrno keep;
    const os::ForkLock::Guard guard(lock);
    if (!is_on.load(std::memory_order_relaxed))
        return nullptr;
    if (!is_checked && !can_be_written()) {
        is_on.store(false, std::memory_order_relaxed);
        return nullptr;
    }
    is_checked = true;
    Ring* ring = ring_count >= most_kept ? take_ring() : nullptr;
    if (ring == nullptr)
        ring = make_ring();
    if (ring != nullptr) {
        ring->thread = os::thread_id();
        os::copy_thread_name(ring->name);
    }
    return ring;
}

// Whether the thread has a ring now.
bool need_ring() {
    if (own != nullptr) [[likely]]
        return true;
    own = find_ring();
    if (own == nullptr)
        without_ring.fetch_add(1, std::memory_order_relaxed);
    return own != nullptr;
}

// Behind the program's own destructors.
__attribute__((destructor)) void exits() {
    if (!is_on.load(std::memory_order_relaxed))
        return;
    is_on.store(false, std::memory_order_relaxed);
    write();
}

}  // namespace

bool begin_thread() noexcept {
    if (!is_on.load(std::memory_order_relaxed)) [[likely]]
        return false;
    if (own == nullptr)
        own = find_ring();
    return is_on.load(std::memory_order_relaxed);
}

bool note(Event event, const void* job, const void* function, std::uint32_t& last) noexcept {
    if (!is_on.load(std::memory_order_relaxed))
        return false;
    if (need_ring())
        last = static_cast<std::uint32_t>(own->add({os::now(), job, function, event, last}) + 1);
    return true;
}

void note_wake(const void* job, os::Time at) noexcept {
    if (is_on.load(std::memory_order_relaxed) && need_ring())
        (void)own->add({at, job, nullptr, Event::wake, 0});
}

[[gnu::used]] void write() noexcept {
    if (!lock.lock_in_time()) {
        file.complain("not written: the process ended within the library");
        return;
    }
    const Ring* const all = rings;
    const std::uint64_t dropped = dropped_with_rings + without_ring.load(std::memory_order_relaxed);
    // When nothing is traced any more the rings stay as they are, without the lock: names of
    // functions wait for the loader, whose lock a constructor may have that forks, and forks wait
    // for ours.
    const bool goes_on = is_on.load(std::memory_order_relaxed);
    if (!goes_on)
        lock.unlock();
    if (all != nullptr)
        write_file(file, all, dropped);
    if (goes_on)
        lock.unlock();
}

}  // namespace asyncjob::trace
