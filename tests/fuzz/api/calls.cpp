// SPDX-License-Identifier: Apache-2.0
// All calls but those that switch. Contract: machine.hpp.
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cfenv>
#include <utility>

#include "check.hpp"
#include "entries.hpp"
#include "machine.hpp"

namespace fuzz {

namespace {

// Keys, data and arguments of callbacks.
constexpr int place_count = 2;
char place[place_count];

constexpr int untouched = -7777;
constexpr int most_fds = 40;

// What a list of fds holds behind a call, and that nothing is behind the list.
void expect_fds(const char* what, const int* fds, const std::vector<int>& expected) {
    for (std::size_t at = 0; at < expected.size(); ++at)
        expect(what, fds[at], expected[at]);
    expect(what, fds[expected.size()], untouched);
}

void* as_arg(int number) {
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(number));
}

}  // namespace

void Machine::has_failed(int reason, bool is_raised) {
    if (reason != 0)
        self().last_reason = reason;
    if (reason != 0 && is_raised) {
        const unsigned long error = ERR_get_error();
        expect("the library on the error queue", ERR_GET_LIB(error), ERR_LIB_ASYNC);
        expect("the reason on the error queue", ERR_GET_REASON(error), reason);
    }
    expect("more on the error queue", ERR_peek_error(), 0);
    expect("asyncjob_last_reason", asyncjob_last_reason(), self().last_reason);
}

int Machine::some_job() {
    const auto count = static_cast<int>(model_.jobs.size());
    return count == 0 ? none : below(count);
}

// Of this thread, if there is one.
int Machine::some_paused_job() {
    const auto count = static_cast<int>(model_.paused(turn_));
    if (count == 0)
        return some_job();
    int which = below(count);
    for (int job = 0;; ++job) {
        if (model_.jobs[job].thread == turn_ && model_.jobs[job].phase == Phase::paused &&
            which-- == 0)
            return job;
    }
}

bool Machine::is_used(const Ctx& ctx) const {
    const auto number = static_cast<int>(&ctx - model_.ctxs.data());
    return std::any_of(model_.jobs.begin(), model_.jobs.end(),
                       [&](const Job& job) { return job.ctx == number && job.is_in_flight(); });
}

Ctx* Machine::some_ctx(bool may_end) {
    if (model_.ctxs.empty())
        return nullptr;
    Ctx& ctx = model_.ctxs[below(static_cast<int>(model_.ctxs.size()))];
    return ctx.handle != nullptr && (may_end || !ctx.is_ending) ? &ctx : nullptr;
}

const void* Machine::some_key() {
    const int number = below(place_count + 1);
    return number == place_count ? nullptr : &place[number];
}

ASYNC_JOB* Machine::name_of(int job) const {
    return model_.jobs[job].name;
}

// Names are not given twice: in an input there are fewer jobs than serials.
int Machine::job_named(const ASYNC_JOB* name) const {
    for (std::size_t job = 0; job < model_.jobs.size(); ++job) {
        if (model_.jobs[job].name == name)
            return static_cast<int>(job);
    }
    return none;
}

void Machine::step() {
    switch (below(48)) {
        case 0:
        case 1:
        case 2:
        case 3:
            return start();
        case 4:
        case 5:
        case 6:
        case 7:
            return resume_some();
        case 8:
        case 9:
        case 10:
            return pause();
        case 11:
        case 12:
            return pause_with_meaning();
        case 13:
            return block(true);
        case 14:
            return block(false);
        case 15:
            return cancel_some();
        case 16:
            return cancel_all();
        case 17:
        case 18:
            return give_turn();
        case 19:
            return new_ctx();
        case 20:
            if (Ctx* const ctx = some_ctx(true); ctx != nullptr && !is_used(*ctx))
                free_ctx(*ctx);
            return;
        case 21:
        case 22:
        case 23:
            return ctx_call();
        case 24:
            return init_thread();
        case 25:
            return init_with_options();
        case 26:
            return show_options();
        case 27:
            return cleanup_thread();
        case 28:
            return on_slot_free();
        case 29:
        case 30:
            return get_handle(some_job());
        case 31:
        case 32:
            return wake();
        case 33:
            return take_ready();
        case 34:
            return ready_fd();
        case 35:
            return find_handle();
        case 36:
            return thread_stats();
        case 37:
            return process_stats();
        case 38:
            return below(3) == 0 ? delete_key() : make_key();
        case 39:
        case 40:
            return set_local();
        case 41:
            return get_local();
        case 42:
            return add_hooks();
        case 43:
            return remove_hooks();
        case 44:
            return look();
        case 45:
            return below(2) == 0 ? bad_start() : bad_ctx();
        case 46:
            return bad_others();
        default:
            switch (below(4)) {
                case 0:
                    return mem_functions();
                case 1:
                    return dump();
                case 2:
                    return share_fp_mode();
                default:
                    return forget_handle();
            }
    }
}

void Machine::forget_handle() {
    const int at = below(handle_count);
    if (!is_busy_[at])
        handles_[at] = nullptr;
}

