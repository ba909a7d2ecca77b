// SPDX-License-Identifier: Apache-2.0
// Switch hooks: when they are called, in what order, in what state, and what they may do.
#include <cerrno>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

// What the hooks were called for, in order: a letter for the hook and a sign for the way.
thread_local std::string calls;

void note_enter(ASYNC_JOB* job, void* name) {
    EXPECT_EQ(ASYNC_get_current_job(), job);
    calls += std::string("+") + static_cast<const char*>(name);
    errno = ENOTTY;
}
void note_leave(ASYNC_JOB* job, void* name) {
    EXPECT_EQ(ASYNC_get_current_job(), job);
    calls += std::string("-") + static_cast<const char*>(name);
    errno = ENOTTY;
}

// Hooks for the length of a test.
class Hooks {
  public:
    using Function = void (*)(ASYNC_JOB*, void*);

    explicit Hooks(const char* name) : Hooks(note_enter, note_leave, const_cast<char*>(name)) {
        calls.clear();
    }
    Hooks(Function enter, Function leave, void* arg) : enter_(enter), leave_(leave), arg_(arg) {
        EXPECT_EQ(asyncjob_add_switch_hooks(enter_, leave_, arg_), 1);
    }
    ~Hooks() { EXPECT_EQ(asyncjob_remove_switch_hooks(enter_, leave_, arg_), 1); }
    Hooks(const Hooks&) = delete;
    Hooks& operator=(const Hooks&) = delete;

  private:
    Function enter_;
    Function leave_;
    void* arg_;
};

void expect_reason(int reason) {
    EXPECT_EQ(asyncjob_last_reason(), reason) << asyncjob_reason_string(asyncjob_last_reason());
}

