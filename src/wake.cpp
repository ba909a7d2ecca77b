// SPDX-License-Identifier: Apache-2.0
// Wake slots, mailboxes, the ready list. Contract and protocol: wake.hpp.
#include "wake.hpp"

#include <cstdlib>
#include <new>

#include "os/fork_lock.hpp"

namespace asyncjob {

namespace {

// What `head_` is compared with alone: a slot that belongs to nobody.
constinit WakeSlot end_slot;
WakeSlot* const end_of_list = &end_slot;

os::ForkLock lock;  // of the two lists
Mailbox* idle = nullptr;
std::atomic<Mailbox*> all = nullptr;  // also what keeps them from being leaks

__attribute__((constructor)) void follow_forks() {
    os::follow_forks<lock>();
}

template <typename T>
T* make() {
    void* memory = nullptr;
    return posix_memalign(&memory, alignof(T), sizeof(T)) == 0 ? new (memory) T : nullptr;
}

}  // namespace

struct alignas(64) Mailbox::Chunk {
    Chunk* before = nullptr;
    WakeSlot slots[slots_in_chunk];
};

bool WakeSlot::wake(std::uint64_t generation) noexcept {
    sanitizer::gives(this);
    std::uint64_t old = state.load(std::memory_order_relaxed);
    do {
        if (old / generation_step != generation)
            return false;
    } while (!state.compare_exchange_weak(old, old | is_woken | is_linked,
                                          std::memory_order_acq_rel, std::memory_order_relaxed));
    if ((old & is_linked) == 0)
        mailbox->push(this);
    return true;
}

Mailbox* Mailbox::take() noexcept {
    const os::ForkLock::Guard guard(lock);
    if (idle != nullptr) {
        Mailbox* const mailbox = idle;
        idle = mailbox->next_idle_;
        return mailbox;
    }
    auto* const mailbox = make<Mailbox>();
    if (mailbox != nullptr) {
        mailbox->made_before_ = all.load(std::memory_order_relaxed);
        all.store(mailbox, std::memory_order_release);
    }
    return mailbox;
}

void Mailbox::leave() noexcept {
    for (Chunk* chunk = chunks_; chunk != nullptr; chunk = chunk->before) {
        for (WakeSlot& slot : chunk->slots) {
            if (slot.job != nullptr)
                end(&slot);
        }
    }
    collect();
    (void)next();
    deadlines.clear();
    if (timer_ != os::never)
        set_timer(os::never);
    settle(0);
    const os::ForkLock::Guard guard(lock);
    next_idle_ = idle;
    idle = this;
}

// Those of threads that are not there any more may be in any state, and are left alone.
void Mailbox::close_all() noexcept {
    idle = nullptr;
    for (Mailbox* at = all.load(std::memory_order_acquire); at != nullptr; at = at->made_before_) {
        at->event_.store(os::no_fd, std::memory_order_relaxed);
        at->written_.store(0, std::memory_order_relaxed);
        at->timer_ = os::never;
        os::close_event(at->fds_);
    }
}

// A wake that another thread was at in the parent may have set is_linked and not come to push.
void Mailbox::mend() noexcept {
    collect();
    for (WakeSlot* slot = first_; slot != nullptr; slot = slot->next)
        slot->is_queued = true;
    for (Chunk* chunk = chunks_; chunk != nullptr; chunk = chunk->before) {
        for (WakeSlot& slot : chunk->slots) {
            const bool is_linked =
                (slot.state.load(std::memory_order_relaxed) & WakeSlot::is_linked) != 0;
            if (is_linked && !slot.is_queued && !slot.is_deferred)
                append(&slot, &slot);
        }
    }
    for (WakeSlot* slot = first_; slot != nullptr; slot = slot->next)
        slot->is_queued = false;
    if (first_ != nullptr)
        keep_readable();
}

WakeSlot* Mailbox::make_slot(ASYNC_JOB* job) noexcept {
    if (free_ == nullptr) {
        auto* const chunk = make<Chunk>();
        if (chunk == nullptr)
            return nullptr;
        chunk->before = chunks_;
        chunks_ = chunk;
        for (WakeSlot& slot : chunk->slots) {
            slot.mailbox = this;
            free_slot(&slot);
        }
    }
    WakeSlot* const slot = free_;
    free_ = slot->next;
    slot->job = job;
    slot->was_woken = false;
    slot->state.fetch_add(WakeSlot::generation_step, std::memory_order_release);
    return slot;
}

// A slot that is linked is free when it is taken out.
void Mailbox::end(WakeSlot* slot) noexcept {
    slot->job = nullptr;
    deadlines.remove(slot);
    const std::uint64_t stays = slot->is_deferred ? 0 : WakeSlot::is_linked;
    slot->is_deferred = false;
    std::uint64_t old = slot->state.load(std::memory_order_relaxed);
    std::uint64_t ended = 0;
    do {
        ended = (old / WakeSlot::generation_step + 1) * WakeSlot::generation_step | (old & stays);
    } while (!slot->state.compare_exchange_weak(old, ended, std::memory_order_acq_rel,
                                                std::memory_order_relaxed));
    if ((ended & WakeSlot::is_linked) == 0)
        free_slot(slot);
}

// The list may have got its first slot before there was an fd: the order of the two accesses to
// `event_` and `head_` here is the opposite of a waker's, so that one of the two sees the other.
int Mailbox::ready_fd() noexcept {
    if (fds_.ready != os::no_fd)
        return fds_.ready;
    if (!os::open_event(fds_))
        return os::no_fd;
    event_.store(fds_.event, std::memory_order_seq_cst);
    if (head_.load(std::memory_order_seq_cst) != nullptr)
        signal();
    follow_deadlines();
    return fds_.ready;
}

void Mailbox::push(WakeSlot* slot) noexcept {
    WakeSlot* old = head_.load(std::memory_order_relaxed);
    do {
        slot->next = old;
    } while (!head_.compare_exchange_weak(old, slot, std::memory_order_seq_cst,
                                          std::memory_order_relaxed));
    if (old == nullptr)
        signal();
}

// `written_` comes behind the write, and is reset before a read: an fd that is readable is then
// always found out, if at times one look later.
void Mailbox::signal() noexcept {
    const int event = event_.load(std::memory_order_seq_cst);
    if (event == os::no_fd)
        return;
    os::signal_event(event);
    written_.store(1, std::memory_order_release);
}

void Mailbox::append(WakeSlot* first, WakeSlot* last) {
    if (first_ == nullptr)
        first_ = first;
    else
        last_->next = first;
    last_ = last;
    last->next = nullptr;
}

void Mailbox::collect() noexcept {
    if (head_.load(std::memory_order_relaxed) == nullptr)
        return;
    WakeSlot* slot = head_.exchange(end_of_list, std::memory_order_acq_rel);
    WakeSlot* const last = slot;
    WakeSlot* first = nullptr;
    while (slot != nullptr && slot != end_of_list) {
        WakeSlot* const pushed_before = slot->next;
        slot->next = first;
        first = slot;
        slot = pushed_before;
    }
    if (first != nullptr)
        append(first, last);
}

WakeSlot* Mailbox::next() noexcept {
    while (first_ != nullptr) {
        WakeSlot* const slot = first_;
        first_ = slot->next;
        if (slot->job != nullptr)
            return slot;
        (void)drop(slot);
        free_slot(slot);
    }
    return nullptr;
}

bool Mailbox::drop(WakeSlot* slot) noexcept {
    constexpr std::uint64_t both = WakeSlot::is_woken | WakeSlot::is_linked;
    const std::uint64_t old = slot->state.fetch_and(~both, std::memory_order_acq_rel);
    sanitizer::takes(slot);
    return (old & WakeSlot::is_woken) != 0;
}

void Mailbox::settle(os::Time now) noexcept {
    if (first_ == nullptr) {
        if (written_.load(std::memory_order_relaxed) != 0) {
            written_.exchange(0, std::memory_order_acq_rel);
            os::drain_event(fds_.event);
        }
        WakeSlot* expected = end_of_list;
        if (head_.load(std::memory_order_relaxed) != nullptr &&
            !head_.compare_exchange_strong(expected, nullptr, std::memory_order_seq_cst))
            signal();  // somebody has pushed without a word
    }
    // The timer is not set back when its deadline is not waited for any more: one look too many,
    // when it expires, costs less than a system call for each deadline.
    const os::Time earliest = deadlines.earliest_time();
    if (earliest < timer_ || (timer_ <= now && earliest > now))
        set_timer(earliest);
}

void Mailbox::keep_readable() {
    WakeSlot* expected = nullptr;
    if (head_.compare_exchange_strong(expected, end_of_list, std::memory_order_seq_cst))
        signal();
}

void Mailbox::queue_again(WakeSlot* slot) noexcept {
    slot->is_deferred = false;
    append(slot, slot);
    keep_readable();
}

void Mailbox::follow_deadlines() noexcept {
    const os::Time earliest = deadlines.earliest_time();
    if (earliest < timer_)
        set_timer(earliest);
}

void Mailbox::set_timer(os::Time at) {
    if (fds_.timer == os::no_fd)
        return;
    timer_ = at;
    os::set_timer(fds_.timer, at);
}

}  // namespace asyncjob