void Machine::block(bool blocks) {
    trace("thread %d: %s\n", turn_, blocks ? "block" : "unblock");
    blocks ? ASYNC_block_pause() : ASYNC_unblock_pause();
    if (self().current != none) {
        int& count = model_.jobs[self().current].blocked;
        count = std::max(0, count + (blocks ? 1 : -1));
    }
    expect("asyncjob_can_pause", asyncjob_can_pause(), model_.can_pause(turn_));
    is_fine();
}

void Machine::new_ctx() {
    if (model_.ctxs.size() == 4)
        return;
    Ctx ctx;
    ctx.handle = ASYNC_WAIT_CTX_new();
    expect_that("ASYNC_WAIT_CTX_new", ctx.handle != nullptr);
    model_.ctxs.push_back(ctx);
    is_fine();
}

void Machine::free_ctx(Ctx& ctx) {
    trace("thread %d: free ctx %td\n", turn_, &ctx - model_.ctxs.data());
    const bool is_first = !ctx.is_ending;
    ctx.is_ending = true;
    const Inside inside(*this);
    ASYNC_WAIT_CTX_free(ctx.handle);
    inside.leave();
    if (is_first) {
        expect("cleanups that were not called", ctx.next_cleanup(), none);
        ctx.handle = nullptr;
        ctx.fds.clear();
    }
    is_fine();
}

void Machine::clean_up(ASYNC_WAIT_CTX* handle, const void* key, int fd, void* data) {
    const auto ctx = std::find_if(model_.ctxs.begin(), model_.ctxs.end(),
                                  [&](const Ctx& of) { return of.handle == handle; });
    expect_that("the context of a cleanup", ctx != model_.ctxs.end());
    expect_that("a cleanup is expected", ctx->next_cleanup() != none);
    const Fd& expected = ctx->fds.back();
    expect_same("the key of a cleanup", static_cast<const char*>(key),
                static_cast<const char*>(expected.key));
    expect("the fd of a cleanup", fd, expected.fd);
    expect_same("the data of a cleanup", static_cast<char*>(data),
                static_cast<char*>(expected.data));
    some_steps();
}

void Machine::ctx_call() {
    Ctx* const ctx = some_ctx(true);
    if (ctx == nullptr)
        return new_ctx();
    trace("thread %d: call on ctx %td\n", turn_, ctx - model_.ctxs.data());
    switch (below(10)) {
        case 0:
        case 1:
        case 2:
            set_wait_fd(*ctx);
            break;
        case 3:
            return get_fd(*ctx);
        case 4:
            return check_fds(*ctx, below(8));
        case 5:
        case 6:
        case 7:
            clear_fd(*ctx);
            break;
        case 8:
            return callback(*ctx);
        default:
            return status(*ctx);
    }
    check_fds(*ctx, 0);
}

void Machine::set_wait_fd(Ctx& ctx) {
    if (ctx.fds.size() == most_fds)
        return;
    const void* const key = some_key();
    void* const data = const_cast<void*>(some_key());
    const int fd = next_fd_++;
    const bool has_cleanup = below(3) != 0;
    expect("ASYNC_WAIT_CTX_set_wait_fd",
           ASYNC_WAIT_CTX_set_wait_fd(ctx.handle, key, fd, data,
                                      has_cleanup ? Entries::clean_up : nullptr),
           1);
    ctx.fds.push_back({key, fd, data, has_cleanup, fd});
    is_fine();
}

void Machine::get_fd(Ctx& ctx) {
    const void* const key = some_key();
    const int nulls = below(4);
    int fd = untouched;
    void* data = &fd;
    const int found = ASYNC_WAIT_CTX_get_fd(ctx.handle, key, (nulls & 1) != 0 ? nullptr : &fd,
                                            (nulls & 2) != 0 ? nullptr : &data);
    const Fd* const expected = ctx.newest(key);
    expect("ASYNC_WAIT_CTX_get_fd", found, expected != nullptr);
    const bool has_fd = expected != nullptr && (nulls & 1) == 0;
    const bool has_data = expected != nullptr && (nulls & 2) == 0;
    expect("the fd", fd, has_fd ? expected->fd : untouched);
    expect_same(
        "the data", static_cast<const char*>(data),
        has_data ? static_cast<const char*>(expected->data) : reinterpret_cast<const char*>(&fd));
    is_fine();
}

