// SPDX-License-Identifier: Apache-2.0
// The steps. Contract: steps.hpp.
#include "steps.hpp"

#include <fcntl.h>
#include <openssl/err.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <thread>

namespace faults {

namespace {

using test::kib;
using test::mib;
using test::pause_once;
using test::return_seven;

constexpr auto nothing = [] {};

ASYNC_WAIT_CTX* wait = nullptr;

// Starts or resumes. ASYNC_ERR leaves handle and result alone.
int go(ASYNC_JOB*& job, int& result, int (*function)(void*), const void* args = nullptr,
       std::size_t size = 0) {
    ASYNC_JOB* const before = job;
    result = 99;
    const int status =
        ASYNC_start_job(&job, wait, &result, function, const_cast<void*>(args), size);
    EXPECT_NE(status, ASYNC_NO_JOBS) << "it means the limit, nothing else";
    if (status == ASYNC_ERR) {
        EXPECT_EQ(job, before);
        EXPECT_EQ(result, 99);
    }
    return status;
}

bool start_with(std::size_t size) {
    static char args[100 * kib];
    ASYNC_JOB* job = nullptr;
    int result = 0;
    if (go(job, result, return_seven, size == 0 ? nullptr : args, size) != ASYNC_FINISH)
        return false;
    EXPECT_EQ(result, 7);
    return true;
}

bool start_and_pause() {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    if (go(job, result, pause_once) != ASYNC_PAUSE)
        return false;
    EXPECT_EQ(go(job, result, nullptr), ASYNC_FINISH);
    EXPECT_EQ(result, 7);
    return true;
}

// Runs `body` in a job that does not pause: its result, or 0 if it could not be started.
int in_job(int (*body)(void*), const void* args = nullptr, std::size_t size = 0) {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    return go(job, result, body, args, size) == ASYNC_FINISH ? result : 0;
}

bool start_nested() {
    return in_job([](void*) { return start_with(100) && start_and_pause() ? 1 : 0; }) == 1;
}

// In the starter's queue and the job's; whatever fails, none of them is lost.
bool pause_with_errors() {
    const auto raise = [](int reason) { ERR_raise_data(ERR_LIB_USER, reason, "text %d", reason); };
    ERR_clear_error();
    raise(1);
    raise(2);
    ASYNC_JOB* job = nullptr;
    int result = 0;
    const int status = go(job, result, [](void*) {
        ERR_raise_data(ERR_LIB_USER, 3, "text 3");
        return pause_once(nullptr);
    });
    if (status == ASYNC_PAUSE) {
        EXPECT_EQ(go(job, result, nullptr), ASYNC_FINISH);
        std::array<bool, 4> seen{};
        const char* text = nullptr;
        int flags = 0;
        while (const unsigned long code =
                   ERR_get_error_all(nullptr, nullptr, nullptr, &text, &flags)) {
            EXPECT_EQ(ERR_GET_LIB(code), ERR_LIB_USER);
            seen.at(static_cast<std::size_t>(ERR_GET_REASON(code))) = true;
            EXPECT_EQ(text, "text " + std::to_string(ERR_GET_REASON(code)));
        }
        EXPECT_TRUE(seen[1] && seen[2] && seen[3]) << "an error was lost";
        return true;
    }
    for (const int reason : {1, 2})
        EXPECT_EQ(ERR_GET_REASON(ERR_get_error()), reason);
    return false;
}

bool cancel_one() {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    if (go(job, result, [](void*) { return ASYNC_pause_job(); }) != ASYNC_PAUSE)
        return false;
    EXPECT_EQ(asyncjob_cancel(&job, &result), ASYNC_FINISH);
    EXPECT_EQ(result, 0);
    return true;
}

std::size_t told_of_cancel = 0;

int pause_and_tell(void*) {
    told_of_cancel += ASYNC_pause_job() == 0 ? 1 : 0;
    return 7;
}

// Some are paused when one cannot be had.
bool cancel_many() {
    constexpr std::size_t count = 70;
    std::array<ASYNC_JOB*, count> jobs{};
    std::array<int, count> results{};
    std::size_t paused = 0;
    while (paused < count && go(jobs[paused], results[paused], pause_and_tell) == ASYNC_PAUSE)
        ++paused;
    told_of_cancel = 0;
    EXPECT_EQ(asyncjob_cancel_all(), paused);
    EXPECT_EQ(told_of_cancel, paused);
    return paused == count;
}

void set_fds(int count) {
    for (int fd = 0; fd < count; ++fd)
        EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait, nullptr, fd, nullptr, nullptr), 1);
}

