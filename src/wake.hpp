// SPDX-License-Identifier: Apache-2.0
// How any thread tells a job's thread that the job can go on: wake slots and mailboxes.
//
// A wake slot stands for one job after another. It is apart from the job's header, which is in
// memory that may be given back and cannot be written then; slots and mailboxes are never freed,
// so that a wake which comes late finds a slot with another generation and is refused. A job has
// one from when its handle is first asked for until it ends. A slot belongs to one mailbox for
// good; a mailbox, with its slots and fds, to one thread after another.
//
// `state` is the generation, odd while the slot stands for a job, and two bits. is_woken: a wake
// that nobody has seen yet. is_linked: the slot is in the mailbox's list, or is being put there by
// the one who set the bit, or is deferred (below). is_woken implies is_linked. A wake does the
// first with a compare-exchange also when the bits are set already: what its thread did before must
// be seen by the job.
//
// The list: wakers push onto `head_`; the owner takes all of it with one exchange and turns it
// round into a queue of its own, so that wakes keep their order and nobody takes a lock. What is
// in `head_` says whether the fd must be written to:
//   NULL    nothing is ready; who pushes onto it makes the fd readable;
//   `end_of_list`   the fd is readable, or the owner is looking: no need;
//   a slot  the same. The last one's `next` is NULL or `end_of_list`.
// While the owner's queue has anything in it, `head_` is not NULL.
//
// A slot is deferred while its job runs that was woken: the slot is in no list, and comes back
// into the queue when the job pauses. Else the fd would be readable all the time.
//
// Owner: thread_state.hpp has the thread's mailbox, job.hpp the job's slot. Threads: wake() any,
// the rest the owner's. Next layer down: deadlines.hpp, os/event.hpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "api.hpp"
#include "deadlines.hpp"
#include "os/event.hpp"
#include "relaxed.hpp"
#include "sanitizer.hpp"

namespace asyncjob {

class Mailbox;

struct alignas(64) WakeSlot : Deadline {
    static constexpr std::uint64_t is_woken = 1;
    static constexpr std::uint64_t is_linked = 2;
    static constexpr std::uint64_t generation_step = 4;

    std::atomic<std::uint64_t> state = 0;
    WakeSlot* next = nullptr;    // of whoever set is_linked until it is pushed, then the owner's
    Mailbox* mailbox = nullptr;  // does not change
    Relaxed<ASYNC_JOB*> job;     // the owner's, as what follows; wakers may look
    bool is_deferred = false;
    bool was_woken = false;  // a wake was taken that the job has not heard of yet
    bool is_queued = false;  // see Mailbox::mend()

    [[nodiscard]] std::uint64_t generation() const {
        return state.load(std::memory_order_relaxed) / generation_step;
    }

    // False: the job of that generation has ended.
    [[nodiscard]] bool wake(std::uint64_t generation) noexcept;

    // Takes the wake that nobody has seen yet, if there is one, and leaves the slot where it is.
    [[nodiscard]] bool consume_wake() noexcept {
        if ((state.load(std::memory_order_relaxed) & is_woken) == 0)
            return false;
        const std::uint64_t old = state.fetch_and(~is_woken, std::memory_order_acq_rel);
        sanitizer::takes(this);
        return (old & is_woken) != 0;
    }
};

static_assert(sizeof(WakeSlot) == 64);

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): wakers have a line of their own.
class alignas(64) Mailbox {
  public:
    // One that no thread has. NULL: out of memory.
    [[nodiscard]] static Mailbox* take() noexcept;
    // The thread ends. Handles of its jobs are stale from now on.
    void leave() noexcept;

    // In the child of a fork, before it has threads: the parent's fds are closed.
    static void close_all() noexcept;
    // The same, for the mailbox of the one thread that is left.
    void mend() noexcept;

    // NULL: out of memory.
    [[nodiscard]] WakeSlot* make_slot(ASYNC_JOB* job) noexcept;
    // Its job has ended.
    void end(WakeSlot* slot) noexcept;

    // The fd to poll; no_fd if the system has none to give.
    [[nodiscard]] int ready_fd() noexcept;

    // Looking for ready jobs goes: collect(), then next() and for each slot one of drop() and
    // defer(), then settle() with the time.
    void collect() noexcept;
    [[nodiscard]] WakeSlot* next() noexcept;  // NULL: no more
    // The slot is no longer linked. Returns whether it was woken.
    static bool drop(WakeSlot* slot) noexcept;
    static void defer(WakeSlot* slot) { slot->is_deferred = true; }
    void settle(os::Time now) noexcept;
    // Whether settle() and the deadlines need to know the time.
    [[nodiscard]] bool has_times() const {
        return timer_ != os::never || deadlines.earliest_time() != os::never;
    }

    // The job of a slot that is deferred pauses.
    void queue_again(WakeSlot* slot) noexcept;

    // A deadline was added.
    void follow_deadlines() noexcept;

  private:
    friend struct WakeSlot;

    static constexpr std::size_t slots_in_chunk = 63;
    struct Chunk;

    // Any thread.
    void push(WakeSlot* slot) noexcept;
    void signal() noexcept;

    void append(WakeSlot* first, WakeSlot* last);
    void keep_readable();
    void set_timer(os::Time at);
    void free_slot(WakeSlot* slot) {
        slot->next = free_;
        free_ = slot;
    }

    // What wakers use comes first, in a line of its own.
    std::atomic<WakeSlot*> head_ = nullptr;
    std::atomic<int> event_ = os::no_fd;
    // 1 behind each write to the fd. A word, as RISC-V cannot exchange a byte.
    std::atomic<unsigned> written_ = 0;

    alignas(64) WakeSlot* first_ = nullptr;  // the owner's queue
    WakeSlot* last_ = nullptr;
    WakeSlot* free_ = nullptr;
    Chunk* chunks_ = nullptr;
    os::EventFds fds_;
    os::Time timer_ = os::never;      // what the timer is set to
    Mailbox* made_before_ = nullptr;  // in the list of all
    Mailbox* next_idle_ = nullptr;

  public:
    Deadlines deadlines;
};

}  // namespace asyncjob