// Both lists, with any of the arrays left out.
void Machine::check_fds(const Ctx& ctx, int nulls) {
    int fds[most_fds + 1];
    std::fill(std::begin(fds), std::end(fds), untouched);
    const std::vector<int> nothing;
    std::size_t count = 9999;
    expect("ASYNC_WAIT_CTX_get_all_fds",
           ASYNC_WAIT_CTX_get_all_fds(ctx.handle, (nulls & 4) != 0 ? nullptr : fds, &count), 1);
    expect("how many fds", count, ctx.all().size());
    expect_fds("an fd", fds, (nulls & 4) != 0 ? nothing : ctx.all());

    int deleted[most_fds + 1];
    std::fill(std::begin(fds), std::end(fds), untouched);
    std::fill(std::begin(deleted), std::end(deleted), untouched);
    std::size_t deleted_count = 9999;
    count = 9999;
    expect("ASYNC_WAIT_CTX_get_changed_fds",
           ASYNC_WAIT_CTX_get_changed_fds(ctx.handle, (nulls & 1) != 0 ? nullptr : fds, &count,
                                          (nulls & 2) != 0 ? nullptr : deleted, &deleted_count),
           1);
    expect("how many added", count, ctx.added().size());
    expect("how many deleted", deleted_count, ctx.deleted().size());
    expect_fds("an added fd", fds, (nulls & 1) != 0 ? nothing : ctx.added());
    expect_fds("a deleted fd", deleted, (nulls & 2) != 0 ? nothing : ctx.deleted());
    is_fine();
}

// Not that of the cleanup which is going on: its fd goes when it has returned, found or not.
void Machine::clear_fd(Ctx& ctx) {
    const void* const key = some_key();
    const int cleared = ASYNC_WAIT_CTX_clear_fd(ctx.handle, key);
    expect("ASYNC_WAIT_CTX_clear_fd", cleared, ctx.clear(key));
    is_fine();
}

void Machine::callback(Ctx& ctx) {
    if (below(2) == 0) {
        ctx.callback = below(4) == 0 ? nullptr : Entries::callback(below(3));
        ctx.callback_arg = const_cast<void*>(some_key());
        expect("ASYNC_WAIT_CTX_set_callback",
               ASYNC_WAIT_CTX_set_callback(ctx.handle, ctx.callback, ctx.callback_arg), 1);
    }
    const int nulls = below(4);
    ASYNC_callback_fn function = nullptr;
    void* arg = &function;
    const int found = ASYNC_WAIT_CTX_get_callback(
        ctx.handle, (nulls & 1) != 0 ? nullptr : &function, (nulls & 2) != 0 ? nullptr : &arg);
    expect("ASYNC_WAIT_CTX_get_callback", found, ctx.callback != nullptr);
    expect_that("the callback", function == ((nulls & 1) != 0 ? nullptr : ctx.callback));
    if (found == 1 && (nulls & 2) == 0)
        expect_that("the callback's argument", arg == ctx.callback_arg);
    else
        expect_that("the callback's argument stays", arg == &function);
    is_fine();
}

void Machine::status(Ctx& ctx) {
    constexpr int statuses[] = {0, 1, 2, 3, 4, -1, 0x7fffffff};
    const int status = statuses[below(7)];
    const bool is_one = status >= 0 && status <= 3;
    expect("ASYNC_WAIT_CTX_set_status", ASYNC_WAIT_CTX_set_status(ctx.handle, status), is_one);
    if (is_one)
        ctx.status = status;
    has_failed(is_one ? 0 : ASYNCJOB_R_INVALID_STATUS);
    expect("ASYNC_WAIT_CTX_get_status", ASYNC_WAIT_CTX_get_status(ctx.handle), ctx.status);
    is_fine();
}

void Machine::init_thread() {
    Options options = self().options;
    constexpr std::size_t sizes[] = {0, 1, 2, 3, 5, 8, SIZE_MAX / 2, SIZE_MAX};
    options.max = sizes[below(8)];
    options.prepared = sizes[below(8)];
    trace("thread %d: ASYNC_init_thread(%zu, %zu)\n", turn_, options.max, options.prepared);
    int reason = ASYNC_R_INVALID_POOL_SIZE;
    if (options.max == 0 || options.prepared <= options.max)
        reason = model_.init(turn_, options);
    expect("ASYNC_init_thread", ASYNC_init_thread(options.max, options.prepared), reason == 0);
    has_failed(reason);
}