std::size_t number_of_fds() {
    std::size_t count = 0;
    EXPECT_EQ(ASYNC_WAIT_CTX_get_all_fds(wait, nullptr, &count), 1);
    return count;
}

// The table grows at the fifth fd, and then each time it is full.
template <int count>
bool set_one_more_fd() {
    const bool done = ASYNC_WAIT_CTX_set_wait_fd(wait, nullptr, count, nullptr, nullptr) == 1;
    EXPECT_EQ(number_of_fds(), static_cast<std::size_t>(count + (done ? 1 : 0)));
    return done;
}

void free_wait() {
    ASYNC_WAIT_CTX_free(wait);
    wait = nullptr;
}

// A job that waits for six fds, with a callback; each fd that was set is cleaned up once.
bool wait_for_fds() {
    static int cleaned = 0;
    static int set = 0;
    cleaned = set = 0;
    wait = ASYNC_WAIT_CTX_new();
    if (wait == nullptr)
        return false;
    EXPECT_EQ(ASYNC_WAIT_CTX_set_callback(
                  wait, [](void*) { return 1; }, nullptr),
              1);
    ASYNC_JOB* job = nullptr;
    int result = 0;
    const int status = go(job, result, [](void*) {
        ASYNC_WAIT_CTX* const own = ASYNC_get_wait_ctx(ASYNC_get_current_job());
        while (set < 6 && ASYNC_WAIT_CTX_set_wait_fd(
                              own, &cleaned, set, nullptr,
                              [](ASYNC_WAIT_CTX*, const void*, int, void*) { ++cleaned; }) == 1)
            ++set;
        EXPECT_EQ(ASYNC_WAIT_CTX_set_status(own, ASYNC_STATUS_OK), 1);
        return pause_once(nullptr);
    });
    if (status == ASYNC_PAUSE) {
        std::size_t added = 0;
        std::size_t deleted = 0;
        EXPECT_EQ(ASYNC_WAIT_CTX_get_changed_fds(wait, nullptr, &added, nullptr, &deleted), 1);
        EXPECT_EQ(added, static_cast<std::size_t>(set));
        EXPECT_EQ(go(job, result, nullptr), ASYNC_FINISH);
    }
    free_wait();
    EXPECT_EQ(cleaned, set);
    return status == ASYNC_PAUSE && set == 6;
}

bool get_a_handle() {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    if (go(job, result, pause_once) != ASYNC_PAUSE)
        return false;
    asyncjob_handle handle{};
    const bool done = asyncjob_get_handle(job, &handle) == 1;
    EXPECT_EQ(done, handle.slot != nullptr);
    EXPECT_EQ(go(job, result, nullptr), ASYNC_FINISH);
    EXPECT_TRUE(!done || asyncjob_wake(handle) == 0) << "the job has ended";
    return done;
}

