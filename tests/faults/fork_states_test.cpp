// SPDX-License-Identifier: Apache-2.0
// fork() at every state that a thread and its jobs can be in (S14): outside and inside jobs, nested
// ones too, in callbacks, hooks and destructors, with jobs paused, woken and waiting for deadlines,
// and while another thread switches and wakes. Each child goes on with its copies of the forking
// thread's jobs to their end, or cancels them, or leaves them; uses jobs anew, on a thread of its
// own too, and exits by exit(), with all destructors. The parent goes on as if nothing had been.
#include <sys/wait.h>

#include <ctime>
#include <functional>
#include <thread>
#include <vector>

#include "../ready.hpp"

namespace {

using namespace test;

// What the child does with the jobs that it has got.
enum class Then { finishes, cancels, leaves };

void use_jobs_anew() {
    expect_jobs_work();
    std::thread([] {
        expect_jobs_work();
        EXPECT_EQ(ASYNC_init_thread(0, 3), 1);
        EXPECT_GE(asyncjob_ready_fd(), 0);
    }).join();
    asyncjob_stats_t stats{};
    EXPECT_EQ(asyncjob_stats(&stats, sizeof stats, ASYNCJOB_STATS_PROCESS), 1);
}

// Forks; `body` runs in the child, which exits from where it is.
void fork_here(const std::function<void()>& body) {
    std::fflush(nullptr);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        alarm(60);
        body();
        std::exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "the child died: " << strsignal(WTERMSIG(status));
    EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : 0, 0);
}

class ForkAt : public testing::TestWithParam<Then> {
  protected:
    // Some jobs, each at its second of three pauses: one with wait fds and locals, one woken, one
    // with a deadline, one that has another paused in it.
    void SetUp() override {
        for (int& one : steps_)
            one = 0;
        wait_ = ASYNC_WAIT_CTX_new();
        ASSERT_EQ(asyncjob_key_create(&key_, [](void* value) { ++*static_cast<int*>(value); }), 1);
        for (std::size_t at = 0; at < count; ++at) {
            jobs_.push_back(std::make_unique<TestJob>([this, at] { return run(at); }, wait_));
            ASSERT_EQ(jobs_.back()->go(), ASYNC_PAUSE);
            ASSERT_EQ(jobs_.back()->go(), ASYNC_PAUSE);
        }
        ASSERT_GE(asyncjob_ready_fd(), 0);
        ASSERT_EQ(asyncjob_wake(handle_of(jobs_[1]->handle)), 1);
    }
    void TearDown() override {
        finish();
        EXPECT_EQ(destroyed_, 1);
        EXPECT_TRUE(take_ready().empty());
        ASYNC_WAIT_CTX_free(wait_);
        EXPECT_EQ(asyncjob_key_delete(key_), 1);
        expect_jobs_work();
    }

    void finish() {
        for (const auto& job : jobs_) {
            EXPECT_EQ(job->go(), ASYNC_PAUSE);
            EXPECT_EQ(job->go(), ASYNC_FINISH);
            EXPECT_EQ(job->result, 3);
        }
    }

    // In the child, as its parameter tells. `running`: in a job, so that not all can end.
    void go_on(bool running) {
        if (GetParam() == Then::finishes) {
            finish();
            EXPECT_EQ(destroyed_, 1);
        } else if (GetParam() == Then::cancels) {
            if (running) {
                for (const auto& job : jobs_)
                    EXPECT_EQ(asyncjob_cancel(&job->handle, &job->result), ASYNC_FINISH);
            } else {
                EXPECT_GE(asyncjob_cancel_all(), count);  // the nested one by itself, or not
            }
            EXPECT_EQ(destroyed_, 1);
        }
        use_jobs_anew();
    }

    int run(std::size_t at) {
        if (at == 0) {
            EXPECT_EQ(asyncjob_set_local(key_, &destroyed_), 1);
            EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait_, &key_, 1, nullptr, nullptr), 1);
        }
        TestJob inner([] { ASYNC_pause_job(); });
        if (at == 3) {
            EXPECT_EQ(inner.go(), ASYNC_PAUSE);
        }
        for (int i = 0; i < 3; ++i) {
            const timespec late{std::time(nullptr) + 1'000'000, 0};
            const int meaning =
                at == 2 ? asyncjob_pause_until(&late) : static_cast<int>(ASYNC_pause_job());
            if (meaning == ASYNCJOB_CANCELLED)
                break;
            ++steps_[at];
        }
        if (inner.handle != nullptr && asyncjob_cancelled() == 1) {
            // Unless asyncjob_cancel_all() came to it first.
            if (asyncjob_cancel(&inner.handle, &inner.result) != ASYNC_FINISH) {
                EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_JOB_NOT_PAUSED);
            }
        } else if (inner.handle != nullptr) {
            EXPECT_EQ(inner.go(), ASYNC_FINISH);
        }
        return steps_[at];
    }

    static constexpr std::size_t count = 4;
    ASYNC_WAIT_CTX* wait_ = nullptr;
    asyncjob_key key_ = 0;
    std::vector<std::unique_ptr<TestJob>> jobs_;
    int steps_[count] = {};
    int destroyed_ = 0;
};
INSTANTIATE_TEST_SUITE_P(S14, ForkAt, testing::Values(Then::finishes, Then::cancels, Then::leaves),
                         [](const auto& info) {
                             switch (info.param) {
                                 case Then::finishes:
                                     return "TheChildFinishesTheJobs";
                                 case Then::cancels:
                                     return "TheChildCancelsThem";
                                 default:
                                     return "TheChildLeavesThem";
                             }
                         });