void Machine::init_with_options() {
    struct Larger {
        asyncjob_thread_options options;
        unsigned char behind[4096];
    };
    static Larger larger;
    larger = {};
    asyncjob_thread_options& given = larger.options;
    constexpr std::size_t jobs[] = {0, 1, 2, 4, SIZE_MAX};
    constexpr std::size_t marks[] = {0, 1, 2, 1024, SIZE_MAX};
    constexpr std::size_t stacks[] = {98304, 65536,   65537, 131072, 16383, ASYNCJOB_STACK_MAX + 1,
                                      0,     SIZE_MAX};
    expect("asyncjob_options_default", asyncjob_options_default(&given, sizeof given), 1);
    given.max_jobs = jobs[below(5)];
    given.prepared_jobs = jobs[below(5)];
    given.idle_high_water = marks[below(5)];
    const int stack = below(16);
    given.stack_size = stacks[stack < 8 ? 0 : stack - 8];
    const int guard = below(12);
    given.guard = guard < 8 ? ASYNCJOB_GUARD_EACH : guard < 11 ? ASYNCJOB_GUARD_NONE : 77;
    const int stamps = below(12);
    given.stamp_pauses = stamps < 11 ? stamps % 2 : -3;
    int reason = 0;
    switch (below(10)) {
        case 0:
            given.size = 0;
            reason = ASYNCJOB_R_INVALID_STRUCT_SIZE;
            break;
        case 1:
            given.size = sizeof given - 1;
            reason = ASYNCJOB_R_INVALID_STRUCT_SIZE;
            break;
        case 2:
            given.size = SIZE_MAX;
            reason = ASYNCJOB_R_INVALID_STRUCT_SIZE;
            break;
        case 3:
            given.size = sizeof given + 100;
            break;
        case 4:
            given.size = sizeof given + 100;
            larger.behind[99] = 1;
            reason = ASYNCJOB_R_INVALID_STRUCT_SIZE;
            break;
        default:
            break;
    }
    Options options;
    options.max = given.max_jobs;
    options.prepared = given.prepared_jobs;
    options.high_water = given.idle_high_water;
    options.stack = (given.stack_size + 8191) / 8192 * 8192;  // two pages
    options.guard = given.guard;
    options.stamps = given.stamp_pauses;
    if (reason != 0) {
    } else if (options.max != 0 && options.prepared > options.max) {
        reason = ASYNC_R_INVALID_POOL_SIZE;
    } else if (given.stack_size < ASYNCJOB_STACK_MIN || given.stack_size > ASYNCJOB_STACK_MAX) {
        reason = ASYNCJOB_R_INVALID_STACK_SIZE;
    } else if (guard == 11 || stamps == 11) {
        reason = ASYNCJOB_R_INVALID_OPTION;
    } else {
        reason = model_.init(turn_, options);
    }
    trace("thread %d: asyncjob_init_thread(%zu, %zu, %zu, %zu, %d, %d), reason %d\n", turn_,
          given.max_jobs, given.prepared_jobs, given.idle_high_water, given.stack_size, given.guard,
          given.stamp_pauses, reason);
    expect("asyncjob_init_thread", asyncjob_init_thread(&given), reason == 0);
    has_failed(reason);
}

void Machine::show_options() {
    asyncjob_thread_options shown{};
    const bool are_default = below(3) == 0;
    const auto ask = are_default ? asyncjob_options_default : asyncjob_get_thread_options;
    const Options expected = are_default ? Options{} : self().options;
    switch (below(6)) {
        case 0:
            expect("no options", ask(nullptr, sizeof shown), 0);
            return has_failed(ASYNCJOB_R_NULL_ARGUMENT);
        case 1:
            expect("options of size 0", ask(&shown, 0), 0);
            expect("the options stay", shown.size, 0);
            return has_failed(ASYNCJOB_R_INVALID_STRUCT_SIZE);
        case 2:
            expect("options of any size", ask(&shown, SIZE_MAX), 0);
            return has_failed(ASYNCJOB_R_INVALID_STRUCT_SIZE);
        default:
            break;
    }
    expect("options", ask(&shown, sizeof shown), 1);
    expect("the options' size", shown.size, sizeof shown);
    expect("max_jobs", shown.max_jobs, expected.max);
    expect("prepared_jobs", shown.prepared_jobs, expected.prepared);
    expect("idle_high_water", shown.idle_high_water, expected.high_water);
    expect("stack_size", shown.stack_size, expected.stack);
    expect("guard", shown.guard, expected.guard);
    expect("stamp_pauses", shown.stamp_pauses, expected.stamps);
    is_fine();
}

void Machine::cleanup_thread() {
    trace("thread %d: cleanup\n", turn_);
    ASYNC_cleanup_thread();
    model_.cleanup(turn_);
    is_fine();
}

void Machine::on_slot_free() {
    const int number = below(3) == 0 ? none : 1 + below(200);
    trace("thread %d: on_slot_free %d\n", turn_, number);
    expect("asyncjob_on_slot_free",
           asyncjob_on_slot_free(number == none ? nullptr : Entries::slot_free, as_arg(number)), 1);
    self().slot_free = number;
    self().awaits_room = false;
    is_fine();
}

void Machine::get_handle(int number) {
    if (number == none || name_of(number) == nullptr)
        return;
    Job& job = model_.jobs[number];
    asyncjob_handle handle{as_arg(1), 2};
    int reason = 0;
    if (job.phase == Phase::ended)
        reason = ASYNCJOB_R_JOB_NOT_PAUSED;
    else if (job.thread != turn_)
        reason = ASYNCJOB_R_FOREIGN_THREAD;
    trace("thread %d: handle of job %d\n", turn_, number);
    expect("asyncjob_get_handle", asyncjob_get_handle(job.name, &handle), reason == 0);
    has_failed(reason);
    if (reason != 0)
        return expect_that("the handle stays", handle.slot == as_arg(1) && handle.generation == 2);
    if (job.has_handle) {
        expect_that("the same handle",
                    handle.slot == job.handle.slot && handle.generation == job.handle.generation);
    }
    job.has_handle = true;
    job.handle = handle;
}