// Woken through the thread's fd; more jobs than a chunk of slots has.
bool wake_jobs() {
    constexpr std::size_t count = 70;
    const int fd = asyncjob_ready_fd();
    if (fd < 0)
        return false;
    std::array<ASYNC_JOB*, count> jobs{};
    std::array<int, count> results{};
    std::size_t paused = 0;
    std::size_t woken = 0;
    for (; paused < count; ++paused) {
        if (go(jobs[paused], results[paused], pause_once) != ASYNC_PAUSE)
            break;
        asyncjob_handle handle{};
        if (asyncjob_get_handle(jobs[paused], &handle) == 1) {
            EXPECT_EQ(asyncjob_wake(handle), 1);
            ++woken;
        }
    }
    std::array<ASYNC_JOB*, count> ready{};
    EXPECT_EQ(asyncjob_take_ready(ready.data(), count), woken);
    for (std::size_t at = 0; at < paused; ++at)
        EXPECT_EQ(go(jobs[at], results[at], nullptr), ASYNC_FINISH);
    return woken == count;
}

// In a job, with a deadline that has not passed: cancelled then.
bool wait_for_deadlines() {
    constexpr std::size_t count = 40;
    static const timespec late{std::time(nullptr) + 1'000'000, 0};
    std::array<ASYNC_JOB*, count> jobs{};
    std::array<int, count> results{};
    std::size_t paused = 0;
    for (; paused < count; ++paused) {
        const int status =
            go(jobs[paused], results[paused], [](void*) { return asyncjob_pause_until(&late); });
        if (status != ASYNC_PAUSE) {
            if (status == ASYNC_FINISH) {
                EXPECT_EQ(results[paused], ASYNCJOB_PAUSE_FAILED);
            }
            break;
        }
    }
    for (std::size_t at = 0; at < paused; ++at) {
        EXPECT_EQ(asyncjob_cancel(&jobs[at], &results[at]), ASYNC_FINISH);
        EXPECT_EQ(results[at], ASYNCJOB_CANCELLED);
    }
    return paused == count;
}

std::array<asyncjob_key, 20> keys{};
int destroyed = 0;

void make_keys() {
    for (asyncjob_key& key : keys)
        EXPECT_EQ(asyncjob_key_create(&key, [](void*) { ++destroyed; }), 1);
}
void delete_keys() {
    for (const asyncjob_key key : keys)
        EXPECT_EQ(asyncjob_key_delete(key), 1);
}

// To store nothing takes no memory. What was stored is destroyed with the job.
template <std::size_t count>
bool store_values() {
    static std::size_t stored = 0;
    stored = 0;
    destroyed = 0;
    (void)in_job([](void*) {
        for (std::size_t at = 0; at < count; ++at) {
            EXPECT_EQ(asyncjob_set_local(keys[at], nullptr), 1);
            const bool done = asyncjob_set_local(keys[at], &keys) == 1;
            EXPECT_EQ(asyncjob_get_local(keys[at]), done ? &keys : nullptr);
            stored += done ? 1 : 0;
        }
        return 1;
    });
    EXPECT_EQ(destroyed, static_cast<int>(stored));
    return stored == count;
}

void on_switch(ASYNC_JOB*, void*) {}

bool add_hooks() {
    return asyncjob_add_switch_hooks(on_switch, on_switch, nullptr) == 1;
}
void remove_hooks() {
    EXPECT_EQ(asyncjob_remove_switch_hooks(on_switch, on_switch, nullptr), 1);
}

asyncjob_thread_options default_options() {
    asyncjob_thread_options options{};
    EXPECT_EQ(asyncjob_options_default(&options, sizeof options), 1);
    return options;
}

// Idle jobs are made anew with other stacks; what fails leaves the options as they were.
bool change_stacks() {
    asyncjob_thread_options options = default_options();
    options.stack_size = 256 * kib;
    options.prepared_jobs = 40;
    const bool done = asyncjob_init_thread(&options) == 1;
    asyncjob_thread_options now{};
    EXPECT_EQ(asyncjob_get_thread_options(&now, sizeof now), 1);
    EXPECT_EQ(now.stack_size, done ? 256 * kib : 96 * kib);
    if (done)
        ASYNC_cleanup_thread();
    return done;
}

