// SPDX-License-Identifier: Apache-2.0
// async_job_st: a fiber, the job's state, and its argument copy; and the memory of the
// headers.
//
// Headers are type-stable: their memory is never unmapped and never used for anything else
// while the process lives, so that a handle which is stale can still be looked at and
// refused (S4). What another thread may look at is atomic.
//
// Invariants: `owner` is the thread whose list or stack of starters holds the job. A job in
// state running is the thread's current one or an `outer` of it.
//
// Owner: job_pool.hpp. Threads: the owner's; state and owner may be read by any.
// Next layer down: fiber.hpp, wait_ctx.hpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "asyncjob/async.h"
#include "fiber.hpp"

namespace asyncjob {

using Job = ::async_job_st;
using JobFunction = int (*)(void*);

enum class JobState : std::uint32_t {
    unused,   // a header without a stack
    idle,     // in the pool
    running,  // current, or waits for a job that it started
    paused,
};

}  // namespace asyncjob

struct alignas(64) async_job_st {
    // What a switch touches comes first.
    asyncjob::Fiber fiber;
    std::atomic<asyncjob::JobState> state;
    unsigned blocked;                  // ASYNC_block_pause() calls to be undone
    std::atomic<std::uint64_t> owner;  // ThreadState::id
    async_job_st* outer;               // the job that started or resumed this one, while running
    ASYNC_JOB** handle;                // the starter's variables, while running
    int* result;
    ASYNC_WAIT_CTX* wait;
    void* lib_ctx;  // of the suspended side (S15), see host.hpp

    asyncjob::JobFunction function;
    void* args;
    void* heap_args;     // what holds args, if the stack does not; else NULL
    async_job_st* next;  // in a list of idle jobs or of unused headers

    // The handle that the application has: this address, and in the bits that its alignment
    // leaves free which of the header's jobs it is. A handle that is kept too long is told from
    // that of the next job, but for one case in 64.
    std::atomic<ASYNC_JOB*> name;

    static constexpr std::uintptr_t name_bits = 63;

    [[nodiscard]] static async_job_st* of(ASYNC_JOB* handle) {
        return reinterpret_cast<async_job_st*>(reinterpret_cast<std::uintptr_t>(handle) &
                                               ~name_bits);
    }
    void rename() {
        const auto before = reinterpret_cast<std::uintptr_t>(name.load(std::memory_order_relaxed));
        name.store(reinterpret_cast<ASYNC_JOB*>(reinterpret_cast<std::uintptr_t>(this) |
                                                ((before + 1) & name_bits)),
                   std::memory_order_relaxed);
    }

    [[nodiscard]] asyncjob::JobState now() const { return state.load(std::memory_order_relaxed); }
    void become(asyncjob::JobState to) { state.store(to, std::memory_order_relaxed); }

    // Copies the arguments (not NULL) to where the function gets them. Returns where the
    // job's first frame may start, or NULL when out of memory.
    [[nodiscard]] void* copy_args(const void* from, std::size_t size);
    void free_args();
};

namespace asyncjob {

// A thread's unused headers.
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
