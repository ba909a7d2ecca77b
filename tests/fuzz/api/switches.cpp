// SPDX-License-Identifier: Apache-2.0
// Threads, starts, pauses and ends. Contract: machine.hpp.
#include <openssl/err.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cfenv>
#include <utility>

#include "check.hpp"
#include "entries.hpp"
#include "machine.hpp"

namespace fuzz {

namespace {

constexpr int untouched = -7777;

unsigned char pattern(int job, std::size_t at) {
    return static_cast<unsigned char>(static_cast<std::size_t>(job) * 31 + at * 7 + 1);
}

std::size_t some_size(int choice) {
    constexpr std::size_t sizes[] = {0, 1, 4, 24, 64, 200, 512, 513, 1025, 4000, 50000};
    return sizes[static_cast<std::size_t>(choice) % std::size(sizes)];
}
constexpr int size_count = 11;
constexpr std::size_t own_memory_from = 513;  // arguments that may be on the heap

unsigned char argument_bytes[50000];

}  // namespace

Machine::Machine(const std::uint8_t* bytes, std::size_t size) : choices_(bytes, size) {
    expect("asyncjob_stats", asyncjob_stats(&before_, sizeof before_, ASYNCJOB_STATS_PROCESS), 1);
    left_behind_before_ = asyncjob_left_behind();
    threads_.resize(Model::most_threads);
}

void Machine::run() {
    model_.threads.emplace_back().is_there = true;
    threads_[0] = std::thread([this] {
        Entries::enter(*this);
        drive();
        // The others come to their ends one after another.
        for (int other = 1; other < static_cast<int>(model_.threads.size()); ++other) {
            if (model_.threads[other].is_there) {
                turn_ = other;
                turns_.give(other, 0);
                turn_ = 0;
                join_ended();
            }
        }
        for (Ctx& ctx : model_.ctxs) {
            if (ctx.handle != nullptr)
                free_ctx(ctx);
        }
    });
    threads_[0].join();
    model_.end_thread(0);
    for (const Key& key : model_.keys) {
        if (key.key != 0)
            expect("asyncjob_key_delete", asyncjob_key_delete(key.key), 1);
    }
    expect("asyncjob_left_behind", asyncjob_left_behind(),
           left_behind_before_ + static_cast<std::size_t>(model_.left_behind));
}

void Machine::work(int number) {
    turns_.wait_for(number);
    Entries::enter(*this);
    drive();
    ending_thread_ = number;
    turn_ = 0;
    turns_.give_for_good(0);
}

void Machine::join_ended() {
    if (ending_thread_ == none)
        return;
    threads_[ending_thread_].join();
    model_.end_thread(ending_thread_);
    trace("thread %d has ended\n", ending_thread_);
    ending_thread_ = none;
}

// Only the first takes the turn of one that has ended, and joins it.
void Machine::give_turn() {
    const int own = turn_;
    const int count = static_cast<int>(model_.threads.size());
    const int to = below(static_cast<int>(Model::most_threads));
    int next = to;
    if (to >= count) {
        if (model_.threads.size() == Model::most_threads)
            return;
        start_thread();
        next = count;
    } else if (to == own || !model_.threads[to].is_there) {
        return;
    }
    trace("thread %d goes on\n", next);
    const Inside here(*this);
    turn_ = next;
    turns_.give(next, own);
    turn_ = own;
    here.leave();
    if (own == 0)
        join_ended();
    trace("thread %d goes on\n", own);
}

void Machine::start_thread() {
    const int number = static_cast<int>(model_.threads.size());
    model_.threads.emplace_back().is_there = true;
    threads_[static_cast<std::size_t>(number)] = std::thread([this, number] { work(number); });
}

// The bytes of a thread that is not the first may end it.
void Machine::drive() {
    while (!choices_.is_spent()) {
        if (turn_ != 0 && below(32) == 31)
            break;
        step();
    }
    drain();
}

void Machine::drain() {
    const int thread = turn_;
    bool leaves = false;
    if (thread != 0 && model_.paused(thread) <= 2 && below(256) == 200) {
        leaves = std::none_of(model_.jobs.begin(), model_.jobs.end(), [&](const Job& job) {
            return job.thread == thread && job.phase == Phase::paused && job.owns_memory;
        });
    }
    while (!leaves && model_.paused(thread) > 0) {
        const auto paused = std::find_if(
            model_.jobs.begin(), model_.jobs.end(),
            [&](const Job& job) { return job.thread == thread && job.phase == Phase::paused; });
        resume(static_cast<int>(paused - model_.jobs.begin()), none);
    }
}

// A variable that no call is using and that has no handle.
int Machine::free_handle() const {
    for (int at = 0; at < handle_count; ++at) {
        if (handles_[at] == nullptr && !is_busy_[at])
            return at;
    }
    return none;
}

// Whether nobody sees entries on the error queue but the two sides of a switch.
bool Machine::keeps_errors() {
    return self().hooks.empty() && self().slot_free == none;
}

void Machine::start() {
    if (model_.jobs.size() == Model::most_jobs || depth_ > 6)
        return;
    const int at = free_handle();
    if (at == none)
        return;
    const Ctx* const ctx = below(4) != 0 ? some_ctx(false) : nullptr;
    const int size_choice = below(size_count + 3);
    const bool is_null = size_choice >= size_count;
    const std::size_t size = some_size(size_choice);
    const int number = static_cast<int>(model_.jobs.size());
    int reason = 0;
    trace("thread %d: start job %d, ctx %d, %zu bytes%s, handle %d\n", turn_, number,
          ctx == nullptr ? none : static_cast<int>(ctx - model_.ctxs.data()), size,
          is_null ? " at NULL" : "", at);
    const Start predicted = model_.start(turn_, reason);
    if (predicted == Start::runs) {
        Job job;
        job.thread = turn_;
        job.ctx = ctx == nullptr ? none : static_cast<int>(ctx - model_.ctxs.data());
        job.handle_at = at;
        job.owns_memory = !is_null && size >= own_memory_from;
        model_.jobs.push_back(job);
        model_.enter(turn_, number);
    }
    is_busy_[at] = true;
    for (std::size_t byte = 0; byte < size; ++byte)
        argument_bytes[byte] = pattern(number, byte);
    int result = untouched;
    const Inside inside(*this);
    errno = 4321;
    const int status =
        ASYNC_start_job(&handles_[at], ctx == nullptr ? nullptr : ctx->handle, &result,
                        Entries::function_for(size), is_null ? nullptr : argument_bytes, size);
    const int error_number = errno;
    inside.leave();
    is_busy_[at] = false;
    if (predicted == Start::runs) {
        came_back(number, status, &handles_[at], result);
        if (status == ASYNC_PAUSE)
            expect("errno of the starter", error_number, 4321);
        return is_fine();
    }
    expect("ASYNC_start_job", status, predicted == Start::fails ? ASYNC_ERR : ASYNC_NO_JOBS);
    expect_that("the handle stays NULL", handles_[at] == nullptr);
    expect("the result stays", result, untouched);
    has_failed(reason);
}

void Machine::resume_some() {
    const int job = below(4) != 0 ? some_paused_job() : some_job();
    if (job == none)
        return;
    resume(job, below(3) != 0 ? free_handle() : none);
}

void Machine::resume(int job, int at) {
    int reason = model_.why_not_resumed(turn_, job);
    if (self().in_hook)
        reason = ASYNCJOB_R_IN_HOOK;
    if (reason == 0 && depth_ > 6 && !choices_.is_spent())
        return;
    trace("thread %d: resume job %d, handle %d, reason %d\n", turn_, job, at, reason);
    ASYNC_JOB* local = name_of(job);
    ASYNC_JOB** handle = &local;
    if (at != none && reason == 0) {
        handles_[at] = local;
        handle = &handles_[at];
    }
    ASYNC_JOB* const before = *handle;
    if (before == nullptr)
        return;  // it has ended before it had a look at itself
    const bool with_error = below(8) == 1 && reason == 0 && keeps_errors();
    if (at != none)
        is_busy_[at] = true;
    int result = untouched;
    if (reason == 0) {
        model_.jobs[job].handle_at = at;
        model_.resume(turn_, job, false);
    }
    if (with_error)
        ERR_raise(ERR_LIB_USER, 42);
    const Inside inside(*this);
    errno = 4321;
    const int status = ASYNC_start_job(handle, nullptr, &result, nullptr, nullptr, 0);
    const int error_number = errno;
    inside.leave();
    if (at != none)
        is_busy_[at] = false;
    if (with_error)
        expect("the resumer's error", ERR_GET_REASON(ERR_get_error()), 42);
    if (reason == 0) {
        came_back(job, status, handle, result);
        if (status == ASYNC_PAUSE)
            expect("errno of the resumer", error_number, 4321);
        return is_fine();
    }
    expect("ASYNC_start_job", status, ASYNC_ERR);
    expect_same("the handle stays", *handle, before);
    expect("the result stays", result, untouched);
    has_failed(reason);
}

void Machine::settle() {
    Thread& thread = self();
    if (thread.pending == Thread::Switch::end) {
        std::sort(thread.destroyed.begin(), thread.destroyed.end());
        std::sort(thread.to_destroy.begin(), thread.to_destroy.end());
        expect("values that were destroyed", thread.destroyed.size(), thread.to_destroy.size());
        expect_that("the values that were destroyed", thread.destroyed == thread.to_destroy);
    }
    model_.settle(turn_);
}

void Machine::came_back(int job, int status, ASYNC_JOB** handle, int result) {
    settle();
    const Thread& thread = self();
    expect("the job that came back", thread.last_job, job);
    expect("ASYNC_start_job", status, thread.status);
    expect("hooks that were not called", thread.expected_hooks.size(), 0);
    expect("on_slot_free that was not called", thread.expects_slot_free, false);
    const Job& of = model_.jobs[job];
    if (status == ASYNC_PAUSE) {
        expect_same("the handle", *handle, of.name);
        expect("the result stays", result, untouched);
    } else {
        expect_that("the handle becomes NULL", *handle == nullptr);
        expect("the result", result, of.result);
    }
    trace("thread %d: job %d came back, %d\n", turn_, job, status);
    check_stats();
    if (of.ctx != none && model_.ctxs[of.ctx].handle != nullptr)
        check_fds(model_.ctxs[of.ctx], 0);
}

void Machine::cancel_some() {
    const int job = below(4) != 0 ? some_paused_job() : some_job();
    if (job == none || name_of(job) == nullptr)
        return;
    int reason = model_.why_not_resumed(turn_, job);
    if (self().in_hook)
        reason = ASYNCJOB_R_IN_HOOK;
    if (reason == 0 && depth_ > 6)
        return;
    trace("thread %d: cancel job %d, reason %d\n", turn_, job, reason);
    ASYNC_JOB* handle = name_of(job);
    ASYNC_JOB* const before = handle;
    int result = untouched;
    if (reason == 0) {
        model_.jobs[job].handle_at = none;
        model_.resume(turn_, job, true);
    }
    const Inside inside(*this);
    const int status = asyncjob_cancel(&handle, &result);
    inside.leave();
    if (reason == 0) {
        came_back(job, status, &handle, result);
        expect("asyncjob_cancel", status, ASYNC_FINISH);
        return is_fine();
    }
    expect("asyncjob_cancel", status, ASYNC_ERR);
    expect_same("the handle stays", handle, before);
    expect("the result stays", result, untouched);
    has_failed(reason);
}

void Machine::cancel_all() {
    if (depth_ > 6)
        return;
    trace("thread %d: cancel all\n", turn_);
    const bool in_hook = self().in_hook;
    const int caller = self().current;
    if (!in_hook)
        self().cancel_alls[caller].push_back(0);
    const Inside inside(*this);
    const std::size_t count = asyncjob_cancel_all();
    inside.leave();
    if (in_hook) {
        expect("asyncjob_cancel_all in a hook", count, 0);
        return is_fine();
    }
    settle();
    expect("the job of asyncjob_cancel_all", self().current, caller);
    std::vector<std::uint64_t>& counts = self().cancel_alls[caller];
    expect("asyncjob_cancel_all", count, counts.back());
    counts.pop_back();
    expect("paused jobs after asyncjob_cancel_all", model_.paused(turn_), 0);
    expect("hooks that were not called", self().expected_hooks.size(), 0);
    expect("on_slot_free that was not called", self().expects_slot_free, false);
    is_fine();
}

// A paused job goes on: asyncjob_cancel_all() takes them in its own order.
void Machine::take_in(int job) {
    settle();
    if (model_.jobs[job].phase != Phase::paused)
        return;
    expect("the thread of a cancelled job", model_.jobs[job].thread, turn_);
    expect("hooks that were not called", self().expected_hooks.size(), 0);
    std::vector<std::uint64_t>& counts = self().cancel_alls[self().current];
    expect_that("a job goes on that nobody resumed", !counts.empty());
    trace("thread %d: job %d is cancelled with all\n", turn_, job);
    ++counts.back();
    model_.jobs[job].handle_at = none;
    model_.resume(turn_, job, true);
}

int Machine::function(const void* args, std::size_t size) {
    const int number = self().current;
    expect_that("a job runs", number != none);
    Job& job = model_.jobs[number];
    expect("hooks that were not called", self().expected_hooks.size(), 0);
    ASYNC_JOB* const name = ASYNC_get_current_job();
    expect_that("the current job of a job", name != nullptr);
    expect_that("the same job", job.name == nullptr || job.name == name);
    job.name = name;
    const auto* const bytes = static_cast<const unsigned char*>(args);
    const auto are_intact = [&] {
        for (std::size_t at = 0; bytes != nullptr && at < size; ++at)
            expect("an argument", bytes[at], pattern(number, at));
    };
    are_intact();
    expect("the arguments' alignment", reinterpret_cast<std::uintptr_t>(args) % 64, 0);
    trace("thread %d: job %d runs\n", turn_, number);
    job.result = number * 7 + 1;
    while (!choices_.is_spent() && below(12) != 11)
        step();
    are_intact();
    trace("thread %d: job %d ends\n", turn_, number);
    model_.about_to_leave(turn_, Thread::Switch::end);
    return model_.jobs[number].result;
}

void Machine::pause() {
    if (choices_.is_spent())
        return;
    const bool with_error = below(8) == 1 && keeps_errors();
    const int number = self().current;
    trace("thread %d: ASYNC_pause_job in job %d\n", turn_, number);
    const bool can = model_.can_pause(turn_);
    const int mode = std::fegetround();
    const bool had_shared = self().shared_fp_mode;
    if (can && with_error)
        ERR_raise(ERR_LIB_USER, 43);
    if (can && with_error)
        model_.jobs[number].owns_memory = true;
    errno = 1000 + number;
    const int result = do_pause();
    const int error_number = errno;
    if (can && with_error)
        expect("the job's error", ERR_GET_REASON(ERR_get_error()), 43);
    expect("errno of the job", error_number, 1000 + number);
    if (!had_shared && !self().shared_fp_mode)
        expect("the job's rounding mode", std::fegetround(), mode);
    const bool is_cancelled = number != none && model_.jobs[number].is_cancelled;
    expect("ASYNC_pause_job", result, is_cancelled ? 0 : 1);
    is_fine();
}

int Machine::do_pause() {
    const int number = self().current;
    if (!model_.can_pause(turn_))
        return ASYNC_pause_job();
    model_.about_to_leave(turn_, Thread::Switch::pause);
    const int result = ASYNC_pause_job();
    take_in(number);
    expect("the job that goes on", self().current, number);
    expect("hooks that were not called", self().expected_hooks.size(), 0);
    return result;
}

void Machine::pause_with_meaning() {
    if (choices_.is_spent())
        return;
    const int number = self().current;
    timespec deadline{};
    const int kind = below(6);
    int reason = 0;
    if (kind == 1)
        deadline.tv_nsec = 1'000'000'000;
    else if (kind == 2)
        deadline.tv_nsec = -1;
    else if (kind == 3)
        deadline = {-5, 5};
    else if (kind == 4)
        deadline = {0x7fffffffffff, 999'999'999};
    else if (kind == 5) {
        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += 100'000;
    }
    if (kind == 1 || kind == 2)
        reason = ASYNCJOB_R_INVALID_DEADLINE;
    trace("thread %d: asyncjob_pause, kind %d, in job %d\n", turn_, kind, number);
    int expected = ASYNCJOB_RESUMED;
    bool switches = false;
    if (reason != 0) {
        expected = ASYNCJOB_PAUSE_FAILED;
    } else if (number == none) {
        expected = ASYNCJOB_NOT_IN_JOB;
    } else if (model_.jobs[number].is_cancelled) {
        expected = ASYNCJOB_CANCELLED;
    } else if (!model_.can_pause(turn_)) {
        expected = ASYNCJOB_BLOCKED;
    } else {
        Job& job = model_.jobs[number];
        job.is_taken = false;
        if (job.is_woken) {
            job.is_woken = false;
            expected = ASYNCJOB_WOKEN;
        } else if (kind == 3) {
            expected = ASYNCJOB_TIMED_OUT;
        } else {
            switches = true;
        }
    }
    if (switches)
        model_.about_to_leave(turn_, Thread::Switch::pause);
    const int meaning = kind == 0 ? asyncjob_pause() : asyncjob_pause_until(&deadline);
    if (switches) {
        take_in(number);
        expect("the job that goes on", self().current, number);
        expect("hooks that were not called", self().expected_hooks.size(), 0);
        Job& job = model_.jobs[number];
        const bool was_woken = job.is_woken || job.is_taken;
        job.is_woken = false;
        job.is_taken = false;
        expected = ASYNCJOB_RESUMED;
        if (job.is_cancelled)
            expected = ASYNCJOB_CANCELLED;
        else if (was_woken)
            expected = ASYNCJOB_WOKEN;
    }
    expect("what the pause meant", meaning, expected);
    has_failed(reason);
}

void Machine::some_steps() {
    if (depth_ > 6)
        return;
    const Inside inside(*this);
    for (int count = below(6) - 2; count > 0 && !choices_.is_spent(); --count)
        step();
    inside.leave();
}

void Machine::hook(ASYNC_JOB* name, int arg, bool enters) {
    const int known = job_named(name);
    if (enters && known != none)
        take_in(known);
    Thread& thread = self();
    expect_that("a hook is expected", !thread.expected_hooks.empty());
    const HookCall expected = thread.expected_hooks.front();
    thread.expected_hooks.pop_front();
    expect("the hook", arg, expected.arg);
    expect("enter, not leave", enters, expected.enters);
    expect_same("the current job in a hook", ASYNC_get_current_job(), name);
    Job& job = model_.jobs[expected.job];
    if (job.name == nullptr)
        job.name = name;
    expect_same("the hook's job", name, job.name);
    trace("thread %d: %s hook %d of job %d\n", turn_, enters ? "enter" : "leave", arg,
          expected.job);
    const auto pending = std::exchange(thread.pending, Thread::Switch::none);
    thread.in_hook = true;
    some_steps();
    self().in_hook = false;
    self().pending = pending;
    errno = 99;
}

void Machine::slot_free(int number) {
    settle();
    Thread& thread = self();
    expect("on_slot_free is expected", thread.expects_slot_free, true);
    expect("which on_slot_free", number, thread.slot_free);
    thread.expects_slot_free = false;
    trace("thread %d: slot free\n", turn_);
    // What came back is looked at behind this.
    const int status = thread.status;
    const int last_job = thread.last_job;
    // The resumer's error, if it was the job that has set the callback.
    const unsigned long error = ERR_get_error();
    if (error != 0)
        expect("the resumer's error", ERR_GET_REASON(error), 42);
    some_steps();
    if (error != 0)
        ERR_raise(ERR_LIB_USER, 42);
    self().status = status;
    self().last_job = last_job;
    errno = 98;
}

// The kind is the destructor's; the value says which key it was under.
void Machine::destroy(int kind, std::uintptr_t value) {
    Thread& thread = self();
    expect("values are destroyed at an end", static_cast<int>(thread.pending),
           static_cast<int>(Thread::Switch::end));
    expect("hooks that were not called", thread.expected_hooks.size(), 0);
    thread.destroyed.push_back(value);
    const Job& job = model_.jobs[thread.current];
    expect_same("the current job in a destructor", ASYNC_get_current_job(), job.name);
    expect("asyncjob_can_pause in a destructor", asyncjob_can_pause(), 0);
    expect("ASYNC_pause_job in a destructor", ASYNC_pause_job(), job.is_cancelled ? 0 : 1);
    if (kind == static_cast<int>(Destructor::stores_again)) {
        const auto key = static_cast<std::size_t>(value % 256);
        expect("asyncjob_set_local in a destructor",
               asyncjob_set_local(model_.keys[key].key, reinterpret_cast<void*>(value)), 1);
    }
    errno = 97;
}

}  // namespace fuzz
