// SPDX-License-Identifier: Apache-2.0
// async_job_st: a fiber, the job's state, and its argument copy; and the memory of the
// headers.
//
// A header stands at the top of its job's stack, so that a switch touches one page, or apart
// where a user's function gave the stack. Either way it is type-stable: its memory is never
// unmapped and never used for anything else while the process lives, so that a handle which is
// stale can still be looked at and refused (S4). What another thread may look at is atomic.
//
// The handle that the application has, the job's name, is the header's address with a serial in
// the bits that its alignment leaves free, which tells one of the header's jobs from the next: 1
// to 63, in turn. Memory that reads as zero, as a header's does that was given back, is no job's.
//
// Invariants: `owner` is the thread whose list or stack of starters holds the job. A job that
// runs is the thread's current one or an `outer` of it.
//
// Owner: job_pool.hpp. Threads: the owner's; `ticket` and `owner` may be read by any.
// Next layer down: fiber.hpp, wait_ctx.hpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "api.hpp"
#include "error_queue.hpp"
#include "fiber.hpp"
#include "local.hpp"
#include "relaxed.hpp"

namespace asyncjob {

struct WakeSlot;
using Job = ::async_job_st;
using JobFunction = int (*)(void*);

}  // namespace asyncjob

struct alignas(64) async_job_st {
    // What a switch touches, one cache line.
    asyncjob::Fiber fiber;
    // The job's name, idle ones having that of their next job. Crossed (xor) with the key of the
    // thread that may resume it while it is paused, so that a resume compares once, and after its
    // first pause while it is the current one, so that a switch need not write it.
    std::atomic<std::uint64_t> ticket;
    asyncjob::Relaxed<ASYNC_JOB*>
        outer;           // handle of the job that entered this one, while that one waits; else NULL
    ASYNC_JOB** handle;  // the starter's variables, while running
    int* result;
    ASYNC_WAIT_CTX* wait;
    void* lib_ctx;  // of the suspended side (S15), see host.hpp; NULL: the process's

    // Where the first frame begins, or began; maybe below the few arguments of a job before.
    void* top;
    async_job_st* next;  // in a list of idle jobs or of unused headers

    asyncjob::FiberRest rest;
    unsigned blocked;                       // ASYNC_block_pause() calls to be undone
    std::uint32_t traced;                   // its last event's number and 1, see trace.hpp; or 0
    std::atomic<std::uint64_t> owner;       // ThreadState::key
    asyncjob::WakeSlot* slot;               // with unusual::has_handle only, see wake.hpp
    asyncjob::CarriedErrors errors;         // with unusual::carries_errors only
    asyncjob::LocalValues locals;           // with unusual::has_locals only
    std::atomic<std::int64_t> paused_at;    // with unusual::stamps_pauses; or 0
    std::atomic<std::uint64_t> count_base;  // see ended()
    // Which one it is of all jobs that the process has made; 0 while it is in no pool's list.
    asyncjob::Relaxed<std::uint64_t> made;
    void* heap_args;            // what holds the arguments, if the stack does not; else NULL
    async_job_st* made_before;  // in the pool's list of all its jobs
    async_job_st* made_after;
    asyncjob::JobFunction function;  // of a thread with unusual::is_traced only

    static constexpr std::uint64_t serial_bits = 63;

    [[nodiscard]] static async_job_st* of(ASYNC_JOB* handle) {
        return reinterpret_cast<async_job_st*>(reinterpret_cast<std::uintptr_t>(handle) &
                                               ~std::uintptr_t{serial_bits});
    }
    // Where the frames are that a job pauses in, if it is not deep in calls: otherwise they are
    // known only when the header is there, and a job that was away would be waited for twice.
    void prefetch_frames() const {
        const auto header = reinterpret_cast<std::uintptr_t>(this);
        __builtin_prefetch(reinterpret_cast<const void*>(header - 64), 1);
        __builtin_prefetch(reinterpret_cast<const void*>(header - 128), 1);
    }

    // The name of the header's job with this serial.
    [[nodiscard]] static ASYNC_JOB* name_of(const async_job_st* header, unsigned serial) {
        return reinterpret_cast<ASYNC_JOB*>(reinterpret_cast<std::uintptr_t>(header) | serial);
    }

