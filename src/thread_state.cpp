// SPDX-License-Identifier: Apache-2.0
// Start, pause, resume and end of jobs. Contract: thread_state.hpp.
#include "thread_state.hpp"

#include <pthread.h>

#include <atomic>
#include <climits>
#include <cstddef>

#include "arch/offsets.h"
#include "arch/shadow_stack.hpp"
#include "arch/short.hpp"
#include "host.hpp"
#include "os/clock.hpp"
#include "os/loader.hpp"
#include "overflow.hpp"
#include "probes.hpp"
#include "report.hpp"
#include "trace.hpp"
#include "wait_ctx.hpp"

namespace asyncjob {

constinit thread_local ThreadState this_thread;

bool (*has_shadow_stack)() noexcept = arch::has_shadow_stack;

namespace {

std::atomic<std::uint64_t> last_key = 0;
constexpr std::uint64_t key_step = Job::serial_bits + 1;

// The key's destructor is how a thread's end is seen: it needs no C++ runtime, and runs
// after the destructors of thread_local objects, which may still use jobs.
constexpr long no_key = -1;
std::atomic<long> exit_key = no_key;

void thread_ends(void* state) {
    ThreadState& self = this_thread;
    const int rounds = ++self.exit_rounds;
    // There may be no later round: the first may have been one of the last of other keys.
    leave_threads(self.entry);
    // Destructors of other keys may still resume their jobs: wait for the last round but one;
    // the last is that of tools which watch threads.
    if (self.pool.in_flight() && rounds < PTHREAD_DESTRUCTOR_ITERATIONS - 1 &&
        pthread_setspecific(static_cast<pthread_key_t>(exit_key.load()), state) == 0)
        return;
    if (self.mailbox != nullptr)
        self.mailbox->leave();
    add_left_behind(self.pool.abandon());
    host::follow_lib_ctx(nullptr, 0);
    self.hooks.clear();
    unwatch_overflows();
    self = ThreadState{};
    self.exit_rounds = rounds;
}

// Makes the key, or tries again if there was none to be had. Of threads that make one at
// the same time one keeps it.
bool have_exit_key() {
    long known = exit_key.load(std::memory_order_acquire);
    if (known != no_key)
        return true;
    pthread_key_t key{};
    if (pthread_key_create(&key, thread_ends) != 0)
        return false;
    if (!exit_key.compare_exchange_strong(known, static_cast<long>(key)))
        pthread_key_delete(key);
    else
        os::keep_loaded(reinterpret_cast<const void*>(thread_ends));  // in a plugin, say
    return true;
}

void find_errors(ThreadState& self) {
    bool ask = false;
    self.errors = find_thread_errors(ask);
    self.special &= ~unusual::asks_for_errors;
    if (ask)
        self.special |= unusual::asks_for_errors;
}

// Whether the error queue has entries.
bool has_errors(ThreadState& self) {
    if (*self.errors.place != self.errors.state) [[unlikely]]
        find_errors(self);
    return (self.special & unusual::asks_for_errors) != 0 ? ask_for_errors()
                                                          : !self.errors.state->empty();
}

// Does what an error queue needs at a switch, if there is anything in it or put aside.
template <typename Switch>
void carry_errors(ThreadState& self, Job& job, Switch to) {
    if (!has_errors(self) && (job.fiber.unusual & unusual::carries_errors) == 0)
        return;
    job.fiber.unusual &= ~unusual::carries_errors;
    if ((job.errors.*to)())
        job.fiber.unusual |= unusual::carries_errors;
}

// Finds what may have come into the process with a dlopen(): libcrypto, a C++ runtime. False, to
// be tried again, if there is no memory for what is known of libcrypto: jobs that went on without
// it would not keep their errors and library contexts.
bool look_around(ThreadState& self) {
    const unsigned long long libraries = os::libraries_loaded();
    if (self.places.error_number != nullptr && (libraries == self.libraries || libraries == 0))
        return true;  // nothing new, or nothing that can be found out now
    if (!host::look_around())
        return false;
    self.libraries = libraries;
    self.places = find_carried_places(&self.no_exceptions);
    find_errors(self);
    return true;
}

// At most one of the thread's bits, so that a switch has one thing to compare.
void set_fp_mode(ThreadState& self, bool share) {
    self.special &= ~(unusual::shares_fp_mode | unusual::compares_fp_mode);
    if (share)
        self.special |= unusual::shares_fp_mode;
    else if (arch::prefers_comparing())
        self.special |= unusual::compares_fp_mode;
}

// The thread's first use of jobs.
Reason enter(ThreadState& self) {
    if (self.key != ThreadState::no_key) {
        (void)watch_overflows(self.entry);  // maybe nobody wanted that before, or more is needed
        return Reason::none;
    }
    if (!arch::capable)
        return Reason::not_capable;
    if (has_shadow_stack())
        return Reason::shadow_stack;
    if (!look_around(self))
        return Reason::no_memory;
    if (!have_exit_key() ||
        pthread_setspecific(static_cast<pthread_key_t>(exit_key.load()), &self) != 0)
        return Reason::init_failed;
    self.key = last_key.fetch_add(key_step, std::memory_order_relaxed) + key_step;
    set_fp_mode(self, (self.special & unusual::shares_fp_mode) != 0);
    if (sanitizer::watched || sanitizer::under_memcheck())
        self.special |= unusual::is_watched;
    host::follow_lib_ctx(&self.special, unusual::has_lib_ctx);
    self.entry.pool = &self.pool;
    self.entry.current = &self.current;
    self.entry.key = self.key;
    // Not once it has left: there may be no round in which it would leave again, and the list must
    // not have what is freed with the thread.
    if (self.exit_rounds == 0)
        enter_threads(self.entry);
    (void)watch_overflows(self.entry);  // without it jobs are as good
    expect_report();
    if (trace::begin_thread())
        self.special |= unusual::is_traced;
    return Reason::none;
}

// A child that uses no jobs has nothing to report, whatever its parent did: its next switch is to
// tell.
__attribute__((constructor)) void follow_forks() {
    (void)pthread_atfork(nullptr, nullptr, [] {
        expect_no_report();
        if (this_thread.key != ThreadState::no_key)
            this_thread.special |= unusual::is_new_child;
    });
}

// Jobs are used.
void note_use(ThreadState& self) {
    if ((self.special & unusual::is_new_child) != 0) [[unlikely]] {
        self.special &= ~unusual::is_new_child;
        expect_report();
    }
}

// Something has happened to a job of a thread that may be traced.
void note_event(ThreadState& self, Job& job, const ASYNC_JOB* name, trace::Event event) {
    if ((self.special & unusual::is_traced) != 0 &&
        !trace::note(event, name, reinterpret_cast<const void*>(job.function), job.traced))
        self.special &= ~unusual::is_traced;
}

// What a tool that watches stacks wants to see called on a job's stack, in the job's place.
struct Watched {
    Job& job;
    JobFunction function;
    void* args;
};
[[maybe_unused]] int run_watched(void* arg) {
    const Watched copy = *static_cast<Watched*>(arg);  // which is gone after the first pause
    Job& job = copy.job;
    sanitizer::arrive_in_fiber(job.rest.watched, true, this_thread.outside);
    const int value = copy.function(copy.args);
    sanitizer::keep_result(job.rest.watched, value);
    sanitizer::leave_fiber(job.rest.watched, true);
    return value;
}

// A job becomes the current one.
void become_current(ThreadState& self, Job& job, ASYNC_JOB* name, ASYNC_JOB** handle, int* result) {
    job.handle = handle;
    job.result = result;
    self.current = name;
}

// What only a nested job has to do on its way in and out.
void enter_from_outer(const ThreadState& self, Job& job) {
    job.outer = self.current;
    job.rest.outer_outside = self.outside;
    if (job.outer != nullptr) {
        job.fiber.unusual |= unusual::is_nested;
        Job::of(job.outer)->uncross_ticket(job.outer);
    }
}
void leave_to_outer(ThreadState& self, Job& job) {
    self.current = job.outer;
    self.outside = job.rest.outer_outside;
    if (job.outer != nullptr && (Job::of(job.outer)->fiber.unusual & unusual::is_fresh) == 0)
        Job::of(job.outer)->cross_ticket(self.key, job.outer);
    job.outer = nullptr;
    job.fiber.unusual &= ~unusual::is_nested;
}

// The hooks see the job as the current one, which cannot pause in them, and do not touch errno.
template <typename Hook>
void run_hooks(ThreadState& self, Job& job, ASYNC_JOB* name, Hook hook) {
    const int error_number = *self.places.error_number;
    self.current = name;
    job.fiber.unusual |= unusual::is_held;
    (self.hooks.*hook)(name);
    job.fiber.unusual &= ~unusual::is_held;
    *self.places.error_number = error_number;
}
void run_enter_hooks(ThreadState& self, Job& job, ASYNC_JOB* name) {
    if ((self.special & unusual::has_hooks) != 0)
        run_hooks(self, job, name, &SwitchHooks::enter);
}
void run_leave_hooks(ThreadState& self, Job& job) {
    if ((self.special & unusual::has_hooks) != 0)
        run_hooks(self, job, self.current, &SwitchHooks::leave);
}

// How a switch treats the control words, from the bits of thread and job. Notes whether the
// side that is left keeps any.
arch::FpMode fp_mode(Fiber& fiber, std::uint32_t bits) {
    if ((bits & unusual::fp_mode) == 0) [[likely]]
        return arch::FpMode::kept;
    if ((bits & unusual::shares_fp_mode) != 0) [[likely]] {
        if ((bits & unusual::is_bare) == 0) [[unlikely]]
            fiber.unusual |= unusual::is_bare;
        return arch::FpMode::shared;
    }
    fiber.unusual &= ~unusual::is_bare;
    return arch::FpMode::comparing;
}

// The last part of a start: all that can fail is done.
int go_into_new(ThreadState& self, Job& job, ASYNC_JOB** handle, ASYNC_WAIT_CTX* wait, int* result,
                JobFunction function, void* args, std::uint32_t bits) {
    job.fiber.error_number = *self.places.error_number;
    job.wait = wait;
    become_current(self, job, job.name(), handle, result);
    const arch::FpMode mode = fp_mode(job.fiber, bits);
    ASYNCJOB_END_PROBE2(start, job.name(), function);
    if constexpr (sanitizer::watched) {
        Watched watched{job, function, args};
        sanitizer::leave_to_fiber(job.rest.watched);
        const int status = arch::start(&self.outside, job.top, run_watched, &watched, &job, mode);
        if (status == ASYNC_PAUSE)
            sanitizer::arrive_outside(job.rest.watched, job.fiber.suspended);
        return status;
    }
    return arch::start(&self.outside, job.top, function, args, &job, mode);
}

int start(ASYNC_JOB** handle, ASYNC_WAIT_CTX* wait, int* result, JobFunction function, void* args,
          std::size_t size) {
    ThreadState& self = this_thread;
    note_use(self);
    self.pool.settle();
    if (self.pool.first_idle() == nullptr) {
        Reason reason = enter(self);
        if (reason != Reason::none)
            return fail(reason, "ASYNC_start_job");
        if (self.pool.at_limit()) {
            self.last_reason = static_cast<int>(Reason::pool_is_full);
            self.entry.refused += 1;
            if (self.slot_free.callback != nullptr)
                self.special |= unusual::awaits_room;
            return ASYNC_NO_JOBS;
        }
        reason = look_around(self) ? self.pool.make(self.key) : Reason::no_memory;
        if (reason != Reason::none)
            return fail(reason, "ASYNC_start_job");
    }
    Job& job = *self.pool.first_idle();
    void* top = job.rest.stack.high;
    void* copy = nullptr;
    if (args != nullptr) {
        copy = job.copy_args(args, size, top);
        if (copy == nullptr)
            return fail(Reason::no_memory, "ASYNC_start_job");
    }
    job.fiber.unusual |= unusual::is_fresh | unusual::is_listed;
    job.wait = wait;
    enter_from_outer(self, job);
    if ((self.special & unusual::is_traced) != 0) {
        job.function = function;
        job.traced = 0;
        note_event(self, job, job.name(), trace::Event::start);
    }
    run_enter_hooks(self, job, job.name());
    carry_errors(self, job, &CarriedErrors::start);
    job.lib_ctx = host::lib_ctx();
    exchange_exceptions(job.fiber, job.rest, self.places);
    job.top = top;
    return go_into_new(self, job, handle, wait, result, function, copy, self.special);
}

// Why the job of a handle cannot be resumed by the thread of `key`.
Reason why_not(const Job& job, ASYNC_JOB* handle, std::uint64_t key) {
    if (!job.has_name(handle))
        return Reason::job_not_paused;
    return job.owner.load(std::memory_order_relaxed) == key ? Reason::job_running
                                                            : Reason::foreign_thread;
}

// The last part of a resume. `value` becomes the result of the job's ASYNC_pause_job().
int go_into_paused(ThreadState& self, Job& job, ASYNC_JOB** handle, ASYNC_JOB* name, int* result,
                   std::uint32_t bits, int value) {
    become_current(self, job, name, handle, result);
    job.fiber.exchange_errno(self.places);
    const arch::FpMode mode = fp_mode(job.fiber, bits);
    if constexpr (sanitizer::watched) {
        sanitizer::leave_to_fiber(job.rest.watched);
        const int status = arch::resume(&self.outside, job.fiber.suspended, value, mode);
        if (status == ASYNC_PAUSE)
            sanitizer::arrive_outside(job.rest.watched, job.fiber.suspended);
        return status;
    }
    return arch::resume(&self.outside, job.fiber.suspended, value, mode);
}

// All of a resume that is left when it is known to succeed.
int resume_paused(ThreadState& self, Job& job, ASYNC_JOB** handle, ASYNC_JOB* name, int* result,
                  int value) {
    job.fiber.unusual &= ~unusual::is_seen;
    note_use(self);
    self.pool.settle();
    ASYNCJOB_PROBE1(resume, name);
    note_event(self, job, name, trace::Event::resume);
    // Before the hooks: an fd that one of them adds is of the new round.
    if (job.wait != nullptr)
        job.wait->end_round();
    enter_from_outer(self, job);
    run_enter_hooks(self, job, name);
    carry_errors(self, job, &CarriedErrors::resume);
    job.lib_ctx = host::exchange_lib_ctx(job.lib_ctx);
    exchange_exceptions(job.fiber, job.rest, self.places);
    return go_into_paused(self, job, handle, name, result, self.special | job.fiber.unusual, value);
}

int resume(ASYNC_JOB** handle, ASYNC_JOB* name, int* result) {
    ThreadState& self = this_thread;
    Job& job = *Job::of(name);
    if (!job.is_paused_for(self.key, self.current, name))
        return fail(why_not(job, name, self.key), "ASYNC_start_job");
    return resume_paused(self, job, handle, name, result, 1);
}

// It comes back when the job's function has returned: a cancelled job pauses no more.
void cancel_paused(ThreadState& self, Job& job, ASYNC_JOB** handle, ASYNC_JOB* name, int* result) {
    self.entry.cancelled += 1;
    job.fiber.unusual |= unusual::is_cancelled;
    ASYNCJOB_PROBE1(cancel, name);
    note_event(self, job, name, trace::Event::cancel);
    (void)resume_paused(self, job, handle, name, result, 0);
}

// From now on or no more. Pauses that are not stamped leave what is there, so it is forgotten.
void stamp_pauses(ThreadState& self, bool stamps) {
    if (stamps == ((self.special & unusual::stamps_pauses) != 0))
        return;
    self.special ^= unusual::stamps_pauses;
    self.pool.begin_walk();
    while (Job* const job = self.pool.walk())
        job->paused_at.store(0, std::memory_order_relaxed);
}

// The last part of a pause.
int go_out(ThreadState& self, Job& job, ASYNC_JOB* name, arch::Slot outside, bool is_first,
           std::uint32_t bits) {
    *job.handle = name;
    if (is_first)
        job.cross_ticket(self.key, name);
    job.fiber.exchange_errno(self.places);
    const arch::FpMode mode = fp_mode(job.fiber, bits);
    sanitizer::leave_fiber(job.rest.watched, false);
    arch::Slot* const slot = &job.fiber.suspended;
    void* const top = job.top;
    // ASYNC_PAUSE becomes the result of the resumer's ASYNC_start_job().
    if constexpr (sanitizer::watched) {
        const int result = is_first ? arch::first_pause(slot, outside, ASYNC_PAUSE, top, mode)
                                    : arch::pause(slot, outside, ASYNC_PAUSE, mode);
        sanitizer::arrive_in_fiber(job.rest.watched, false, this_thread.outside);
        return result;
    }
    return is_first ? arch::first_pause(slot, outside, ASYNC_PAUSE, top, mode)
                    : arch::pause(slot, outside, ASYNC_PAUSE, mode);
}

int pause(ASYNC_JOB* name) {
    ThreadState& self = this_thread;
    Job& job = *Job::of(name);
    if ((job.fiber.unusual & unusual::is_cancelled) != 0)
        return 0;  // blocked or not: the thread is given away neither way
    if (job.is_blocked())
        return 1;
    if ((job.fiber.unusual & unusual::is_seen) != 0) {
        job.fiber.unusual &= ~unusual::is_seen;
        self.mailbox->queue_again(job.slot);
    }
    run_leave_hooks(self, job);
    ASYNCJOB_PROBE1(pause, name);
    note_event(self, job, name, trace::Event::pause);
    note_use(self);
    self.pool.settle();
    const bool is_first = (job.fiber.unusual & unusual::is_fresh) != 0;
    if (is_first) {
        job.fiber.unusual &= ~unusual::is_fresh;
        job.fiber.unusual |= unusual::young_at_first;
    }
    if ((self.special & unusual::stamps_pauses) != 0)
        job.paused_at.store(os::now(), std::memory_order_relaxed);
    carry_errors(self, job, &CarriedErrors::pause);
    job.lib_ctx = host::exchange_lib_ctx(job.lib_ctx);
    exchange_exceptions(job.fiber, job.rest, self.places);
    arch::Slot const outside = self.outside;
    leave_to_outer(self, job);
    return go_out(self, job, name, outside, is_first, self.special | job.fiber.unusual);
}

// After the end of a job, as if the code that started or resumed it had called this, which has
// all that it waits for: so the callback may do what that code may.
void tell_of_room(ThreadState& self) {
    if (self.pool.first_idle() == nullptr && self.pool.at_limit())
        return;  // the limit was lowered
    self.special &= ~unusual::awaits_room;
    const int error_number = *self.places.error_number;
    self.slot_free.callback(self.slot_free.arg);
    *self.places.error_number = error_number;
}

// What every end of a job tells its starter.
void report_end(const ThreadState& self, Job& job, int value) {
    ASYNC_JOB* const name = self.current;
    ASYNCJOB_END_PROBE2(finish, name, value);
    *job.result = value;
    *job.handle = nullptr;
    job.become_idle(name);
}

[[gnu::noinline]] int end_the_long_way(Job& job, int value) {
    ThreadState& self = this_thread;
    note_use(self);
    run_leave_hooks(self, job);
    if ((job.fiber.unusual & unusual::has_locals) != 0) {
        const int error_number = *self.places.error_number;
        job.fiber.unusual |= unusual::is_held;
        job.locals.destroy();
        *self.places.error_number = error_number;
    }
    if ((job.fiber.unusual & unusual::carries_errors) != 0)
        job.errors.end();
    note_event(self, job, self.current, trace::Event::finish);
    report_end(self, job, value);
    leave_to_outer(self, job);
    // errno is not given back: the end of a job is a return, and errno goes with it.
    (void)host::exchange_lib_ctx(job.lib_ctx);
    job.lib_ctx = nullptr;
    exchange_exceptions(job.fiber, job.rest, self.places);
    if (job.heap_args != nullptr)
        job.free_args();
    if ((job.fiber.unusual & unusual::has_handle) != 0)
        self.mailbox->end(job.slot);
    const bool is_listed = (job.fiber.unusual & unusual::is_listed) != 0;
    job.blocked = 0;
    job.fiber.unusual = 0;
    job.top = job.rest.stack.high;
    if (!is_listed)
        self.pool.keep_or_destroy(&job);
    if ((self.special & unusual::awaits_room) != 0)
        tell_of_room(self);
    return ASYNC_FINISH;
}

}  // namespace

Reason use_jobs() noexcept {
    return enter(this_thread);
}

bool can_have_jobs() noexcept {
    return arch::capable && !has_shadow_stack();
}

Reason report_overflows() noexcept {
    if (!arch::capable)
        return Reason::not_capable;
    const Reason reason = install_overflow_handler();
    const ThreadState& self = this_thread;
    return reason == Reason::none && self.key != ThreadState::no_key ? watch_overflows(self.entry)
                                                                     : reason;
}

Reason init_thread(const PoolOptions& options) noexcept {
    ThreadState& self = this_thread;
    const Reason reason = enter(self);
    if (reason != Reason::none)
        return reason;
    const Reason configured = self.pool.configure(options, self.key);
    if (configured == Reason::none)
        stamp_pauses(self, options.stamps_pauses);
    return configured;
}

Reason init_thread(std::size_t max, std::size_t init) noexcept {
    if (max != 0 && init > max)
        return arch::capable ? Reason::invalid_pool_size : Reason::not_capable;
    PoolOptions options = this_thread.pool.options();
    options.max = max;
    options.prepared = init;
    return init_thread(options);
}

Reason on_slot_free(const SlotFree& slot_free) noexcept {
    ThreadState& self = this_thread;
    if (!arch::capable)
        return Reason::not_capable;
    self.slot_free = slot_free;
    self.special &= ~unusual::awaits_room;
    return Reason::none;
}

void cleanup_thread() noexcept {
    this_thread.pool.close();
    stamp_pauses(this_thread, false);
}

Reason cancel(ASYNC_JOB** handle, int* result) noexcept {
    ThreadState& self = this_thread;
    if (self.hooks.are_running())
        return Reason::in_hook;
    ASYNC_JOB* const name = *handle;
    Job& job = *Job::of(name);
    if (!job.is_paused_for(self.key, self.current, name))
        return why_not(job, name, self.key);
    cancel_paused(self, job, handle, name, result);
    return Reason::none;
}

// A job that is cancelled may do all that jobs do before it returns: start others, leave them
// paused, have any destroyed, and call this function, so the walk is repeated until one of them
// finds nothing.
std::size_t cancel_all() noexcept {
    ThreadState& self = this_thread;
    std::size_t cancelled = 0;
    if (self.hooks.are_running())
        return cancelled;
    for (std::size_t before = 0;; before = cancelled) {
        self.pool.begin_walk();
        while (Job* const job = self.pool.walk()) {
            ASYNC_JOB* name = job->name_if_paused_for(self.key, self.current);
            if (name == nullptr)
                continue;
            int result = 0;
            ++cancelled;
            cancel_paused(self, *job, &name, name, &result);
        }
        if (cancelled == before)
            return cancelled;
    }
}

// A paused job's starter may have freed its variable, and others have taken the memory: then it
// does not have the job's name any more.
ASYNC_JOB** find_handle(const void* object, std::size_t size) noexcept {
    ThreadState& self = this_thread;
    if (size < sizeof(ASYNC_JOB*))
        return nullptr;
    const std::size_t last = size - sizeof(ASYNC_JOB*);
    const auto from = reinterpret_cast<std::uintptr_t>(object);
    ASYNC_JOB** found = nullptr;
    self.pool.begin_walk();
    while (Job* const job = self.pool.walk()) {
        if (reinterpret_cast<std::uintptr_t>(job->handle) - from > last)
            continue;
        const ASYNC_JOB* const name = job->name_if_paused_for(self.key, self.current);
        if (name != nullptr && *job->handle == name && (found == nullptr || job->handle < found))
            found = job->handle;
    }
    return found;
}

bool is_cancelled() noexcept {
    const Job* const job = this_thread.current_job();
    return job != nullptr && (job->fiber.unusual & unusual::is_cancelled) != 0;
}

Reason add_switch_hook(const SwitchHook& hook) noexcept {
    ThreadState& self = this_thread;
    if (self.current != nullptr)
        return Reason::in_job;
    Reason reason = enter(self);
    if (reason != Reason::none)
        return reason;
    reason = self.hooks.add(hook);
    if (reason == Reason::none)
        self.special |= unusual::has_hooks;
    return reason;
}

Reason remove_switch_hook(const SwitchHook& hook) noexcept {
    ThreadState& self = this_thread;
    if (self.current != nullptr)
        return Reason::in_job;
    const Reason reason = self.hooks.remove(hook);
    if (!self.hooks.any())
        self.special &= ~unusual::has_hooks;
    return reason;
}

bool share_fp_mode(bool share) noexcept {
    ThreadState& self = this_thread;
    const bool before = (self.special & unusual::shares_fp_mode) != 0;
    set_fp_mode(self, share);
    return before;
}

[[gnu::cold, gnu::noinline]] int fail(Reason reason, const char* function) noexcept {
    this_thread.last_reason = static_cast<int>(reason);
    host::raise(static_cast<int>(reason), function);
    return 0;
}

}  // namespace asyncjob