void Machine::wake() {
    const int number = below(4) != 0 ? some_paused_job() : some_job();
    if (number != none && !model_.jobs[number].has_handle)
        get_handle(number);
    if (number == none || !model_.jobs[number].has_handle) {
        expect("asyncjob_wake of no handle", asyncjob_wake({}), 0);
        return has_failed(ASYNCJOB_R_NULL_ARGUMENT);
    }
    const Job& job = model_.jobs[number];
    trace("thread %d: wake job %d\n", turn_, number);
    expect("asyncjob_wake", asyncjob_wake(job.handle), job.is_in_flight());
    if (!job.is_in_flight())
        return has_failed(ASYNCJOB_R_STALE_HANDLE, false);
    model_.wake(number);
    is_fine();
}

void Machine::take_ready() {
    // Where a job comes that was woken and runs, once it pauses, depends on what has been
    // collected.
    for (const int number : self().queue) {
        if (model_.jobs[number].phase != Phase::paused)
            return;
    }
    constexpr std::size_t room = Model::most_jobs + 1;
    ASYNC_JOB* taken[room] = {};
    const int kind = below(6);
    const std::size_t max = kind == 0 ? 0 : kind == 1 ? 1 : kind == 2 ? 2 : room - 1;
    if (kind == 3) {
        expect("asyncjob_take_ready into NULL", asyncjob_take_ready(nullptr, 1), 0);
        return has_failed(ASYNCJOB_R_NULL_ARGUMENT);
    }
    const std::size_t count = asyncjob_take_ready(max == 0 ? nullptr : taken, max);
    std::vector<int> expected;
    if (!self().in_hook)
        expected = model_.take_ready(turn_, max);
    trace("thread %d: take %zu ready, expect %zu, are %zu\n", turn_, max, expected.size(), count);
    expect("asyncjob_take_ready", count, expected.size());
    for (std::size_t at = 0; at < count; ++at)
        expect_same("a ready job", taken[at], name_of(expected[at]));
    expect_that("nothing behind the ready jobs", taken[count] == nullptr);
    is_fine();
}

void Machine::ready_fd() {
    const int fd = asyncjob_ready_fd();
    Thread& thread = self();
    expect_that("asyncjob_ready_fd", fd >= 0);
    expect("the same asyncjob_ready_fd", fd, thread.ready_fd == none ? fd : thread.ready_fd);
    thread.ready_fd = fd;
    thread.uses_jobs = true;
    is_fine();
    const bool is_ready = std::any_of(thread.queue.begin(), thread.queue.end(), [&](int number) {
        const Job& job = model_.jobs[number];
        return job.phase == Phase::paused && job.is_woken && !job.is_listed;
    });
    pollfd look{fd, POLLIN, 0};
    expect_that("poll", poll(&look, 1, 0) >= 0);
    if (is_ready)
        expect("the fd is readable", look.revents & POLLIN, POLLIN);
}

void Machine::find_handle() {
    const int first = below(handle_count + 1);
    const int count = below(handle_count + 2 - first);
    if (first == handle_count) {
        expect_that("asyncjob_find_handle at NULL", asyncjob_find_handle(nullptr, 8) == nullptr);
        return has_failed(ASYNCJOB_R_NULL_ARGUMENT);
    }
    ASYNC_JOB** expected = nullptr;
    for (int at = first; at < std::min(first + count, handle_count) && expected == nullptr; ++at) {
        for (const Job& job : model_.jobs) {
            if (job.thread == turn_ && job.phase == Phase::paused && job.handle_at == at &&
                handles_[at] == job.name)
                expected = &handles_[at];
        }
    }
    const std::size_t size =
        static_cast<std::size_t>(std::min(count, handle_count - first)) * sizeof(ASYNC_JOB*);
    expect_that("asyncjob_find_handle", asyncjob_find_handle(&handles_[first], size) == expected);
    is_fine();
}

namespace {

void expect_stats(const asyncjob_stats_t& is, const asyncjob_stats_t& expected) {
    expect("stats: started", is.started, expected.started);
    expect("stats: finished", is.finished, expected.finished);
    expect("stats: cancelled", is.cancelled, expected.cancelled);
    expect("stats: refused", is.refused, expected.refused);
    expect("stats: live", is.live, expected.live);
    expect("stats: paused", is.paused, expected.paused);
    expect("stats: idle", is.idle, expected.idle);
    expect("stats: left_behind", is.left_behind, expected.left_behind);
    expect("stats: threads", is.threads, expected.threads);
}

}  // namespace

void Machine::thread_stats() {
    asyncjob_stats_t stats{};
    const int with_stacks = below(4) == 0 ? ASYNCJOB_STATS_STACKS : 0;
    trace("thread %d: stats\n", turn_);
    switch (below(8)) {
        case 0:
            expect("asyncjob_stats of nobody", asyncjob_stats(&stats, sizeof stats, with_stacks),
                   0);
            return has_failed(ASYNCJOB_R_INVALID_OPTION);
        case 1:
            expect("asyncjob_stats into NULL",
                   asyncjob_stats(nullptr, sizeof stats, ASYNCJOB_STATS_THREAD), 0);
            return has_failed(ASYNCJOB_R_NULL_ARGUMENT);
        case 2:
            expect("asyncjob_stats of size 1",
                   asyncjob_stats(&stats, 1, ASYNCJOB_STATS_THREAD | with_stacks), 0);
            return has_failed(ASYNCJOB_R_INVALID_STRUCT_SIZE);
        default:
            break;
    }
    expect("asyncjob_stats",
           asyncjob_stats(&stats, sizeof stats, ASYNCJOB_STATS_THREAD | with_stacks), 1);
    expect_that("stats: stack_high_water", (stats.stack_high_water != 0) <= (with_stacks != 0));
    check_stats();
}