bool start_without_guard() {
    asyncjob_thread_options options = default_options();
    options.guard = ASYNCJOB_GUARD_NONE;
    if (asyncjob_init_thread(&options) != 1)
        return false;
    const bool done = start_and_pause();
    ASYNC_cleanup_thread();
    return done;
}

// The stack goes back as the job ends.
bool finish_without_keeping() {
    asyncjob_thread_options options = default_options();
    options.idle_high_water = 0;
    if (asyncjob_init_thread(&options) != 1)
        return false;
    const bool done = start_and_pause();
    ASYNC_cleanup_thread();
    return done;
}

// The limit is still no error, and room is told of.
bool reach_the_limit() {
    static int calls = 0;
    calls = 0;
    if (asyncjob_on_slot_free([](void*) { ++calls; }, nullptr) != 1)
        return false;
    ASYNC_JOB* job = nullptr;
    ASYNC_JOB* other = nullptr;
    int result = 0;
    if (go(job, result, pause_once) != ASYNC_PAUSE)
        return false;
    EXPECT_EQ(ASYNC_start_job(&other, nullptr, &result, pause_once, nullptr, 0), ASYNC_NO_JOBS);
    EXPECT_EQ(go(job, result, nullptr), ASYNC_FINISH);
    EXPECT_EQ(calls, 1);
    return true;
}

// Neither fails: what cannot be found out is not told.
bool look_at_jobs() {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    if (go(job, result, pause_once) != ASYNC_PAUSE)
        return false;
    asyncjob_stats_t stats{};
    EXPECT_EQ(asyncjob_stats(&stats, sizeof stats, ASYNCJOB_STATS_PROCESS | ASYNCJOB_STATS_STACKS),
              1);
    EXPECT_EQ(stats.paused, 1U);
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    EXPECT_EQ(asyncjob_dump(null), 1);
    close(null);
    EXPECT_EQ(go(job, result, nullptr), ASYNC_FINISH);
    return true;
}

ASYNC_stack_alloc_fn own_allocate = nullptr;
ASYNC_stack_free_fn own_release = nullptr;

void wrap_memory_functions() {
    ASYNC_get_mem_functions(&own_allocate, &own_release);
    EXPECT_EQ(ASYNC_set_mem_functions([](std::size_t* size) { return own_allocate(size); },
                                      [](void* stack) { own_release(stack); }),
              1);
}

struct sigaction action_before {};

struct sigaction action_of_faults() {
    struct sigaction now {};
    EXPECT_EQ(sigaction(SIGSEGV, nullptr, &now), 0);
    return now;
}

// The handler and, where the thread uses jobs, its signal stack.
template <bool uses_jobs>
bool report_overflows() {
    if (asyncjob_install_overflow_handler() != 1)
        return false;
    EXPECT_NE(action_of_faults().sa_sigaction, action_before.sa_sigaction);
    stack_t stack{};
    EXPECT_EQ(sigaltstack(nullptr, &stack), 0);
    EXPECT_TRUE(!uses_jobs || (stack.ss_flags & SS_DISABLE) == 0);
    return true;
}

// Its reason is the thread's, which is handed on for the test to see.
bool use_on_a_thread() {
    static bool done = false;
    static int reason = 0;
    std::thread([] {
        done = start_and_pause() && wake_jobs();
        reason = asyncjob_last_reason();
        ERR_clear_error();
    }).join();
    if (!done) {
        EXPECT_NE(reason, 0);
        (void)asyncjob_wake({});  // so that the caller finds a reason of its own
    }
    return done;
}

}  // namespace

