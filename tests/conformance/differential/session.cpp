// SPDX-License-Identifier: Apache-2.0
// Random sequences of calls. Contract: session.hpp.
//
// Everything below a job's function runs on 32 KiB in libcrypto: no recursion, no large
// buffers.
#include "session.hpp"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cfenv>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <set>
#include <thread>
#include <vector>

namespace differential {

namespace {

constexpr int untouched = -7777;

[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...) {
    char buffer[256];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(buffer, sizeof(buffer), format, arguments);
    va_end(arguments);
    return buffer;
}

// Addresses to pass as keys, data and callback arguments; -1 is NULL.
constexpr int places = 6;
char place[places];

char* place_at(int number) {
    return number < 0 ? nullptr : &place[number];
}

// What to show of an address that should be one of them.
std::string place_name(const void* address) {
    if (address == nullptr)
        return "NULL";
    for (int number = 0; number < places; ++number) {
        if (address == &place[number])
            return std::to_string(number);
    }
    return "unknown";
}

template <int number>
int callback(void*) {
    return number;
}

constexpr ASYNC_callback_fn callbacks[] = {callback<0>, callback<1>, callback<2>};

std::string callback_name(ASYNC_callback_fn function) {
    if (function == nullptr)
        return "NULL";
    for (int number = 0; number < 3; ++number) {
        if (function == callbacks[number])
            return std::to_string(number);
    }
    return "unknown";
}

struct WaitFd {
    int key;
    OSSL_ASYNC_FD fd;
    bool has_cleanup;
    bool added = true;
    bool deleted = false;
};

struct WaitCtx {
    ASYNC_WAIT_CTX* handle;
    std::vector<WaitFd> fds{};  // newest first; with the deleted ones until the round ends
    int users = 0;              // jobs in flight
    bool has_callback = false;
    bool in_free = false;
    bool had_cleanup = false;
    bool head_is_cleaned_up = false;

    WaitFd* newest(int key) {
        for (WaitFd& fd : fds) {
            if (fd.key == key && !fd.deleted)
                return &fd;
        }
        return nullptr;
    }

    void clear(int key) {
        WaitFd* const fd = newest(key);
        if (fd == nullptr)
            return;
        if (fd->added)
            fds.erase(fds.begin() + (fd - fds.data()));
        else
            fd->deleted = true;
    }

    void end_round() {
        std::erase_if(fds, [](const WaitFd& fd) { return fd.deleted; });
        for (WaitFd& fd : fds)
            fd.added = false;
    }
};

struct Job {
    int number;
    int ctx;  // -1: none
    int args_size;
    bool args_null;
    int steps;
    int result;
    ASYNC_JOB* self = nullptr;  // as the function saw it
    ASYNC_JOB* handle = nullptr;
    int blocked = 0;
    int rounding_mode = FE_TONEAREST;
    bool began = false;
    bool paused = false;
};

// What each implementation's pool does, as far as a start may get a job. They differ in
// what a second ASYNC_init_thread() does, and nowhere else.
struct Pool {
    bool open = false;
    std::size_t max = 0;
    std::size_t total = 0;
    std::size_t idle = 0;

    [[nodiscard]] bool has_job() const { return idle > 0 || max == 0 || total < max; }

    void started() {
        open = true;
        if (idle > 0)
            --idle;
        else
            ++total;
    }
};

struct LibcryptosPool : Pool {
    void init(std::size_t new_max, std::size_t init) { *this = {{true, new_max, init, init}}; }

    void finished() { ++idle; }
};

struct AsyncjobsPool : Pool {
    void init(std::size_t new_max, std::size_t init) {
        open = true;
        while (idle < init && (new_max == 0 || total < new_max)) {
            ++idle;
            ++total;
        }
        max = new_max;
        if (max != 0 && total > max) {
            const std::size_t freed = std::min(idle, total - max);
            idle -= freed;
            total -= freed;
        }
    }

    void finished() {
        if (max == 0 || total <= max)
            ++idle;
        else
            --total;
    }
};

class Session {
  public:
    Session(const Side& side, const Plan& plan, Trace& trace)
        : side_(side),
          api_(side.api),
          sequence_(plan.sequence),
          random_(plan.bytes != nullptr ? Random(plan.bytes, plan.size) : Random(plan.seed)),
          provoke_(plan.provoke),
          trace_(trace) {
        constexpr int most[] = {2, 5, 20, 100};
        most_in_flight_ = most[random_.below(4)];
        steps_ = 40 + random_.below(160);
    }

    void run();

    [[nodiscard]] Place place() const {
        const std::vector<Event>& events = trace_.events();
        return {side_.name, sequence_, events.empty() ? "nothing" : events.back().what.c_str()};
    }