void Machine::check_stats() {
    asyncjob_stats_t stats{};
    expect("asyncjob_stats", asyncjob_stats(&stats, sizeof stats, ASYNCJOB_STATS_THREAD), 1);
    const asyncjob_stats_t expected = model_.stats(turn_);
    expect_stats(stats, expected);
    expect("stats: peak", stats.peak, expected.peak);
    is_fine();
}

void Machine::process_stats() {
    asyncjob_stats_t stats{};
    expect("asyncjob_stats", asyncjob_stats(&stats, sizeof stats, ASYNCJOB_STATS_PROCESS), 1);
    asyncjob_stats_t expected = before_;
    for (std::size_t thread = 0; thread < model_.threads.size(); ++thread) {
        const asyncjob_stats_t part = model_.stats(static_cast<int>(thread));
        expected.started += part.started;
        expected.finished += part.finished;
        expected.cancelled += part.cancelled;
        expected.refused += part.refused;
        expected.live += part.live;
        expected.paused += part.paused;
        expected.idle += part.idle;
        expected.threads += part.threads;
    }
    expected.left_behind += static_cast<std::uint64_t>(model_.left_behind);
    expect_stats(stats, expected);
    expect("asyncjob_left_behind", asyncjob_left_behind(), expected.left_behind);
    is_fine();
}

void Machine::make_key() {
    if (model_.keys.size() == 20)
        return;
    Key key;
    key.destructor = static_cast<Destructor>(below(3));
    void (*const destructors[])(void*) = {nullptr, Entries::note_destroyed, Entries::store_again};
    expect("asyncjob_key_create",
           asyncjob_key_create(&key.key, destructors[static_cast<int>(key.destructor)]), 1);
    expect_that("a key", key.key != 0);
    model_.keys.push_back(key);
    is_fine();
}

// A thread may be within an end that uses it: deleted outside of those alone.
void Machine::delete_key() {
    if (model_.keys.empty())
        return;
    Key& key = model_.keys[below(static_cast<int>(model_.keys.size()))];
    const bool is_there = key.key != 0;
    for (const Thread& thread : model_.threads) {
        if (thread.in_hook)
            return;
    }
    expect("asyncjob_key_delete", asyncjob_key_delete(key.key), is_there);
    has_failed(is_there ? 0 : ASYNCJOB_R_INVALID_KEY);
    if (!is_there)
        return;
    const asyncjob_key gone = std::exchange(key.key, 0);
    expect("asyncjob_key_delete again", asyncjob_key_delete(gone), 0);
    has_failed(ASYNCJOB_R_INVALID_KEY);
}

// The low byte of a value is its key's number.
void Machine::set_local() {
    const auto count = static_cast<int>(model_.keys.size());
    const int number = below(count + 1);
    const asyncjob_key key = number == count ? 0 : model_.keys[number].key;
    const std::uintptr_t value =
        below(4) == 0 ? 0 : static_cast<std::uintptr_t>(1 + below(256)) * 256 + number;
    if (self().in_hook && !self().expected_hooks.empty())
        return;
    const int current = self().current;
    int reason = 0;
    if (current == none)
        reason = ASYNCJOB_R_NOT_IN_JOB;
    else if (key == 0)
        reason = ASYNCJOB_R_INVALID_KEY;
    if (self().in_hook)
        return;  // what an end destroys is foretold before its hooks
    trace("thread %d: local %d\n", turn_, number);
    expect("asyncjob_set_local", asyncjob_set_local(key, reinterpret_cast<void*>(value)),
           reason == 0);
    has_failed(reason);
    if (reason != 0)
        return;
    model_.jobs[current].locals[number] = value;
    model_.jobs[current].owns_memory = true;
}

void Machine::get_local() {
    const auto count = static_cast<int>(model_.keys.size());
    const int number = below(count + 1);
    const asyncjob_key key = number == count ? 0 : model_.keys[number].key;
    std::uintptr_t expected = 0;
    if (self().current != none && key != 0) {
        const auto& locals = model_.jobs[self().current].locals;
        const auto found = locals.find(number);
        expected = found == locals.end() ? 0 : found->second;
    }
    expect("asyncjob_get_local", reinterpret_cast<std::uintptr_t>(asyncjob_get_local(key)),
           expected);
    is_fine();
}