    // A new job's header in the uppermost part of a stack from a slab, which becomes smaller by
    // it. `last_serial` is that of the job before; 0 for the first.
    [[nodiscard]] static async_job_st* at_top_of(asyncjob::Stack& stack, unsigned last_serial);
    // Where that is in a stack which ends at `high`.
    [[nodiscard]] static async_job_st* place_below(std::byte* high) {
        return reinterpret_cast<async_job_st*>(high - sizeof(async_job_st));
    }

    // The name of the header's job of now, whatever the job does, read from a copy of the header.
    [[nodiscard]] ASYNC_JOB* name_at(const async_job_st* header) const {
        const std::uint64_t crossed = ticket.load(std::memory_order_relaxed);
        const std::uint64_t name = crossed ^ owner.load(std::memory_order_relaxed);
        return as_name(is_name_of(header, name) ? name : crossed);
    }

    [[nodiscard]] unsigned serial() const {
        return static_cast<unsigned>(ticket.load(std::memory_order_relaxed) & serial_bits);
    }

    // Of an idle job, or one that has not paused yet.
    [[nodiscard]] ASYNC_JOB* name() const {
        return as_name(ticket.load(std::memory_order_relaxed));
    }
    // Whether the handle is of this header's job of now, not of one before.
    [[nodiscard]] bool has_name(const ASYNC_JOB* handle) const {
        return ((ticket.load(std::memory_order_relaxed) ^
                 reinterpret_cast<std::uintptr_t>(handle)) &
                serial_bits) == 0;
    }
    // Whether the thread of `key` (a multiple of 64), whose current job is `current`, may resume
    // it by this handle.
    [[nodiscard]] bool is_paused_for(std::uint64_t key, const ASYNC_JOB* current,
                                     const ASYNC_JOB* handle) const {
        return ticket.load(std::memory_order_relaxed) ==
                   (reinterpret_cast<std::uintptr_t>(handle) ^ key) &&
               handle != current;
    }
    // The handle by which that thread may resume it; NULL if it may not.
    [[nodiscard]] ASYNC_JOB* name_if_paused_for(std::uint64_t key, const ASYNC_JOB* current) const {
        const std::uint64_t name = ticket.load(std::memory_order_relaxed) ^ key;
        return is_name_of(this, name) && as_name(name) != current ? as_name(name) : nullptr;
    }
    void cross_ticket(std::uint64_t key, const ASYNC_JOB* handle) {
        ticket.store(reinterpret_cast<std::uintptr_t>(handle) ^ key, std::memory_order_relaxed);
    }
    void uncross_ticket(const ASYNC_JOB* handle) {
        ticket.store(reinterpret_cast<std::uintptr_t>(handle), std::memory_order_relaxed);
    }
    // It has ended, or is new with serial 0.
    void become_idle(const ASYNC_JOB* handle) {
        const std::uint64_t next = reinterpret_cast<std::uintptr_t>(handle) + 1;
        if ((next & serial_bits) == 0) [[unlikely]]
            begin_serials_anew(next - serial_bits);
        else
            ticket.store(next, std::memory_order_relaxed);
    }

    // Not asked of a cancelled job, which does not pause in any case.
    [[nodiscard]] bool is_blocked() const {
        constexpr std::uint32_t bits = asyncjob::unusual::is_blocked | asyncjob::unusual::is_held;
        return (fiber.unusual & bits) != 0;
    }

    // The pool's next job begins. How many jobs of this header have ended since then costs ends
    // nothing: the serial tells, and how often it has begun anew.
    void begin_count() {
        count_base.store(count_bias - serial(), std::memory_order_relaxed);
        paused_at.store(0, std::memory_order_relaxed);
    }
    // Any thread may ask. Serial and base are of one moment: the base changes each time that the
    // serials begin anew, and says when it is ahead of a serial that has not begun anew yet.
    [[nodiscard]] std::uint64_t ended() const {
        std::uint64_t base = count_base.load(std::memory_order_acquire);
        for (;;) {
            const std::uint64_t now = serial();
            std::atomic_thread_fence(std::memory_order_acquire);
            const std::uint64_t again = count_base.load(std::memory_order_relaxed);
            if (again == base) {
                const bool is_ahead = (base & base_changes) != 0 && now == serial_bits;
                return (base & ~base_changes) + now - count_bias - (is_ahead ? serial_bits : 0);
            }
            base = count_base.load(std::memory_order_acquire);
        }
    }