  private:
    // The driver.
    void drive();
    void drive_step();
    void start();
    void resume(Job& job);
    void returned(Job& job, const std::string& what, int status, ASYNC_JOB* handle, int result);
    void drain();
    void complete_elsewhere();
    void init_first();

    // In a job.
    static int run_function(void* args);
    int function(void* args);
    void job_step(Job& job);
    void pause(Job& job);
    void pause_in_catch(Job& job);
    [[nodiscard]] bool may_pause(const Job& job) const { return job.ctx >= 0 || job.blocked > 0; }

    // In a cleanup.
    static void run_cleanup(ASYNC_WAIT_CTX* handle, const void* key, OSSL_ASYNC_FD fd, void* data);
    void cleanup(ASYNC_WAIT_CTX* handle, const void* key, OSSL_ASYNC_FD fd, void* data);
    void look_in_cleanup(WaitCtx& ctx, int number);

    // Anywhere.
    void any_call();
    void ctx_call(int number);
    void block();
    void unblock();
    void current_job();
    void wait_ctx_of_a_job();
    void lib_ctx();
    void new_ctx();
    void free_ctx(int number);
    void set_wait_fd(int number);
    void get_fd(int number);
    void get_all_fds(int number);
    void get_changed_fds(int number);
    void clear_fd(int number, int key);
    void set_callback(int number);
    void get_callback(int number);
    void set_status(int number);
    void get_status(int number);
    void init_thread(std::size_t max, std::size_t init);
    void look_at_own_state();
    void change_own_state();

    std::string who() const {
        return running_ < 0 ? std::string("driver") : text("job %d", running_);
    }

    // Adds an event, with what went on the error queue.
    void add(Op op, const std::string& what, std::string result = "", int value = 0,
             Hints hints = {}) {
        const char* separator = ", errors ";
        while (const unsigned long error = api_.get_error()) {
            result += text("%s%d:%d", separator, ERR_GET_LIB(error), ERR_GET_REASON(error));
            separator = " ";
        }
        if (pending_left_over_block_) {
            hints.left_over_block = true;
            pending_left_over_block_ = false;
        }
        trace_.add({op, who() + ": " + what, std::move(result), value, hints});
    }

    void add_call(const std::string& what, int result) {
        add(Op::call, what, std::to_string(result), result);
    }

    bool provoking(Provoke what) { return provoke_ == what && random_.percent(8); }

    // A context that calls may be made on, or -1.
    int some_ctx() {
        std::vector<int> numbers;
        for (const auto& [number, ctx] : ctxs_) {
            if (!ctx.in_free)
                numbers.push_back(number);
        }
        return numbers.empty() ? -1 : numbers[random_.below(static_cast<int>(numbers.size()))];
    }

    std::string ctx_name(const ASYNC_WAIT_CTX* handle) const {
        if (handle == nullptr)
            return "NULL";
        for (const auto& [number, ctx] : ctxs_) {
            if (ctx.handle == handle)
                return text("ctx %d", number);
        }
        return "unknown";
    }

    Job* some_paused_job() {
        if (jobs_.empty())
            return nullptr;
        auto at = jobs_.begin();
        std::advance(at, random_.below(static_cast<int>(jobs_.size())));
        return at->second.handle != nullptr ? &at->second : nullptr;
    }

    const Side& side_;
    const Api& api_;
    const std::uint64_t sequence_;
    Random random_;
    const Provoke provoke_;
    Trace& trace_;
    int steps_;
    int most_in_flight_;

    std::map<int, WaitCtx> ctxs_;
    std::map<int, Job> jobs_;  // in flight
    int next_ctx_ = 0;
    int next_job_ = 0;
    int next_fd_ = 100;
    int running_ = -1;
    bool change_thread_ = false;

    LibcryptosPool libcryptos_pool_;
    AsyncjobsPool asyncjobs_pool_;
    bool second_init_ = false;