const std::vector<Step>& steps() {
    static const std::vector<Step> all = {
        {"Start", nothing, [] { return start_with(0); }, nothing},
        {"StartWithSmallArguments", nothing, [] { return start_with(100); }, nothing},
        {"StartWithLargeArguments", nothing, [] { return start_with(100 * kib); }, nothing,
         3 * mib},
        {"StartInAPoolWithALimit", [] { EXPECT_EQ(ASYNC_init_thread(3, 0), 1); },
         [] { return start_with(2000); }, nothing, 3 * mib},
        {"StartNested", nothing, start_nested, nothing, 3 * mib},
        {"Pause", nothing, start_and_pause, nothing},
        {"PauseWithErrors", nothing, pause_with_errors, nothing},
        {"Cancel", nothing, cancel_one, nothing},
        {"CancelAll", nothing, cancel_many, nothing, 20 * mib},
        // Where mappings cannot be changed, slabs cannot be retired: the next call uses them.
        {"InitThread", nothing, [] { return ASYNC_init_thread(0, 30) == 1; }, nothing, 16 * mib},
        {"InitThreadAgain", [] { EXPECT_EQ(ASYNC_init_thread(0, 5), 1); },
         [] { return ASYNC_init_thread(100, 60) == 1; }, nothing, 24 * mib},
        {"ChangeStacks", [] { EXPECT_EQ(ASYNC_init_thread(0, 5), 1); }, change_stacks, nothing,
         40 * mib},
        {"StartWithoutGuard", nothing, start_without_guard, nothing, 3 * mib},
        {"FinishWithoutKeeping", nothing, finish_without_keeping, nothing, 3 * mib},
        {"ReachTheLimit", [] { EXPECT_EQ(ASYNC_init_thread(1, 0), 1); }, reach_the_limit, nothing,
         3 * mib},
        {"CleanUpThread", [] { EXPECT_EQ(ASYNC_init_thread(0, 30), 1); },
         [] {
             ASYNC_cleanup_thread();
             return true;
         },
         nothing, 8 * mib},
        {"OwnMemoryFunctions", wrap_memory_functions, start_and_pause, nothing, 3 * mib},
        {"NewWaitContext", nothing, [] { return (wait = ASYNC_WAIT_CTX_new()) != nullptr; },
         free_wait},
        {"FifthFd", [] { wait = ASYNC_WAIT_CTX_new(), set_fds(4); }, set_one_more_fd<4>, free_wait},
        {"ThirtyThirdFd", [] { wait = ASYNC_WAIT_CTX_new(), set_fds(32); }, set_one_more_fd<32>,
         free_wait},
        {"WaitForFds", nothing, wait_for_fds, nothing, 3 * mib},
        {"GetHandle", nothing, get_a_handle, nothing, 3 * mib},
        {"ReadyFd", nothing, [] { return asyncjob_ready_fd() >= 0; }, nothing},
        {"Wake", nothing, wake_jobs, nothing, 20 * mib},
        {"PauseUntil", nothing, wait_for_deadlines, nothing, 20 * mib},
        {"StoreAValue", make_keys, store_values<1>, delete_keys, 3 * mib},
        {"StoreValues", make_keys, store_values<20>, delete_keys, 3 * mib},
        {"AddHooks", nothing, add_hooks, remove_hooks},
        {"AddMoreHooks", [] { EXPECT_TRUE(add_hooks()); }, add_hooks,
         [] { remove_hooks(), remove_hooks(); }},
        {"LookAtJobs", nothing, look_at_jobs, nothing, 3 * mib},
        {"UseOnAThread", nothing, use_on_a_thread, nothing, 20 * mib},
        {"ReportOverflows", [] { action_before = action_of_faults(); }, report_overflows<false>,
         nothing},
        {"ReportOverflowsOnAThreadWithJobs",
         [] {
             EXPECT_TRUE(start_with(0));
             action_before = action_of_faults();
         },
         report_overflows<true>, nothing},
    };
    // Where the environment wants a trace and reports of overflows: jobs are as good without.
    static const std::vector<Step> watched = {
        {"Start", nothing, [] { return start_with(0); }, nothing, 5 * mib},
        {"Pause", nothing, start_and_pause, nothing, 5 * mib},
    };
    return std::getenv("ASYNCJOB_TRACE") != nullptr ? watched : all;
}

}  // namespace faults