TEST(Hooks, AreCalledInPairsAtEverySwitch) {
    const Hooks hooks("a");
    TestJob job([] {
        calls += "1";
        ASYNC_pause_job();
        calls += "2";
        ASYNC_pause_job();
        calls += "3";
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    calls += " ";
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    calls += " ";
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(calls, "+a1-a +a2-a +a3-a");

    calls.clear();
    ASYNC_JOB* handle = nullptr;
    int result = 0;
    EXPECT_EQ(ASYNC_start_job(&handle, nullptr, &result, return_seven, nullptr, 0), ASYNC_FINISH);
    EXPECT_EQ(calls, "+a-a");
    EXPECT_EQ(result, 7);
}

// S22, and found by fuzzing: the round ended behind the hooks, so that nobody was told of the fd.
TEST(Hooks, AnFdThatAHookAddsAtAResumeIsOfTheNewRound) {
    ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
    const Hooks hooks(
        [](ASYNC_JOB* job, void* arg) {
            EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(ASYNC_get_wait_ctx(job), arg, 5, nullptr, nullptr),
                      1);
        },
        nullptr, wait);
    TestJob job([] { ASYNC_pause_job(); }, wait);
    const auto added = [wait] {
        std::size_t fds = 99;
        std::size_t deleted = 99;
        EXPECT_EQ(ASYNC_WAIT_CTX_get_changed_fds(wait, nullptr, &fds, nullptr, &deleted), 1);
        EXPECT_EQ(deleted, 0U);
        return fds;
    };
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(added(), 1U);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(added(), 1U);
    std::size_t all = 0;
    EXPECT_EQ(ASYNC_WAIT_CTX_get_all_fds(wait, nullptr, &all), 1);
    EXPECT_EQ(all, 2U);
    ASYNC_WAIT_CTX_free(wait);
}

TEST(Hooks, NestLikeBrackets) {
    const Hooks first("a");
    const Hooks second("b");
    TestJob inner([] {
        calls += "i";
        ASYNC_pause_job();
        calls += "i";
    });
    TestJob outer([&] {
        calls += "(";
        inner.go();
        calls += "o";
        ASYNC_pause_job();
        inner.go();
        calls += ")";
    });
    EXPECT_EQ(outer.go(), ASYNC_PAUSE);
    EXPECT_EQ(calls, "+a+b(+a+bi-b-ao-b-a");
    calls.clear();
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
    EXPECT_EQ(calls, "+a+b+a+bi-b-a)-b-a");
}

TEST(Hooks, AreCalledForACancelToo) {
    const Hooks hooks("a");
    TestJob job([] {
        while (ASYNC_pause_job() == 1) {
        }
        calls += "x";
        ASYNC_pause_job();
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(asyncjob_cancel(&job.handle, &job.result), ASYNC_FINISH);
    EXPECT_EQ(calls, "+a-a+ax-a");
}

TEST(Hooks, AreNotCalledWhereNothingSwitches) {
    const Hooks hooks("a");
    EXPECT_EQ(ASYNC_pause_job(), 1);
    EXPECT_EQ(calls, "");
    TestJob job([] {
        ASYNC_block_pause();
        EXPECT_EQ(ASYNC_pause_job(), 1);
        ASYNC_unblock_pause();
    });
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(calls, "+a-a");

    calls.clear();
    EXPECT_EQ(ASYNC_init_thread(1, 0), 1);
    TestJob holder([] { ASYNC_pause_job(); });
    EXPECT_EQ(holder.go(), ASYNC_PAUSE);
    calls.clear();
    TestJob refused([] {});
    EXPECT_EQ(refused.go(), ASYNC_NO_JOBS);
    EXPECT_EQ(calls, "");
    EXPECT_EQ(holder.go(), ASYNC_FINISH);
    ASYNC_JOB* stale = holder.handle;
    EXPECT_EQ(stale, nullptr);
    EXPECT_EQ(calls, "+a-a");
    ASYNC_cleanup_thread();
}

TEST(Hooks, DoNotTouchErrnoOfEitherSide) {
    const Hooks hooks("a");
    TestJob job([] {
        EXPECT_EQ(errno, EDOM);
        errno = ERANGE;
        ASYNC_pause_job();
        EXPECT_EQ(errno, ERANGE);
        errno = EILSEQ;
    });
    errno = EDOM;
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(errno, EDOM);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(errno, EILSEQ);
}

TEST(Hooks, EnterOrLeaveMayBeMissing) {
    TestJob job([] { ASYNC_pause_job(); });
    {
        const Hooks enter(note_enter, nullptr, const_cast<char*>("e"));
        const Hooks leave(nullptr, note_leave, const_cast<char*>("l"));
        calls.clear();
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(calls, "+e-l");
    }
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(calls, "+e-l");  // removed
}

TEST(Hooks, OfTheSameArgumentsTheLastIsRemoved) {
    const Hooks first("a");
    {
        const Hooks between("b");
        const Hooks again("a");
        TestJob job([] {});
        job.go();
        EXPECT_EQ(calls, "+a+b+a-a-b-a");
    }
    calls.clear();
    const Hooks after("c");
    TestJob job([] {});
    job.go();
    EXPECT_EQ(calls, "+a+c-c-a");
}

TEST(Hooks, TheOthersStayInTheirOrderWhenOneIsRemoved) {
    static char a[] = "a";
    static char b[] = "b";
    static char c[] = "c";
    const auto add = [](char* name) {
        EXPECT_EQ(asyncjob_add_switch_hooks(note_enter, note_leave, name), 1);
    };
    const auto remove = [](char* name) {
        EXPECT_EQ(asyncjob_remove_switch_hooks(note_enter, note_leave, name), 1);
    };
    const auto expect_calls = [](const char* expected) {
        calls.clear();
        TestJob job([] {});
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(calls, expected);
    };
    add(a);
    add(b);
    add(c);
    remove(b);
    expect_calls("+a+c-c-a");
    add(a);
    expect_calls("+a+c+a-a-c-a");
    remove(a);  // the last
    expect_calls("+a+c-c-a");
    remove(a);
    expect_calls("+c-c");
    remove(c);
    expect_calls("");
}

// A state that a library has for the thread, such as an interpreter's current context, and hooks
// that give each job its own. They keep it in the job's values.
thread_local const char* context = "thread";
asyncjob_key own_key = 0;
asyncjob_key others_key = 0;

void enter_context(ASYNC_JOB* job, void* arg) {
    EXPECT_EQ(arg, nullptr);
    EXPECT_NE(ASYNC_get_wait_ctx(job), nullptr);
    EXPECT_EQ(asyncjob_set_local(others_key, context), 1);
    const auto* const own = static_cast<const char*>(asyncjob_get_local(own_key));
    context = own != nullptr ? own : "new";
}
void leave_context(ASYNC_JOB* job, void*) {
    EXPECT_NE(ASYNC_get_wait_ctx(job), nullptr);
    EXPECT_EQ(asyncjob_set_local(own_key, context), 1);
    context = static_cast<const char*>(asyncjob_get_local(others_key));
}

std::vector<std::string> ended;
void note_ended(void* value) {
    ended.emplace_back(static_cast<const char*>(value));
}

TEST(Hooks, MayKeepTheirStateInTheJob) {
    ASSERT_EQ(asyncjob_key_create(&own_key, note_ended), 1);
    ASSERT_EQ(asyncjob_key_create(&others_key, nullptr), 1);
    ended.clear();
    ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
    {
        const Hooks hooks(enter_context, leave_context, nullptr);
        TestJob inner(
            [] {
                EXPECT_STREQ(context, "new");
                context = "inner";
                ASYNC_pause_job();
                EXPECT_STREQ(context, "inner");
            },
            wait);
        TestJob outer(
            [&] {
                context = "outer";
                inner.go();
                EXPECT_STREQ(context, "outer");
                ASYNC_pause_job();
                EXPECT_STREQ(context, "outer");
                context = "outer again";
            },
            wait);
        EXPECT_EQ(outer.go(), ASYNC_PAUSE);
        EXPECT_STREQ(context, "thread");
        EXPECT_EQ(inner.go(), ASYNC_FINISH);
        EXPECT_STREQ(context, "thread");
        EXPECT_EQ(outer.go(), ASYNC_FINISH);
        EXPECT_STREQ(context, "thread");
        // What the last leave stored was destroyed, and is not the next job's.
        EXPECT_EQ(ended, (std::vector<std::string>{"inner", "outer again"}));
        TestJob next([] { EXPECT_STREQ(context, "new"); }, wait);
        EXPECT_EQ(next.go(), ASYNC_FINISH);
    }
    ASYNC_WAIT_CTX_free(wait);
    EXPECT_EQ(asyncjob_key_delete(own_key), 1);
    EXPECT_EQ(asyncjob_key_delete(others_key), 1);
}

// What hooks must not do.
struct Attempts {
    ASYNC_JOB* paused = nullptr;
    int times = 0;
};

void attempt(ASYNC_JOB*, void* arg) {
    auto& attempts = *static_cast<Attempts*>(arg);
    ++attempts.times;
    EXPECT_EQ(ASYNC_pause_job(), asyncjob_cancelled() == 1 ? 0 : 1);
    ASYNC_JOB* handle = nullptr;
    int result = 0;
    EXPECT_EQ(ASYNC_start_job(&handle, nullptr, &result, return_seven, nullptr, 0), ASYNC_ERR);
    expect_reason(ASYNCJOB_R_IN_HOOK);
    int number = 1;
    EXPECT_EQ(ASYNC_start_job(&handle, nullptr, &result, return_seven, &number, sizeof(number)),
              ASYNC_ERR);
    expect_reason(ASYNCJOB_R_IN_HOOK);
    handle = attempts.paused;
    EXPECT_EQ(ASYNC_start_job(&handle, nullptr, &result, nullptr, nullptr, 0), ASYNC_ERR);
    expect_reason(ASYNCJOB_R_IN_HOOK);
    EXPECT_EQ(asyncjob_cancel(&handle, &result), ASYNC_ERR);
    expect_reason(ASYNCJOB_R_IN_HOOK);
    EXPECT_EQ(asyncjob_cancel_all(), 0U);
    EXPECT_EQ(handle, attempts.paused);
    EXPECT_EQ(asyncjob_add_switch_hooks(note_enter, nullptr, nullptr), 0);
    expect_reason(ASYNCJOB_R_IN_JOB);
    EXPECT_EQ(asyncjob_remove_switch_hooks(attempt, attempt, arg), 0);
    expect_reason(ASYNCJOB_R_IN_JOB);
    EXPECT_EQ(ASYNC_init_thread(0, 2), 1);
    ASYNC_cleanup_thread();
}

TEST(Hooks, CannotStartResumeCancelOrPauseJobs) {
    Attempts attempts;
    TestJob paused([] { ASYNC_pause_job(); });
    EXPECT_EQ(paused.go(), ASYNC_PAUSE);
    attempts.paused = paused.handle;
    {
        const Hooks hooks(attempt, attempt, &attempts);
        expect_jobs_work();
        TestJob cancelled([] {
            ASYNC_pause_job();
            return 3;
        });
        EXPECT_EQ(cancelled.go(), ASYNC_PAUSE);
        EXPECT_EQ(asyncjob_cancel(&cancelled.handle, &cancelled.result), ASYNC_FINISH);
        EXPECT_EQ(cancelled.result, 3);
        EXPECT_EQ(attempts.times, 8);
    }
    EXPECT_EQ(paused.go(), ASYNC_FINISH);
    expect_jobs_work();
}

TEST(Hooks, AreAddedAndRemovedOutsideJobs) {
    const Hooks hooks("a");
    TestJob job([] {
        EXPECT_EQ(asyncjob_add_switch_hooks(note_enter, note_leave, nullptr), 0);
        expect_reason(ASYNCJOB_R_IN_JOB);
        EXPECT_EQ(asyncjob_remove_switch_hooks(note_enter, note_leave, const_cast<char*>("a")), 0);
        expect_reason(ASYNCJOB_R_IN_JOB);
    });
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(calls, "+a-a");
}

TEST(Hooks, WrongArgumentsAreRefused) {
    EXPECT_EQ(asyncjob_add_switch_hooks(nullptr, nullptr, nullptr), 0);
    expect_reason(ASYNCJOB_R_NULL_ARGUMENT);
    const Hooks hooks("a");
    EXPECT_EQ(asyncjob_remove_switch_hooks(note_enter, note_leave, nullptr), 0);
    expect_reason(ASYNCJOB_R_NO_HOOKS);
    EXPECT_EQ(asyncjob_remove_switch_hooks(note_enter, nullptr, const_cast<char*>("a")), 0);
    expect_reason(ASYNCJOB_R_NO_HOOKS);
    EXPECT_EQ(asyncjob_remove_switch_hooks(nullptr, note_leave, const_cast<char*>("a")), 0);
    expect_reason(ASYNCJOB_R_NO_HOOKS);
}

TEST(Hooks, AreTheThreadsThatAddedThem) {
    const Hooks hooks("a");
    std::thread([] {
        calls.clear();
        expect_jobs_work();
        EXPECT_EQ(calls, "");
        EXPECT_EQ(asyncjob_remove_switch_hooks(note_enter, note_leave, const_cast<char*>("a")), 0);
        // Those of a thread that ends are freed: the leak checkers look.
        EXPECT_EQ(asyncjob_add_switch_hooks(note_enter, note_leave, const_cast<char*>("b")), 1);
        expect_jobs_work();
        EXPECT_EQ(calls, "+b-b+b-b");
    }).join();
    EXPECT_EQ(calls, "");
}

TEST(Hooks, LeaveASideWithAnExceptionAlone) {
    const Hooks hooks("a");
    TestJob job([] {
        try {
            throw std::runtime_error("in the job");
        } catch (const std::runtime_error&) {
            ASYNC_pause_job();
            EXPECT_NE(std::current_exception(), nullptr);
        }
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(std::current_exception(), nullptr);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(calls, "+a-a+a-a");
}

// In the hooks of a nested job, entering or leaving, the outer job is one that waits for it.
TEST(Hooks, OfANestedJobSeeTheOuterOneAsWaiting) {
    struct Seen {
        ASYNC_JOB* outer = nullptr;
        int enters = 0;
        int leaves = 0;

        void look(ASYNC_JOB* job) const {
            asyncjob_handle handle{};
            EXPECT_EQ(asyncjob_get_handle(job, &handle), 1);
            EXPECT_EQ(asyncjob_get_handle(outer, &handle), 1);
        }
    } seen;
    const auto on_enter = [](ASYNC_JOB* job, void* arg) {
        Seen& the = *static_cast<Seen*>(arg);
        if (the.outer == nullptr || job == the.outer)
            return;
        the.look(job);
        if (the.enters++ == 0) {  // its start
            asyncjob_stats_t stats{};
            EXPECT_EQ(asyncjob_stats(&stats, sizeof(stats), ASYNCJOB_STATS_THREAD), 1);
            EXPECT_EQ(stats.live, 2U);
        }
    };
    const auto on_leave = [](ASYNC_JOB* job, void* arg) {
        Seen& the = *static_cast<Seen*>(arg);
        if (the.outer == nullptr || job == the.outer)
            return;
        the.look(job);
        ++the.leaves;
    };
    const Hooks hooks(on_enter, on_leave, &seen);
    TestJob inner([] { ASYNC_pause_job(); });
    TestJob outer([&] {
        seen.outer = ASYNC_get_current_job();
        EXPECT_EQ(inner.go(), ASYNC_PAUSE);
        EXPECT_EQ(inner.go(), ASYNC_FINISH);
        seen.outer = nullptr;
    });
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
    EXPECT_EQ(seen.enters, 2);
    EXPECT_EQ(seen.leaves, 2);
}

// A hook's job is neither running nor paused as take_ready() means it: it is listed afterwards.
TEST(Hooks, ListNoReadyJobs) {
    struct Take {
        asyncjob_handle handle{};
        ASYNC_JOB* ready[4] = {};
        std::size_t listed = 0;
    } take;
    const auto wake_and_take = [](ASYNC_JOB* /*job*/, void* arg) {
        Take& the = *static_cast<Take*>(arg);
        if (the.handle.slot == nullptr)
            return;
        EXPECT_EQ(asyncjob_wake(the.handle), 1);
        the.listed += asyncjob_take_ready(the.ready, 4);
    };
    const Hooks hooks(wake_and_take, wake_and_take, &take);
    TestJob job([&] {
        EXPECT_EQ(asyncjob_get_handle(ASYNC_get_current_job(), &take.handle), 1);
        ASYNC_pause_job();
        ASYNC_pause_job();
    });
    for (int pauses = 0; pauses < 2; ++pauses) {
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(take.listed, 0U);
        EXPECT_EQ(asyncjob_take_ready(take.ready, 4), 1U);
        EXPECT_EQ(asyncjob_take_ready(take.ready, 4), 0U);
    }
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(take.listed, 0U);
}

}  // namespace
}  // namespace test