using namespace asyncjob;

int asyncjob_start_or_resume(ASYNC_JOB** handle, ASYNC_WAIT_CTX* wait, int* result,
                             int (*function)(void*), void* args, size_t size) noexcept {
    if (handle == nullptr || result == nullptr || (*handle == nullptr && function == nullptr))
        return fail(Reason::null_argument, "ASYNC_start_job");
    if (this_thread.hooks.are_running())
        return fail(Reason::in_hook, "ASYNC_start_job");
    if (*handle != nullptr)
        return resume(handle, *handle, result);
    return start(handle, wait, result, function, args, size);
}

// This short way is in C++, as the copy takes most of its time.
int asyncjob_start_with_args(ASYNC_JOB** handle, ASYNC_WAIT_CTX* wait, int* result,
                             int (*function)(void*), void* args, size_t size) noexcept {
    ThreadState& self = this_thread;
    Job* const job = self.pool.first_idle();
    if (job == nullptr || function == nullptr || size > Job::few_args) [[unlikely]]
        return asyncjob_start_or_resume(handle, wait, result, function, args, size);
    const std::uint32_t bits = self.special | job->fiber.unusual;
    if ((bits & ~unusual::fp_mode) != 0 || self.places.exceptions->any() ||
        self.errors.maybe_any() || self.current != nullptr) [[unlikely]]
        return asyncjob_start_or_resume(handle, wait, result, function, args, size);
    job->top = job->copy_few_args(args, size);
    job->fiber.unusual = unusual::is_fresh | unusual::is_listed;
    return go_into_new(self, *job, handle, wait, result, function, job->top, bits);
}