void Machine::add_hooks() {
    const int kind = below(4);
    const int arg = below(3);
    const Hook hook{(kind & 1) != 0, (kind & 2) != 0, arg};
    int reason = 0;
    if (kind == 0)
        reason = ASYNCJOB_R_NULL_ARGUMENT;
    else if (self().current != none)
        reason = ASYNCJOB_R_IN_JOB;
    if (reason == 0 && self().hooks.size() == 4)
        return;
    trace("thread %d: add hooks %d %d, reason %d\n", turn_, kind, arg, reason);
    expect("asyncjob_add_switch_hooks",
           asyncjob_add_switch_hooks(hook.has_enter ? Entries::enter_hook : nullptr,
                                     hook.has_leave ? Entries::leave_hook : nullptr, as_arg(arg)),
           reason == 0);
    if (reason == 0) {
        self().uses_jobs = true;
        self().hooks.push_back(hook);
    }
    has_failed(reason);
}

void Machine::remove_hooks() {
    const int kind = below(4);
    const int arg = below(3);
    const Hook hook{(kind & 1) != 0, (kind & 2) != 0, arg};
    auto& hooks = self().hooks;
    const auto found = std::find(hooks.rbegin(), hooks.rend(), hook);
    int reason = 0;
    if (self().current != none)
        reason = ASYNCJOB_R_IN_JOB;
    else if (found == hooks.rend())
        reason = ASYNCJOB_R_NO_HOOKS;
    trace("thread %d: remove hooks %d %d, reason %d\n", turn_, kind, arg, reason);
    expect(
        "asyncjob_remove_switch_hooks",
        asyncjob_remove_switch_hooks(hook.has_enter ? Entries::enter_hook : nullptr,
                                     hook.has_leave ? Entries::leave_hook : nullptr, as_arg(arg)),
        reason == 0);
    if (reason == 0)
        hooks.erase(std::next(found).base());
    has_failed(reason);
}

void Machine::look() {
    const int current = self().current;
    ASYNC_JOB* const name = ASYNC_get_current_job();
    if (current == none)
        expect_that("no current job", name == nullptr);
    else if (name_of(current) != nullptr)
        expect_same("the current job", name, name_of(current));
    expect("ASYNC_is_capable", ASYNC_is_capable(), 1);
    expect("asyncjob_can_pause", asyncjob_can_pause(), model_.can_pause(turn_));
    expect("asyncjob_cancelled", asyncjob_cancelled(),
           current != none && model_.jobs[current].is_cancelled);
    expect_that("the context of no job", ASYNC_get_wait_ctx(nullptr) == nullptr);
    asyncjob_prefetch(nullptr);
    if (const int number = some_job(); number != none && name_of(number) != nullptr) {
        const Job& job = model_.jobs[number];
        const bool has_ctx =
            job.ctx != none && job.is_in_flight() && model_.ctxs[job.ctx].handle != nullptr;
        if (job.is_in_flight() || job.phase == Phase::ended)
            expect_that(
                "ASYNC_get_wait_ctx",
                ASYNC_get_wait_ctx(job.name) == (has_ctx ? model_.ctxs[job.ctx].handle : nullptr));
        asyncjob_prefetch(job.name);
    }
    expect("asyncjob_install_overflow_handler", asyncjob_install_overflow_handler(), 1);
    expect_that("asyncjob_reason_string", asyncjob_reason_string(below(256)) != nullptr);
    expect_that("asyncjob_reason_string", *asyncjob_reason_string(asyncjob_last_reason()) != '\0');
    is_fine();
}

void Machine::bad_start() {
    ASYNC_JOB* handle = nullptr;
    int result = untouched;
    switch (below(3)) {
        case 0:
            expect("a start without a handle",
                   ASYNC_start_job(nullptr, nullptr, &result, Entries::function_for(0), nullptr, 0),
                   ASYNC_ERR);
            break;
        case 1:
            expect("a start without a result",
                   ASYNC_start_job(&handle, nullptr, nullptr, Entries::function_for(0), nullptr, 0),
                   ASYNC_ERR);
            break;
        default:
            expect("a start without a function",
                   ASYNC_start_job(&handle, nullptr, &result, nullptr, place, 1), ASYNC_ERR);
            break;
    }
    expect_that("the handle stays", handle == nullptr);
    expect("the result stays", result, untouched);
    has_failed(ASYNCJOB_R_NULL_ARGUMENT);
}