    void block() {
        ++blocked;
        fiber.unusual |= asyncjob::unusual::is_blocked;
    }
    // One too many does nothing (S8).
    void unblock() {
        if (blocked > 0 && --blocked == 0)
            fiber.unusual &= ~asyncjob::unusual::is_blocked;
    }

    asyncjob::Reason set_local(asyncjob::LocalKey key, void* value) {
        fiber.unusual |= asyncjob::unusual::has_locals;
        return locals.set(key, value);
    }

    // Up to how many bytes of arguments copy_few_args() takes.
    static constexpr std::size_t few_args = 512;

    // Copies the arguments to the top of the job's stack, next to its first frame. Returns where
    // they are, which is where that frame may start.
    [[nodiscard]] void* copy_few_args(const void* from, std::size_t size) {
        auto* const copy = static_cast<std::byte*>(place_for_args(size));
        copy_few(copy, static_cast<const std::byte*>(from), size);
        return copy;
    }

    // The same for any size; memory from the heap where the stack should not hold them. NULL
    // when out of memory. `top` becomes where the first frame may start.
    [[nodiscard]] void* copy_args(const void* from, std::size_t size, void*& top);
    void free_args();

  private:
    // Tickets and keys have 64 bits on all processors, names as many as an address.
    [[nodiscard]] static bool is_name_of(const async_job_st* header, std::uint64_t name) {
        return (name & ~serial_bits) == reinterpret_cast<std::uintptr_t>(header);
    }
    [[nodiscard]] static ASYNC_JOB* as_name(std::uint64_t name) {
        return reinterpret_cast<ASYNC_JOB*>(static_cast<std::uintptr_t>(name));
    }

    static constexpr std::uint64_t count_bias = 64;  // keeps the base positive
    static constexpr std::uint64_t base_changes = std::uint64_t{1} << 63;

    void begin_serials_anew(std::uint64_t next) {
        const std::uint64_t base = count_base.load(std::memory_order_relaxed) + serial_bits;
        count_base.store(base | base_changes, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_release);
        ticket.store(next, std::memory_order_relaxed);
        count_base.store(base & ~base_changes, std::memory_order_release);
    }

    // Fits any type, vectors included.
    static constexpr std::size_t args_alignment = 64;

    [[nodiscard]] void* place_for_args(std::size_t size) const {
        // An empty copy has a place too: a function that writes to it must not meet the header.
        const std::size_t lines = size / args_alignment + (size % args_alignment != 0 || size == 0);
        return rest.stack.high - lines * args_alignment;
    }
    static void copy_few(std::byte* to, const std::byte* from, std::size_t size);
};

// A call of memcpy() would cost a jump through a table and registers saved around it.
inline void async_job_st::copy_few(std::byte* to, const std::byte* from, std::size_t size) {
    constexpr std::size_t step = 16;
    if (size >= step) {
        const std::byte* const last = from + (size - step);
        std::byte* const to_last = to + (size - step);
        for (; from < last; from += step, to += step)
            __builtin_memcpy(to, from, step);
        __builtin_memcpy(to_last, last, step);
    } else if (size >= 8) {
        __builtin_memcpy(to, from, 8);
        __builtin_memcpy(to + (size - 8), from + (size - 8), 8);
    } else if (size >= 4) {
        __builtin_memcpy(to, from, 4);
        __builtin_memcpy(to + (size - 4), from + (size - 4), 4);
    } else if (size > 0) {
        to[0] = from[0];
        to[size / 2] = from[size / 2];
        to[size - 1] = from[size - 1];
    }
}

// What a switch touches is one cache line.
static_assert(sizeof(void*) < 8 || offsetof(async_job_st, top) == 64);
static_assert(alignof(async_job_st) > async_job_st::serial_bits);

namespace asyncjob {

// A thread's unused headers, for stacks that have no room for one.
class HeaderSource {
  public:
    // NULL when out of memory.
    [[nodiscard]] Job* take() noexcept;

    void give(Job* job) noexcept {
        job->next = spare_;
        spare_ = job;
    }

    // Gives all to the threads that come after this one.
    void leave() noexcept;

  private:
    // Chunks double, so that many jobs do not take many mappings.
    static constexpr std::size_t first_chunk = std::size_t{16} * 1024;
    static constexpr std::size_t largest_chunk = std::size_t{1024} * 1024;

    Job* spare_ = nullptr;
    std::size_t next_chunk_ = first_chunk;
};

}  // namespace asyncjob