int asyncjob_pause_long() noexcept {
    ASYNC_JOB* const name = this_thread.current;
    return name != nullptr ? pause(name) : 1;
}

// What arch/offsets.h tells the assembly, which is for 64 bits.
#if __SIZEOF_POINTER__ == 8
static_assert(offsetof(Job, fiber.suspended) == ASYNCJOB_JOB_SUSPENDED);
static_assert(offsetof(Job, fiber.error_number) == ASYNCJOB_JOB_ERRNO);
static_assert(offsetof(Job, fiber.unusual) == ASYNCJOB_JOB_UNUSUAL);
static_assert(offsetof(Job, ticket) == ASYNCJOB_JOB_TICKET);
static_assert(offsetof(Job, handle) == ASYNCJOB_JOB_HANDLE);
static_assert(offsetof(Job, result) == ASYNCJOB_JOB_RESULT);
static_assert(offsetof(Job, wait) == ASYNCJOB_JOB_WAIT);
static_assert(offsetof(Job, top) == ASYNCJOB_JOB_TOP);
static_assert(offsetof(Job, next) == ASYNCJOB_JOB_NEXT);
static_assert(Job::serial_bits == ASYNCJOB_JOB_SERIAL_BITS);
static_assert(offsetof(ThreadState, current) == ASYNCJOB_THREAD_CURRENT);
static_assert(offsetof(ThreadState, key) == ASYNCJOB_THREAD_KEY);
static_assert(offsetof(ThreadState, places.error_number) == ASYNCJOB_THREAD_ERRNO);
static_assert(offsetof(ThreadState, places.exceptions) == ASYNCJOB_THREAD_EXCEPTIONS);
static_assert(offsetof(ThreadState, outside) == ASYNCJOB_THREAD_OUTSIDE);
static_assert(offsetof(ThreadState, special) == ASYNCJOB_THREAD_SPECIAL);
static_assert(offsetof(ThreadState, errors.place) == ASYNCJOB_THREAD_ERRORS_PLACE);
static_assert(offsetof(ThreadState, errors.state) == ASYNCJOB_THREAD_ERRORS_STATE);
static_assert(offsetof(ErrorState, top) == ASYNCJOB_ERRORS_TOP);
static_assert(offsetof(ErrorState, bottom) == ASYNCJOB_ERRORS_BOTTOM);
static_assert(offsetof(ThreadState, pool) + JobPool::offset_of_idle() == ASYNCJOB_THREAD_IDLE);
static_assert(offsetof(ThreadState, pool) + JobPool::offset_of_idle_count() ==
              ASYNCJOB_THREAD_IDLE_COUNT);