TEST_P(ForkAt, PausedJobs) {
    fork_here([this] { go_on(false); });
}

TEST_P(ForkAt, AGrandchild) {
    fork_here([this] { fork_here([this] { go_on(false); }); });
}

TEST_P(ForkAt, ARunningJob) {
    TestJob job([this] {
        fork_here([this] { go_on(true); });
        EXPECT_EQ(ASYNC_pause_job(), 1);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

TEST_P(ForkAt, NestedRunningJobs) {
    TestJob outer([this] {
        TestJob inner([this] {
            fork_here([this] { go_on(true); });
            EXPECT_EQ(ASYNC_pause_job(), 1);
        });
        EXPECT_EQ(inner.go(), ASYNC_PAUSE);
        EXPECT_EQ(ASYNC_pause_job(), 1);
        EXPECT_EQ(inner.go(), ASYNC_FINISH);
    });
    EXPECT_EQ(outer.go(), ASYNC_PAUSE);
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
}

// The child's copy goes on from within the job, pauses out of it and ends it from outside.
TEST_P(ForkAt, AJobThatTheChildGoesOnIn) {
    pid_t child = -1;
    TestJob job([&child] {
        std::fflush(nullptr);
        child = fork();
        return ASYNC_pause_job();
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    if (child == 0) {
        alarm(60);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(job.result, 1);
        go_on(false);
        std::exit(HasFailure() ? 1 : 0);
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

int some_value = 0;
std::function<void()> at_once;  // what a callback forks for; once

void call_once() {
    if (at_once)
        std::exchange(at_once, nullptr)();
}

TEST_P(ForkAt, ASwitchHook) {
    const auto hook = [](ASYNC_JOB*, void*) { call_once(); };
    for (const bool enters : {true, false}) {
        ASSERT_EQ(
            asyncjob_add_switch_hooks(enters ? +hook : nullptr, enters ? nullptr : +hook, nullptr),
            1);
        at_once = [] {
            fork_here([] {
                EXPECT_NE(ASYNC_get_current_job(), nullptr);
                ASYNC_JOB* job = nullptr;
                int result = 0;
                EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, pause_once, nullptr, 0),
                          ASYNC_ERR);
                EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_IN_HOOK);
                std::thread(expect_jobs_work).join();
            });
        };
        expect_jobs_work();
        EXPECT_FALSE(at_once) << "it was not called";
        ASSERT_EQ(asyncjob_remove_switch_hooks(enters ? +hook : nullptr, enters ? nullptr : +hook,
                                               nullptr),
                  1);
    }
}

TEST_P(ForkAt, ADestructorOfAValue) {
    asyncjob_key key = 0;
    ASSERT_EQ(asyncjob_key_create(&key, [](void*) { call_once(); }), 1);
    at_once = [this] { fork_here([this] { go_on(true); }); };
    TestJob job([key] { EXPECT_EQ(asyncjob_set_local(key, &some_value), 1); });
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_FALSE(at_once) << "it was not called";
    EXPECT_EQ(asyncjob_key_delete(key), 1);
}

TEST_P(ForkAt, ACleanupOfAWaitContext) {
    ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
    ASYNC_WAIT_CTX_set_wait_fd(wait, nullptr, 1, nullptr,
                               [](ASYNC_WAIT_CTX*, const void*, int, void*) { call_once(); });
    at_once = [this] { fork_here([this] { go_on(false); }); };
    ASYNC_WAIT_CTX_free(wait);
    EXPECT_FALSE(at_once) << "it was not called";
}

TEST_P(ForkAt, ACallbackOfRoom) {
    asyncjob_thread_options options{};
    ASSERT_EQ(asyncjob_options_default(&options, sizeof options), 1);
    options.max_jobs = count + 2;  // with the one within another
    ASSERT_EQ(asyncjob_init_thread(&options), 1);
    ASSERT_EQ(asyncjob_on_slot_free([](void*) { call_once(); }, nullptr), 1);
    at_once = [this] { fork_here([this] { go_on(false); }); };
    TestJob job([] { ASYNC_pause_job(); });
    TestJob refused([] { return 1; });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(refused.go(), ASYNC_NO_JOBS);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_FALSE(at_once) << "it was not called";
    EXPECT_EQ(asyncjob_on_slot_free(nullptr, nullptr), 1);
    ASYNC_cleanup_thread();
}

// The other thread's wakes may be in the midst of anything; those that came are the child's too.
TEST_P(ForkAt, WhileAnotherThreadSwitchesAndWakes) {
    if (under_asan)
        GTEST_SKIP() << "the tool's own locks do not survive a fork with threads";
    std::atomic<bool> done = false;
    const asyncjob_handle handle = handle_of(jobs_[1]->handle);
    std::thread other([&done, handle] {
        while (!done) {
            expect_jobs_work();
            EXPECT_EQ(asyncjob_wake(handle), 1);
            ASYNC_cleanup_thread();
        }
    });
    for (int i = 0; i < 100 && !HasFailure(); ++i) {
        fork_here([this, handle] {
            (void)take_ready();
            if (GetParam() == Then::leaves) {
                // A wake of the other thread that the fork cut off holds no later one up.
                EXPECT_EQ(jobs_[1]->go(), ASYNC_PAUSE);
                EXPECT_EQ(asyncjob_wake(handle), 1);
                EXPECT_EQ(take_ready(), std::vector<ASYNC_JOB*>{jobs_[1]->handle});
            }
            go_on(false);
        });
        (void)take_ready();
    }
    done = true;
    other.join();
}

}  // namespace