    int thread_blocked_ = 0;  // libcrypto's count
    bool pending_left_over_block_ = false;
    std::set<OSSL_ASYNC_FD> added_in_cleanup_;
    int driver_rounding_mode_ = FE_TONEAREST;
    bool signal_blocked_ = false;
    bool catching_ = false;
};

// What functions and cleanups run for.
thread_local Session* session = nullptr;

std::string fd_list(const std::vector<OSSL_ASYNC_FD>& fds, std::size_t count) {
    std::string list;
    for (std::size_t at = 0; at < fds.size(); ++at) {
        if (at < count)
            list += text(" %d", fds[at]);
        else if (fds[at] != untouched)
            list += " and more than that";
    }
    return list;
}

void Session::run() {
    for (bool first = true; first || (change_thread_ && !trace_.over()); first = false) {
        std::thread([this] {
            std::vector<char> handler_stack(64 * 1024);
            const stack_t stack{handler_stack.data(), 0, handler_stack.size()};
            sigaltstack(&stack, nullptr);
            session = this;
            drive();
            session = nullptr;
            const stack_t none{nullptr, SS_DISABLE, 0};
            sigaltstack(&none, nullptr);
        }).join();
        // The next thread begins as each does.
        libcryptos_pool_ = {};
        asyncjobs_pool_ = {};
        second_init_ = false;
        thread_blocked_ = 0;
        driver_rounding_mode_ = FE_TONEAREST;
        signal_blocked_ = false;
    }
    running_ = -1;
    while (!ctxs_.empty())
        free_ctx(ctxs_.begin()->first);
}

void Session::drive() {
    if (change_thread_)
        add(Op::note, "goes on in a new thread");
    change_thread_ = false;
    // Jobs that are made before they run show what libcrypto keeps of their making.
    if (provoke_ == Provoke::signal_mask || provoke_ == Provoke::rounding_mode)
        init_thread(8, 8);
    while (steps_ > 0 && !trace_.over() && !change_thread_ && !random_.is_spent()) {
        --steps_;
        drive_step();
    }
    drain();
}

void Session::drain() {
    // Jobs that others leave blocked do not pause; the rest end within their steps.
    while (!jobs_.empty()) {
        Job& job = jobs_.begin()->second;
        resume(job);
    }
}

void Session::drive_step() {
    const int in_flight = static_cast<int>(jobs_.size());
    const int dice = random_.below(100);
    if (dice < 22 && in_flight < most_in_flight_) {
        start();
    } else if (dice < 52) {
        if (Job* const job = some_paused_job())
            resume(*job);
    } else if (dice < 53) {
        add(Op::pause, "ASYNC_pause_job()");
        const int result = api_.pause_job();
        add(Op::pause_returned, "ASYNC_pause_job()", std::to_string(result), result);
    } else if (dice < 54) {
        block();
    } else if (dice < 55) {
        unblock();
    } else if (dice < 57) {
        complete_elsewhere();
    } else if (dice < 58) {
        if (jobs_.empty()) {
            api_.cleanup_thread();
            add(Op::call, "ASYNC_cleanup_thread()");
            libcryptos_pool_ = {};
            asyncjobs_pool_ = {};
            second_init_ = false;
            thread_blocked_ = 0;
        }
    } else if (dice < 60) {
        init_first();
    } else if (dice < 61) {
        change_thread_ = jobs_.empty();
    } else {
        any_call();
    }
}

void Session::init_first() {
    const int max = random_.below(6);
    const int init = max == 0 ? 0 : random_.below(max + 1);
    if (libcryptos_pool_.open) {
        if (!provoking(Provoke::second_init) && provoke_ != Provoke::second_init)
            return;
        second_init_ = true;
    }
    init_thread(static_cast<std::size_t>(max), static_cast<std::size_t>(init));
}

void Session::init_thread(std::size_t max, std::size_t init) {
    Hints hints;
    hints.unlimited_init = max == 0 && init > 0;
    const int result = api_.init_thread(max, init);
    if (result == 1) {
        libcryptos_pool_.init(max, init);
        asyncjobs_pool_.init(max, init);
    }
    add(Op::init_thread, text("ASYNC_init_thread(%zu, %zu)", max, init), std::to_string(result),
        result, hints);
}

unsigned char pattern(int number, int at) {
    return static_cast<unsigned char>(number * 31 + at * 7 + 1);
}

void Session::start() {
    Job job{};
    job.number = next_job_++;
    job.ctx = random_.percent(10) ? -1 : some_ctx();
    job.steps = random_.below(14);
    job.result = static_cast<int>(random_.next());
    constexpr int sizes[] = {1, 8, 24, 100, 1024, 1025, 4000, 50000};
    job.args_null = random_.percent(20);
    job.args_size = sizes[random_.below(8)];
    if (provoking(Provoke::empty_args)) {
        job.args_null = false;
        job.args_size = 0;
    }
    std::vector<unsigned char> args(static_cast<std::size_t>(job.args_size) + 1);
    for (int at = 0; at < job.args_size; ++at)
        args[at] = pattern(job.number, at);
    const std::string what = text("ASYNC_start_job(new job %d, %s, %s, %d)", job.number,
                                  job.ctx < 0 ? "NULL" : text("ctx %d", job.ctx).c_str(),
                                  job.args_null ? "NULL" : "args", job.args_size);
    add(Op::start, what);

    job.rounding_mode = driver_rounding_mode_;
    Job& in_flight = jobs_[job.number] = job;
    ASYNC_WAIT_CTX* ctx = nullptr;
    if (job.ctx >= 0) {
        ctx = ctxs_.at(job.ctx).handle;
        ++ctxs_.at(job.ctx).users;
    }
    ASYNC_JOB* handle = nullptr;
    int result = untouched;
    running_ = job.number;
    errno = 1000;
    const int status =
        api_.start_job(&handle, ctx, &result, run_function, job.args_null ? nullptr : args.data(),
                       static_cast<std::size_t>(job.args_size));
    const int error_number = errno;
    running_ = -1;
    std::fill(args.begin(), args.end(), static_cast<unsigned char>(0xee));
    returned(in_flight, what, status, handle, result);
    if (provoke_ == Provoke::error_number && status == ASYNC_PAUSE) {
        Hints hints;
        hints.own_state = error_number == 1000;
        add(Op::error_number, "errno", std::to_string(error_number), error_number, hints);
    }
}

void Session::resume(Job& job) {
    const std::string what = text("ASYNC_start_job(job %d)", job.number);
    add(Op::start, what);
    if (job.ctx >= 0)
        ctxs_.at(job.ctx).end_round();
    // What a resume must ignore.
    const int junk_ctx = some_ctx();
    ASYNC_WAIT_CTX* const junk = junk_ctx < 0 ? nullptr : ctxs_.at(junk_ctx).handle;
    const bool with_junk = random_.percent(50);
    int (*const junk_function)(void*) = [](void*) { return -1; };
    char junk_args[8] = {};
    ASYNC_JOB* handle = job.handle;
    int result = untouched;
    running_ = job.number;
    errno = 1000;
    const int status = api_.start_job(
        &handle, with_junk ? junk : nullptr, &result, with_junk ? junk_function : nullptr,
        with_junk ? junk_args : nullptr, with_junk ? sizeof(junk_args) : 0);
    const int error_number = errno;
    running_ = -1;
    returned(job, what, status, handle, result);
    if (provoke_ == Provoke::error_number && status == ASYNC_PAUSE) {
        Hints hints;
        hints.own_state = error_number == 1000;
        add(Op::error_number, "errno", std::to_string(error_number), error_number, hints);
    }
}

void Session::returned(Job& job, const std::string& what, int status, ASYNC_JOB* handle,
                       int result) {
    const char* handle_is = "another";
    if (handle == nullptr)
        handle_is = "NULL";
    else if (handle == job.self)
        handle_is = "the job's";
    Hints hints;
    hints.second_init = second_init_;
    hints.libcrypto_has_job = libcryptos_pool_.has_job();
    hints.asyncjob_has_job = asyncjobs_pool_.has_job();
    if (status == ASYNC_PAUSE) {
        job.handle = handle;
        job.paused = true;
    } else {
        // Without a pause, the end of a job is that of a call.
        if (job.began && !job.paused)
            driver_rounding_mode_ = job.rounding_mode;
        if (job.ctx >= 0)
            --ctxs_.at(job.ctx).users;
        if (job.began) {
            libcryptos_pool_.finished();
            asyncjobs_pool_.finished();
        }
        jobs_.erase(job.number);
    }
    add(Op::start_returned, what, text("%d, handle %s, result %d", status, handle_is, result),
        status, hints);
    look_at_own_state();
}

void Session::complete_elsewhere() {
    const int number = some_ctx();
    if (number < 0)
        return;
    // The event is added here: the calls are what is on the other thread.
    const int status = random_.below(4);
    ASYNC_WAIT_CTX* const handle = ctxs_.at(number).handle;
    int results[3] = {};
    ASYNC_callback_fn function = nullptr;
    void* arg = nullptr;
    std::thread([&] {
        results[0] = api_.get_status(handle);
        results[1] = api_.get_callback(handle, &function, &arg);
        results[2] = api_.set_status(handle, status);
    }).join();
    add(Op::call,
        text("completion thread: get_status, get_callback, set_status(%d) on ctx %d", status,
             number),
        text("%d, %d callback %s arg %s, %d", results[0], results[1],
             callback_name(function).c_str(), place_name(arg).c_str(), results[2]));
}

int Session::run_function(void* args) {
    Session& self = *session;
    return self.function(args);
}

int Session::function(void* args) {
    Job& job = jobs_.at(running_);
    Hints hints;
    hints.empty_args = !job.args_null && job.args_size == 0;
    hints.second_init = second_init_;
    hints.libcrypto_has_job = libcryptos_pool_.has_job();
    hints.asyncjob_has_job = asyncjobs_pool_.has_job();
    job.began = true;
    job.self = api_.get_current_job();
    libcryptos_pool_.started();
    asyncjobs_pool_.started();

    const auto intact = [&] {
        const auto* const bytes = static_cast<unsigned char*>(args);
        for (int at = 0; bytes != nullptr && at < job.args_size; ++at) {
            if (bytes[at] != pattern(job.number, at))
                return false;
        }
        return true;
    };
    add(Op::function_began, "function",
        text("args %s%s, current job %s", args == nullptr ? "NULL" : "given",
             intact() ? "" : ", not the caller's", job.self == nullptr ? "NULL" : "there"),
        args != nullptr ? 1 : 0, hints);
    if (provoke_ == Provoke::alignment && args != nullptr) {
        const auto off = static_cast<int>(reinterpret_cast<std::uintptr_t>(args) % 64);
        hints.own_state = off == 0;
        add(Op::alignment, "args modulo 64", std::to_string(off), off, hints);
    }
    look_at_own_state();
    while (job.steps > 0 && !trace_.over() && !random_.is_spent()) {
        --job.steps;
        job_step(job);
    }
    if (provoke_ != Provoke::left_over_block || random_.percent(70)) {
        while (job.blocked > 0)
            unblock();
    }
    add(Op::function_ends, "function", text("%d%s", job.result, intact() ? "" : ", args changed"));
    return job.result;
}

void Session::job_step(Job& job) {
    const int dice = random_.below(100);
    if (dice < 40) {
        if (!may_pause(job))
            return;
        if (provoke_ == Provoke::exception && !catching_ && job.blocked == 0)
            pause_in_catch(job);
        else
            pause(job);
    } else if (dice < 46) {
        block();
    } else if (dice < 54) {
        unblock();
    } else {
        any_call();
    }
}

void Session::pause(Job& job) {
    add(Op::pause, "ASYNC_pause_job()");
    pending_left_over_block_ = job.blocked == 0 && thread_blocked_ > 0;
    errno = job.number;
    const int result = api_.pause_job();
    const int error_number = errno;
    add(Op::pause_returned, "ASYNC_pause_job()", std::to_string(result), result);
    if (provoke_ == Provoke::error_number) {
        Hints hints;
        hints.own_state = error_number == job.number;
        add(Op::error_number, "errno", std::to_string(error_number), error_number, hints);
    }
    look_at_own_state();
}

void Session::pause_in_catch(Job& job) {
    catching_ = true;
    try {
        throw job.number;
    } catch (int) {
        pause(job);
    }
    catching_ = false;
}

void Session::run_cleanup(ASYNC_WAIT_CTX* handle, const void* key, OSSL_ASYNC_FD fd, void* data) {
    session->cleanup(handle, key, fd, data);
}

void Session::cleanup(ASYNC_WAIT_CTX* handle, const void* key, OSSL_ASYNC_FD fd, void* data) {
    const std::string name = ctx_name(handle);
    Hints hints;
    hints.added_in_cleanup = added_in_cleanup_.contains(fd);
    add(Op::cleanup, "cleanup of " + name,
        text("key %s, fd %d, data %s", place_name(key).c_str(), fd, place_name(data).c_str()), fd,
        hints);
    const auto found = std::find_if(ctxs_.begin(), ctxs_.end(),
                                    [&](const auto& ctx) { return ctx.second.handle == handle; });
    if (found == ctxs_.end() || trace_.over())
        return;
    const int number = found->first;
    WaitCtx& ctx = found->second;
    // libcrypto frees each entry behind its cleanup and leaves the list's head where it was,
    // so the list may be looked at only while the head is the entry that is cleaned up.
    ctx.head_is_cleaned_up =
        !ctx.had_cleanup && !ctx.fds.empty() && ctx.fds[0].has_cleanup && !ctx.fds[0].deleted;
    ctx.had_cleanup = true;
    for (int calls = random_.below(4); calls > 0; --calls)
        look_in_cleanup(ctx, number);
    if (running_ >= 0 && random_.percent(15)) {
        Job& job = jobs_.at(running_);
        if (may_pause(job))
            pause(job);
    }
    if (provoke_ == Provoke::add_in_cleanup && added_in_cleanup_.size() < 20 &&
        random_.percent(50)) {
        added_in_cleanup_.insert(next_fd_);
        set_wait_fd(number);
    }
    add(Op::cleanup_ends, "cleanup of " + name);
}

void Session::look_in_cleanup(WaitCtx& ctx, int number) {
    switch (random_.below(ctx.head_is_cleaned_up ? 8 : 4)) {
        case 0:
            return set_status(number);
        case 1:
            return get_status(number);
        case 2:
            return set_callback(number);
        case 3:
            return get_callback(number);
        case 4:
            return get_fd(number);
        case 5:
            return get_all_fds(number);
        case 6:
            return get_changed_fds(number);
        default: {
            const int key = random_.below(places) - 1;
            // Clearing a new fd frees its entry: not under its own cleanup.
            const WaitFd* const fd = ctx.newest(key);
            if (fd == &ctx.fds[0] && fd->added)
                return;
            return clear_fd(number, key);
        }
    }
}

void Session::any_call() {
    if (provoking(Provoke::unlimited_init))
        return init_thread(0, static_cast<std::size_t>(1 + random_.below(4)));
    change_own_state();
    const int dice = random_.below(100);
    if (dice < 4) {
        current_job();
    } else if (dice < 8) {
        wait_ctx_of_a_job();
    } else if (dice < 10) {
        add_call("ASYNC_is_capable()", api_.is_capable());
    } else if (dice < 20) {
        lib_ctx();
    } else if (dice < 22) {
        const auto max = static_cast<std::size_t>(1 + random_.below(4));
        init_thread(max, max + 1 + static_cast<std::size_t>(random_.below(3)));
    } else if (dice < 24) {
        api_.ctx_free(nullptr);
        add(Op::call, "ASYNC_WAIT_CTX_free(NULL)");
    } else if (dice < 30) {
        new_ctx();
    } else if (dice < 34) {
        const int number = some_ctx();
        if (number >= 0 && ctxs_.at(number).users == 0)
            free_ctx(number);
    } else {
        const int number = some_ctx();
        if (number < 0)
            new_ctx();
        else
            ctx_call(number);
    }
}

void Session::ctx_call(int number) {
    const int dice = random_.below(100);
    if (dice < 28)
        set_wait_fd(number);
    else if (dice < 40)
        get_fd(number);
    else if (dice < 52)
        get_all_fds(number);
    else if (dice < 66)
        get_changed_fds(number);
    else if (dice < 82)
        clear_fd(number, random_.below(places) - 1);
    else if (dice < 86)
        set_callback(number);
    else if (dice < 90)
        get_callback(number);
    else if (dice < 95)
        set_status(number);
    else
        get_status(number);
}

void Session::block() {
    api_.block_pause();
    if (running_ >= 0) {
        ++jobs_.at(running_).blocked;
        ++thread_blocked_;
    }
    add(Op::call, "ASYNC_block_pause()");
}

void Session::unblock() {
    api_.unblock_pause();
    if (running_ >= 0) {
        int& blocked = jobs_.at(running_).blocked;
        blocked = std::max(0, blocked - 1);
        thread_blocked_ = std::max(0, thread_blocked_ - 1);
    }
    add(Op::call, "ASYNC_unblock_pause()");
}

void Session::current_job() {
    const ASYNC_JOB* const job = api_.get_current_job();
    const char* is = "another";
    if (job == nullptr)
        is = "NULL";
    else if (running_ >= 0 && job == jobs_.at(running_).self)
        is = "the caller's";
    add(Op::call, "ASYNC_get_current_job()", is);
}

void Session::wait_ctx_of_a_job() {
    const Job* job = some_paused_job();
    if (running_ >= 0 && random_.percent(70))
        job = &jobs_.at(running_);
    if (job == nullptr || job->self == nullptr)
        return;
    add(Op::call, text("ASYNC_get_wait_ctx(job %d)", job->number),
        ctx_name(api_.get_wait_ctx(job->self)));
}

void Session::lib_ctx() {
    const int set = random_.percent(50) ? random_.below(4) : -1;
    const OSSL_LIB_CTX* const before =
        api_.set0_default_lib_ctx(set < 0 ? nullptr : side_.lib_ctxs[set]);
    int was = 0;
    while (was < 4 && side_.lib_ctxs[was] != before)
        ++was;
    add_call(text("OSSL_LIB_CTX_set0_default(%s)", set < 0 ? "NULL" : std::to_string(set).c_str()),
             was);
}

void Session::new_ctx() {
    constexpr std::size_t most = 6;
    if (ctxs_.size() >= most)
        return;
    const int number = next_ctx_++;
    ctxs_[number].handle = api_.ctx_new();
    add(Op::call, text("ctx %d = ASYNC_WAIT_CTX_new()", number),
        ctxs_[number].handle == nullptr ? "NULL" : "made");
}

void Session::free_ctx(int number) {
    const std::string what = text("ASYNC_WAIT_CTX_free(ctx %d)", number);
    add(Op::free, what);
    ctxs_.at(number).in_free = true;
    Session* const outer = session;
    session = this;
    api_.ctx_free(ctxs_.at(number).handle);
    session = outer;
    ctxs_.erase(number);
    add(Op::free_returned, what);
}

void Session::set_wait_fd(int number) {
    constexpr std::size_t most = 30;
    WaitCtx& ctx = ctxs_.at(number);
    if (ctx.fds.size() >= most)
        return;
    const int key = random_.below(places) - 1;
    const int data = random_.below(places + 1) - 1;
    const bool with_cleanup = random_.percent(70);
    const OSSL_ASYNC_FD fd = next_fd_++;
    const int result = api_.set_wait_fd(ctx.handle, place_at(key), fd, place_at(data),
                                        with_cleanup ? run_cleanup : nullptr);
    ctx.fds.insert(ctx.fds.begin(), WaitFd{key, fd, with_cleanup});
    add_call(text("ASYNC_WAIT_CTX_set_wait_fd(ctx %d, key %s, fd %d, data %s, %s)", number,
                  place_name(place_at(key)).c_str(), fd, place_name(place_at(data)).c_str(),
                  with_cleanup ? "cleanup" : "NULL"),
             result);
}

void Session::get_fd(int number) {
    WaitCtx& ctx = ctxs_.at(number);
    const int key = random_.below(places) - 1;
    OSSL_ASYNC_FD fd = untouched;
    char unset = 0;
    void* data = &unset;
    const bool into_null = ctx.newest(key) == nullptr && random_.percent(20);
    const int result = api_.get_fd(ctx.handle, place_at(key), into_null ? nullptr : &fd,
                                   into_null ? nullptr : &data);
    add(Op::call,
        text("ASYNC_WAIT_CTX_get_fd(ctx %d, key %s%s)", number, place_name(place_at(key)).c_str(),
             into_null ? ", NULL, NULL" : ""),
        text("%d, fd %d, data %s", result, fd,
             data == &unset ? "untouched" : place_name(data).c_str()));
}

void Session::get_all_fds(int number) {
    WaitCtx& ctx = ctxs_.at(number);
    std::vector<OSSL_ASYNC_FD> fds(ctx.fds.size() + 4, untouched);
    const bool count_only = random_.percent(25);
    std::size_t count = 9999;
    const int result = api_.get_all_fds(ctx.handle, count_only ? nullptr : fds.data(), &count);
    add(Op::call,
        text("ASYNC_WAIT_CTX_get_all_fds(ctx %d, %s)", number, count_only ? "NULL" : "fds"),
        text("%d, %zu fds", result, count) + fd_list(fds, count_only ? 0 : count));
}

void Session::get_changed_fds(int number) {
    WaitCtx& ctx = ctxs_.at(number);
    std::vector<OSSL_ASYNC_FD> added(ctx.fds.size() + 4, untouched);
    std::vector<OSSL_ASYNC_FD> deleted(ctx.fds.size() + 4, untouched);
    const bool want_added = random_.percent(80);
    const bool want_deleted = random_.percent(80);
    std::size_t added_count = 9999;
    std::size_t deleted_count = 9999;
    const int result =
        api_.get_changed_fds(ctx.handle, want_added ? added.data() : nullptr, &added_count,
                             want_deleted ? deleted.data() : nullptr, &deleted_count);
    add(Op::call,
        text("ASYNC_WAIT_CTX_get_changed_fds(ctx %d, %s, %s)", number,
             want_added ? "added" : "NULL", want_deleted ? "deleted" : "NULL"),
        text("%d, %zu added", result, added_count) + fd_list(added, want_added ? added_count : 0) +
            text(", %zu deleted", deleted_count) +
            fd_list(deleted, want_deleted ? deleted_count : 0));
}

void Session::clear_fd(int number, int key) {
    WaitCtx& ctx = ctxs_.at(number);
    const int result = api_.clear_fd(ctx.handle, place_at(key));
    ctx.clear(key);
    add_call(
        text("ASYNC_WAIT_CTX_clear_fd(ctx %d, key %s)", number, place_name(place_at(key)).c_str()),
        result);
}

void Session::set_callback(int number) {
    WaitCtx& ctx = ctxs_.at(number);
    const int which = random_.below(4) - 1;
    const int arg = random_.below(places + 1) - 1;
    ASYNC_callback_fn const function = which < 0 ? nullptr : callbacks[which];
    Hints hints;
    hints.null_ctx = provoke_ == Provoke::null_ctx && random_.percent(50);
    const int result =
        api_.set_callback(hints.null_ctx ? nullptr : ctx.handle, function, place_at(arg));
    if (!hints.null_ctx)
        ctx.has_callback = function != nullptr;
    add(Op::set_callback,
        text("ASYNC_WAIT_CTX_set_callback(%s, callback %s, arg %s)",
             hints.null_ctx ? "NULL" : text("ctx %d", number).c_str(),
             callback_name(function).c_str(), place_name(place_at(arg)).c_str()),
        std::to_string(result), result, hints);
}

void Session::get_callback(int number) {
    WaitCtx& ctx = ctxs_.at(number);
    ASYNC_callback_fn function = callback<99>;
    char unset = 0;
    void* arg = &unset;
    const bool into_null = !ctx.has_callback && random_.percent(20);
    const int result =
        api_.get_callback(ctx.handle, into_null ? nullptr : &function, into_null ? nullptr : &arg);
    add(Op::call,
        text("ASYNC_WAIT_CTX_get_callback(ctx %d%s)", number, into_null ? ", NULL, NULL" : ""),
        text("%d, callback %s, arg %s", result,
             function == callback<99> ? "untouched" : callback_name(function).c_str(),
             arg == &unset ? "untouched" : place_name(arg).c_str()));
}

void Session::set_status(int number) {
    int status = random_.below(4);
    Hints hints;
    hints.invalid_status = provoke_ == Provoke::invalid_status && random_.percent(30);
    if (hints.invalid_status) {
        constexpr int invalid[] = {-1, 4, 1000, -2147483647 - 1};
        status = invalid[random_.below(4)];
    }
    const int result = api_.set_status(ctxs_.at(number).handle, status);
    add(Op::set_status, text("ASYNC_WAIT_CTX_set_status(ctx %d, %d)", number, status),
        std::to_string(result), result, hints);
}

void Session::get_status(int number) {
    add_call(text("ASYNC_WAIT_CTX_get_status(ctx %d)", number),
             api_.get_status(ctxs_.at(number).handle));
}

// What a side of a switch finds of what it set itself (S16).
void Session::look_at_own_state() {
    Hints hints;
    if (provoke_ == Provoke::rounding_mode) {
        const int mode = std::fegetround();
        hints.own_state =
            mode == (running_ < 0 ? driver_rounding_mode_ : jobs_.at(running_).rounding_mode);
        add(Op::rounding_mode, "fegetround()", std::to_string(mode), mode, hints);
    } else if (provoke_ == Provoke::signal_mask) {
        sigset_t mask;
        pthread_sigmask(SIG_BLOCK, nullptr, &mask);
        const int blocked = sigismember(&mask, SIGUSR2);
        hints.own_state = blocked == (signal_blocked_ ? 1 : 0);
        add(Op::signal_mask, "SIGUSR2 is blocked", std::to_string(blocked), blocked, hints);
    } else if (provoke_ == Provoke::exception && running_ < 0) {
        const bool seen = std::current_exception() != nullptr;
        hints.own_state = !seen;
        add(Op::exception, "std::current_exception()", seen ? "one" : "none", seen ? 1 : 0, hints);
        // libcrypto goes no further: more of them in flight would end in each other's place.
        if (seen)
            trace_.end();
    }
}

void Session::change_own_state() {
    if (provoke_ == Provoke::rounding_mode && random_.percent(20)) {
        constexpr int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
        const int mode = modes[random_.below(4)];
        std::fesetround(mode);
        (running_ < 0 ? driver_rounding_mode_ : jobs_.at(running_).rounding_mode) = mode;
        add(Op::note, text("fesetround(%d)", mode));
    } else if (provoke_ == Provoke::signal_mask && random_.percent(20)) {
        signal_blocked_ = random_.percent(50);
        sigset_t mask;
        sigemptyset(&mask);
        sigaddset(&mask, SIGUSR2);
        pthread_sigmask(signal_blocked_ ? SIG_BLOCK : SIG_UNBLOCK, &mask, nullptr);
        add(Op::note, signal_blocked_ ? "blocks SIGUSR2" : "unblocks SIGUSR2");
    }
}

}  // namespace

bool make_lib_ctxs(Side& side) {
    side.lib_ctxs[0] = side.api.global_lib_ctx();
    for (int at = 1; at < 4; ++at)
        side.lib_ctxs[at] = side.api.lib_ctx_new();
    return side.lib_ctxs[0] != nullptr && side.lib_ctxs[3] != nullptr;
}

void run_session(const Side& side, const Plan& plan, Trace& trace) {
    Session(side, plan, trace).run();
}

Place this_place() {
    return session != nullptr ? session->place() : Place{"the program", 0, "nothing"};
}

}  // namespace differential
