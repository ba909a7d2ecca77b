// SPDX-License-Identifier: Apache-2.0
// Handles, pauses and ready jobs. Contract: job_wake.hpp.
#include "job_wake.hpp"

#include <pthread.h>

#include "arch/short.hpp"
#include "thread_state.hpp"
#include "wake.hpp"

namespace asyncjob {

namespace {

// The fds of the parent must not be shared: a drain in the child would take the parent's wakes.
void in_child() {
    Mailbox::close_all();
    if (Mailbox* const mailbox = this_thread.mailbox; mailbox != nullptr)
        mailbox->mend();
}

__attribute__((constructor)) void follow_forks() {
    (void)pthread_atfork(nullptr, nullptr, in_child);
}

// NULL: out of memory.
Mailbox* mailbox_of(ThreadState& self) {
    if (self.mailbox == nullptr)
        self.mailbox = Mailbox::take();
    return self.mailbox;
}

WakeSlot* slot_of(const Job& job) {
    return (job.fiber.unusual & unusual::has_handle) != 0 ? job.slot : nullptr;
}

// Makes the slot if the job has none. NULL: out of memory.
WakeSlot* need_slot(ThreadState& self, Job& job, ASYNC_JOB* name) {
    if (WakeSlot* const slot = slot_of(job); slot != nullptr)
        return slot;
    Mailbox* const mailbox = mailbox_of(self);
    job.slot = mailbox != nullptr ? mailbox->make_slot(name) : nullptr;
    if (job.slot != nullptr)
        job.fiber.unusual |= unusual::has_handle;
    return job.slot;
}

// Whether the job of a slot that was taken is to be listed.
bool becomes_taken(Mailbox& mailbox, WakeSlot* slot) {
    Job& job = *Job::of(slot->job);
    if ((job.fiber.unusual & unusual::is_seen) != 0)
        return false;
    job.fiber.unusual |= unusual::is_seen;
    mailbox.deadlines.remove(slot);
    return true;
}

// Whether it is the current job, or waits for a job that it entered.
bool is_running(const ThreadState& self, const ASYNC_JOB* name) {
    const ASYNC_JOB* running = self.current;
    while (running != nullptr && running != name)
        running = Job::of(const_cast<ASYNC_JOB*>(running))->outer;
    return running != nullptr;
}

// What the pause meant that has just ended, and was not cut short by a cancel.
int meaning_of(bool was_woken, os::Time deadline) {
    if (was_woken)
        return ASYNCJOB_WOKEN;
    return deadline != os::never && deadline <= os::now() ? ASYNCJOB_TIMED_OUT : ASYNCJOB_RESUMED;
}

// A pause is over: its deadline and its wake are not the next one's. Whether it was woken.
bool settle_pause(const Job& job) {
    WakeSlot* const slot = slot_of(job);
    if (slot == nullptr)
        return false;
    slot->mailbox->deadlines.remove(slot);
    const bool was_woken = slot->consume_wake() || slot->was_woken;
    slot->was_woken = false;
    return was_woken;
}

}  // namespace

Reason get_handle(ASYNC_JOB* name, asyncjob_handle& handle) noexcept {
    ThreadState& self = this_thread;
    Job& job = *Job::of(name);
    if (!job.has_name(name))
        return Reason::job_not_paused;
    if (job.owner.load(std::memory_order_relaxed) != self.key)
        return Reason::foreign_thread;
    // The name of an idle job has been one of its jobs' before, as serials come again.
    if (!job.is_paused_for(self.key, self.current, name) && !is_running(self, name))
        return Reason::job_not_paused;
    const WakeSlot* const slot = need_slot(self, job, name);
    if (slot == nullptr)
        return Reason::no_memory;
    handle.slot = const_cast<WakeSlot*>(slot);
    handle.generation = slot->generation();
    return Reason::none;
}

Reason pause_until(os::Time deadline, int& meaning) noexcept {
    ThreadState& self = this_thread;
    ASYNC_JOB* const name = self.current;
    if (name == nullptr) {
        meaning = ASYNCJOB_NOT_IN_JOB;
        return Reason::none;
    }
    Job& job = *Job::of(name);
    if (!can_pause()) {
        meaning = (job.fiber.unusual & unusual::is_cancelled) != 0 ? ASYNCJOB_CANCELLED
                                                                   : ASYNCJOB_BLOCKED;
        return Reason::none;
    }
    WakeSlot* slot = slot_of(job);
    if (slot != nullptr) {
        slot->was_woken = false;  // it was for a pause by ASYNC_pause_job()
        if (slot->consume_wake()) {
            meaning = ASYNCJOB_WOKEN;
            return Reason::none;
        }
    }
    if (deadline != os::never) {
        if (deadline <= os::now()) {
            meaning = ASYNCJOB_TIMED_OUT;
            return Reason::none;
        }
        slot = need_slot(self, job, name);
        if (slot == nullptr || !slot->mailbox->deadlines.add(slot, deadline))
            return Reason::no_memory;
        slot->mailbox->follow_deadlines();
    }
    const bool is_cancelled = asyncjob_pause_long() == 0;
    const bool was_woken = settle_pause(job);
    meaning = is_cancelled ? ASYNCJOB_CANCELLED : meaning_of(was_woken, deadline);
    return Reason::none;
}

bool can_pause() noexcept {
    const Job* const job = this_thread.current_job();
    return job != nullptr && (job->fiber.unusual & unusual::is_cancelled) == 0 &&
           !job->is_blocked();
}

Reason ready_fd(int& fd) noexcept {
    const Reason reason = use_jobs();
    if (reason != Reason::none)
        return reason;
    Mailbox* const mailbox = mailbox_of(this_thread);
    if (mailbox == nullptr)
        return Reason::no_memory;
    fd = mailbox->ready_fd();
    return fd != os::no_fd ? Reason::none : Reason::no_fd;
}

std::size_t take_ready(ASYNC_JOB** jobs, std::size_t max) noexcept {
    const ThreadState& self = this_thread;
    // In a hook the job is between running and paused: what is_seen says of it would be wrong.
    if (self.mailbox == nullptr || self.hooks.are_running())
        return 0;
    Mailbox& mailbox = *self.mailbox;
    std::size_t count = 0;
    mailbox.collect();
    while (count < max) {
        WakeSlot* const slot = mailbox.next();
        if (slot == nullptr)
            break;
        Job& job = *Job::of(slot->job);
        if (!job.is_paused_for(self.key, self.current, slot->job)) {
            job.fiber.unusual |= unusual::is_seen;
            Mailbox::defer(slot);
        } else if (Mailbox::drop(slot)) {
            slot->was_woken = true;
            if (becomes_taken(mailbox, slot))
                jobs[count++] = slot->job;
        }
    }
    const os::Time now = mailbox.has_times() ? os::now() : 0;
    for (; count < max && mailbox.deadlines.earliest_time() <= now; ++count) {
        auto* const slot = static_cast<WakeSlot*>(mailbox.deadlines.earliest());
        (void)becomes_taken(mailbox, slot);
        jobs[count] = slot->job;
    }
    mailbox.settle(now);
    return count;
}

}  // namespace asyncjob