void Machine::bad_ctx() {
    int fd = untouched;
    std::size_t count = 9999;
    switch (below(11)) {
        case 0:
            expect("no context", ASYNC_WAIT_CTX_set_wait_fd(nullptr, place, 1, nullptr, nullptr),
                   0);
            break;
        case 1:
            expect("no context", ASYNC_WAIT_CTX_get_fd(nullptr, place, &fd, nullptr), 0);
            break;
        case 2:
            expect("no context", ASYNC_WAIT_CTX_get_all_fds(nullptr, &fd, &count), 0);
            break;
        case 3:
            expect("no context", ASYNC_WAIT_CTX_get_changed_fds(nullptr, &fd, &count, &fd, &count),
                   0);
            break;
        case 4:
            expect("no context", ASYNC_WAIT_CTX_clear_fd(nullptr, place), 0);
            break;
        case 5:
            expect("no context", ASYNC_WAIT_CTX_set_callback(nullptr, nullptr, nullptr), 0);
            break;
        case 6:
            expect("no context", ASYNC_WAIT_CTX_get_callback(nullptr, nullptr, nullptr), 0);
            break;
        case 7:
            expect("no context", ASYNC_WAIT_CTX_set_status(nullptr, 2), 0);
            break;
        case 8:
            expect("no context", ASYNC_WAIT_CTX_get_status(nullptr), 0);
            break;
        case 9: {
            const Ctx* const ctx = some_ctx(true);
            if (ctx == nullptr)
                return;
            expect("no count", ASYNC_WAIT_CTX_get_all_fds(ctx->handle, &fd, nullptr), 0);
            break;
        }
        default: {
            const Ctx* const ctx = some_ctx(true);
            if (ctx == nullptr)
                return;
            const bool first = below(2) == 0;
            expect("no count",
                   ASYNC_WAIT_CTX_get_changed_fds(ctx->handle, nullptr, first ? nullptr : &count,
                                                  nullptr, first ? &count : nullptr),
                   0);
            break;
        }
    }
    expect("the fd stays", fd, untouched);
    expect("the count stays", count, 9999);
    has_failed(ASYNCJOB_R_NULL_ARGUMENT);
}

void Machine::bad_others() {
    ASYNC_JOB* handle = nullptr;
    int result = untouched;
    asyncjob_handle stays{as_arg(1), 2};
    switch (below(7)) {
        case 0:
            expect("a cancel of NULL", asyncjob_cancel(nullptr, &result), ASYNC_ERR);
            break;
        case 1:
            expect("a cancel of no job", asyncjob_cancel(&handle, &result), ASYNC_ERR);
            break;
        case 2:
            handle = model_.jobs.empty() ? nullptr : name_of(0);
            expect("a cancel without a result", asyncjob_cancel(&handle, nullptr), ASYNC_ERR);
            break;
        case 3:
            expect("a handle of NULL", asyncjob_get_handle(nullptr, &stays), 0);
            break;
        case 4:
            expect("a key into NULL", asyncjob_key_create(nullptr, nullptr), 0);
            break;
        case 5:
            expect("no options", asyncjob_init_thread(nullptr), 0);
            break;
        default:
            expect("no deadline", asyncjob_pause_until(nullptr), ASYNCJOB_PAUSE_FAILED);
            break;
    }
    expect("the result stays", result, untouched);
    expect_that("the handle stays", stays.slot == as_arg(1));
    has_failed(ASYNCJOB_R_NULL_ARGUMENT);
}

// Stacks have been made before the first input.
void Machine::mem_functions() {
    ASYNC_stack_alloc_fn allocate = nullptr;
    ASYNC_stack_free_fn release = nullptr;
    ASYNC_get_mem_functions(&allocate, &release);
    expect_that("the memory functions", allocate != nullptr && release != nullptr);
    ASYNC_get_mem_functions(nullptr, nullptr);
    is_fine();
    if (below(2) == 0) {
        expect("one memory function", ASYNC_set_mem_functions(allocate, nullptr), 0);
        return has_failed(ASYNCJOB_R_NULL_ARGUMENT);
    }
    expect("late memory functions", ASYNC_set_mem_functions(allocate, release), 0);
    has_failed(ASYNCJOB_R_STACKS_IN_USE);
}

// A line for each job that is running or paused. It must fit the stack of a job.
void Machine::dump() {
    std::size_t expected = 0;
    for (std::size_t thread = 0; thread < model_.threads.size(); ++thread)
        expected += model_.in_flight(static_cast<int>(thread));
    if (below(4) == 0) {
        expect("asyncjob_dump to no fd", asyncjob_dump(-1), expected == 0);
        return is_fine();
    }
    const int file = memfd_create("dump", MFD_CLOEXEC);
    expect_that("memfd_create", file >= 0);
    expect("asyncjob_dump", asyncjob_dump(file), 1);
    std::size_t lines = 0;
    char bytes[1024];
    bool begins = true;
    lseek(file, 0, SEEK_SET);
    for (ssize_t count = 0; (count = read(file, bytes, sizeof bytes)) > 0;) {
        for (const char* at = bytes; at < bytes + count; ++at) {
            lines += begins && *at == 'j' ? 1 : 0;
            begins = *at == '\n';
        }
    }
    close(file);
    expect("jobs in asyncjob_dump", lines, expected);
    is_fine();
}

void Machine::share_fp_mode() {
    const bool shares = below(2) == 0;
    expect("asyncjob_share_fp_mode", asyncjob_share_fp_mode(shares ? 1 : 0), self().shares_fp_mode);
    self().shares_fp_mode = shares;
    self().shared_fp_mode = self().shared_fp_mode || shares;
    // A hook's mode is that of the side whose stack it is on.
    if (!self().in_hook)
        std::fesetround(below(2) == 0 ? FE_UPWARD : FE_TONEAREST);
    is_fine();
}

}  // namespace fuzz