static_assert(unusual::shares_fp_mode == ASYNCJOB_SHARES_FP_MODE);
static_assert(unusual::compares_fp_mode == ASYNCJOB_COMPARES_FP_MODE);
static_assert(unusual::is_bare == ASYNCJOB_IS_BARE);
static_assert((unusual::shares_fp_mode | unusual::is_bare) == ASYNCJOB_SHARES_ONLY);
static_assert((unusual::is_fresh | unusual::is_listed) == ASYNCJOB_FRESH_AND_LISTED);
static_assert(unusual::fp_mode == ASYNCJOB_FP_MODE);
static_assert(unusual::goes_on == ASYNCJOB_GOES_ON);
static_assert(unusual::young == ASYNCJOB_YOUNG);
static_assert(unusual::young_at_first == ASYNCJOB_YOUNG_AT_FIRST);
static_assert((ASYNCJOB_YOUNG & -ASYNCJOB_YOUNG) == ASYNCJOB_YOUNG_BY_ONE);
#endif

// Where a job's function has returned, off its stack. What it left of its exceptions is not
// looked at: it has returned, and they have ended.
int asyncjob::arch::asyncjob_context_ended(void* fiber, int value) noexcept {
    Job& job = *static_cast<Job*>(fiber);
    ThreadState& self = this_thread;
    sanitizer::arrive_outside(job.rest.watched, nullptr);
    value = sanitizer::kept_result(job.rest.watched, value);
    const std::uint32_t bits =
        (self.special | job.fiber.unusual) & ~(unusual::fp_mode | unusual::young);
    if (bits == (unusual::is_fresh | unusual::is_listed)) [[likely]] {
        report_end(self, job, value);
        self.current = nullptr;
        job.fiber.unusual = 0;
        return ASYNC_FINISH;
    }
    if (bits != 0 || !self.pool.has_room()) [[unlikely]]
        return end_the_long_way(job, value);
    report_end(self, job, value);
    self.current = nullptr;
    job.fiber.unusual = 0;
    self.pool.put(&job);
    return ASYNC_FINISH;
}
