// SPDX-License-Identifier: Apache-2.0
// Cancelling (S6): a paused job's own code unwinds its frames, asyncjob_cancel_all() leaves no
// job paused, and a cancel is a resume in all that a resume does. tests/misuse.hpp has what is
// refused.
#include <cerrno>
#include <cfenv>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

// Counts how many of its kind there are.
class Counted {
  public:
    explicit Counted(int& count) : count_(count) { ++count_; }
    ~Counted() { --count_; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

  private:
    int& count_;
};

std::string current_message() {
    try {
        std::rethrow_exception(std::current_exception());
    } catch (const std::exception& exception) {
        return exception.what();
    }
}

int cancel(TestJob& job) {
    return asyncjob_cancel(&job.handle, &job.result);
}

// Pauses until it is cancelled; then it leaves by an exception through its frames.
void pause_for_ever(int& frames, int depth = 3) {
    const Counted frame(frames);
    const auto bytes = std::make_unique<char[]>(1000);
    if (depth > 0)
        return pause_for_ever(frames, depth - 1);
    while (ASYNC_pause_job() == 1) {
    }
    throw std::runtime_error("cancelled");
}

// Paused jobs whose frames are counted.
class PausedJobs {
  public:
    void start(int count) {
        for (int i = 0; i < count; ++i) {
            jobs_.push_back(std::make_unique<TestJob>([this] {
                try {
                    pause_for_ever(frames);
                } catch (const std::runtime_error&) {
                    return 5;
                }
                return 6;
            }));
            EXPECT_EQ(jobs_.back()->go(), ASYNC_PAUSE);
        }
    }
    TestJob& operator[](std::size_t at) { return *jobs_[at]; }

    int frames = 0;

  private:
    std::vector<std::unique_ptr<TestJob>> jobs_;
};

TEST(Cancel, S6PauseReturns0AndTheFramesUnwindThemselves) {
    PausedJobs jobs;
    jobs.start(1);
    EXPECT_EQ(jobs[0].go(), ASYNC_PAUSE);
    EXPECT_EQ(jobs.frames, 4);
    EXPECT_EQ(cancel(jobs[0]), ASYNC_FINISH);
    EXPECT_EQ(jobs.frames, 0);
    EXPECT_EQ(jobs[0].handle, nullptr);
    EXPECT_EQ(jobs[0].result, 5);
    EXPECT_EQ(ASYNC_get_current_job(), nullptr);
    expect_jobs_work();
}

TEST(Cancel, S6EveryLaterPauseReturns0AtOnceAndTheJobRunsOnToItsEnd) {
    TestJob job([] {
        int sum = ASYNC_pause_job() + ASYNC_pause_job();
        for (int i = 0; i < 100; ++i)
            sum += ASYNC_pause_job();
        return sum;
    });
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(cancel(job), ASYNC_FINISH);
    EXPECT_EQ(job.result, 1);
}

TEST(Cancel, S6S8ACancelledJobsPauseReturns0WhileBlockedToo) {
    TestJob job([] {
        EXPECT_EQ(ASYNC_pause_job(), 0);
        ASYNC_block_pause();
        EXPECT_EQ(ASYNC_pause_job(), 0);
        ASYNC_unblock_pause();
        EXPECT_EQ(ASYNC_pause_job(), 0);
        ASYNC_block_pause();
    });
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(cancel(job), ASYNC_FINISH);
    expect_jobs_work();
}

TEST(Cancel, S6TheNextJobOnTheSameStackIsNotCancelled) {
    EXPECT_EQ(ASYNC_init_thread(1, 1), 1);
    for (int i = 0; i < 3; ++i) {
        TestJob job([] {
            EXPECT_EQ(asyncjob_cancelled(), 0);
            EXPECT_EQ(ASYNC_pause_job(), 0);
            EXPECT_EQ(asyncjob_cancelled(), 1);
        });
        ASSERT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(cancel(job), ASYNC_FINISH);
        expect_jobs_work();
    }
    ASYNC_cleanup_thread();
}

TEST(Cancel, S6TheHandleIsAFinishedJobsAfterwards) {
    TestJob job([] { ASYNC_pause_job(); });
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    ASYNC_JOB* handle = job.handle;
    EXPECT_EQ(cancel(job), ASYNC_FINISH);
    int result = 99;
    ASYNC_JOB* const stale = handle;
    EXPECT_EQ(asyncjob_cancel(&handle, &result), ASYNC_ERR);
    EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_JOB_NOT_PAUSED);
    EXPECT_EQ(handle, stale);
    EXPECT_EQ(result, 99);
}

TEST(Cancel, S6HandleAndResultMayBeOtherVariablesThanTheStarters) {
    TestJob job([] {
        ASYNC_pause_job();
        return 8;
    });
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    ASYNC_JOB* handle = job.handle;
    int result = 0;
    EXPECT_EQ(asyncjob_cancel(&handle, &result), ASYNC_FINISH);
    EXPECT_EQ(handle, nullptr);
    EXPECT_EQ(result, 8);
    EXPECT_EQ(job.result, -1);
}

TEST(Cancelled, S6Is0OutsideAJobAndInAJobThatWasNotCancelled) {
    EXPECT_EQ(asyncjob_cancelled(), 0);
    TestJob job([] {
        EXPECT_EQ(asyncjob_cancelled(), 0);
        ASYNC_pause_job();
        EXPECT_EQ(asyncjob_cancelled(), 0);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

TEST(CancelNested, S5S6TheCancellingJobIsTheOuterOneAndIsNotCancelled) {
    PausedJobs jobs;
    jobs.start(1);
    TestJob outer([&] {
        ASYNC_JOB* const self = ASYNC_get_current_job();
        EXPECT_EQ(cancel(jobs[0]), ASYNC_FINISH);
        EXPECT_EQ(jobs[0].result, 5);
        EXPECT_EQ(ASYNC_get_current_job(), self);
        EXPECT_EQ(asyncjob_cancelled(), 0);
        EXPECT_EQ(ASYNC_pause_job(), 1);
    });
    EXPECT_EQ(outer.go(), ASYNC_PAUSE);
    EXPECT_EQ(ASYNC_get_current_job(), nullptr);
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
}

TEST(CancelNested, S5S6ACancelledJobCancelsItsOwn) {
    int frames = 0;
    TestJob outer([&] {
        PausedJobs own;
        own.start(1);
        frames = own.frames;
        EXPECT_EQ(ASYNC_pause_job(), 0);
        EXPECT_EQ(own.frames, frames) << "they were not cancelled with it";
        EXPECT_EQ(cancel(own[0]), ASYNC_FINISH);
        EXPECT_EQ(asyncjob_cancelled(), 1);
        frames = own.frames;
    });
    ASSERT_EQ(outer.go(), ASYNC_PAUSE);
    EXPECT_EQ(frames, 4);
    EXPECT_EQ(cancel(outer), ASYNC_FINISH);
    EXPECT_EQ(frames, 0);
}

TEST(CancelNested, S5S6AJobThatACancelledJobStartsPausesToIt) {
    TestJob outer([&] {
        EXPECT_EQ(ASYNC_pause_job(), 0);
        TestJob inner([] {
            EXPECT_EQ(asyncjob_cancelled(), 0);
            EXPECT_EQ(ASYNC_pause_job(), 1);
            return 3;
        });
        EXPECT_EQ(inner.go(), ASYNC_PAUSE);
        EXPECT_EQ(asyncjob_cancelled(), 1);
        EXPECT_EQ(inner.go(), ASYNC_FINISH);
        return inner.result;
    });
    ASSERT_EQ(outer.go(), ASYNC_PAUSE);
    EXPECT_EQ(cancel(outer), ASYNC_FINISH);
    EXPECT_EQ(outer.result, 3);
}

TEST(CancelNested, S5S6CancelledJobsCancelEachOtherAHundredDeep) {
    constexpr int depth = 100;
    int ended = 0;
    std::vector<std::unique_ptr<TestJob>> jobs;
    for (int i = 0; i < depth; ++i) {
        jobs.push_back(std::make_unique<TestJob>([&jobs, &ended, i] {
            EXPECT_EQ(ASYNC_pause_job(), 0);
            if (i + 1 < depth) {
                EXPECT_EQ(cancel(*jobs[i + 1]), ASYNC_FINISH);
            }
            EXPECT_EQ(ASYNC_pause_job(), 0);
            ++ended;
        }));
        ASSERT_EQ(jobs.back()->go(), ASYNC_PAUSE);
    }
    EXPECT_EQ(cancel(*jobs[0]), ASYNC_FINISH);
    EXPECT_EQ(ended, depth);
    EXPECT_EQ(ASYNC_get_current_job(), nullptr);
}

// What is as for any resume.

TEST(CancelIsAResume, S6S16ErrnoBelongsToEachSideUntilTheFunctionReturns) {
    TestJob job([] {
        errno = 11;
        EXPECT_EQ(ASYNC_pause_job(), 0);
        EXPECT_EQ(errno, 11);
        errno = 12;
    });
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    errno = 13;
    EXPECT_EQ(cancel(job), ASYNC_FINISH);
    EXPECT_EQ(errno, 12);
}

TEST(CancelIsAResume, S6S16ExceptionsInFlightBelongToEachSide) {
    TestJob job([] {
        try {
            throw std::runtime_error("the job's");
        } catch (const std::exception&) {
            EXPECT_EQ(ASYNC_pause_job(), 0);
            EXPECT_STREQ(current_message().c_str(), "the job's");
        }
    });
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    try {
        throw std::runtime_error("the canceller's");
    } catch (const std::exception&) {
        EXPECT_EQ(cancel(job), ASYNC_FINISH);
        EXPECT_STREQ(current_message().c_str(), "the canceller's");
    }
    EXPECT_EQ(std::current_exception(), nullptr);
}

// As a server does that frees a connection while an exception unwinds its loop.
TEST(CancelIsAResume, S6S16ADestructorMayCancelDuringUnwinding) {
    PausedJobs jobs;
    jobs.start(1);
    struct Owner {
        ~Owner() { EXPECT_EQ(cancel(job), ASYNC_FINISH); }
        TestJob& job;
    };
    try {
        const Owner owner{jobs[0]};
        throw std::runtime_error("the loop's");
    } catch (const std::exception& exception) {
        EXPECT_STREQ(exception.what(), "the loop's");
    }
    EXPECT_EQ(jobs.frames, 0);
}

TEST(CancelIsAResume, S6S16TheRoundingModeBelongsToEachSide) {
    if (RUNNING_ON_VALGRIND != 0)
        GTEST_SKIP() << "Valgrind keeps no rounding mode";
    TestJob job([] {
        std::fesetround(FE_UPWARD);
        EXPECT_EQ(ASYNC_pause_job(), 0);
        EXPECT_EQ(std::fegetround(), FE_UPWARD);
    });
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    std::fesetround(FE_DOWNWARD);
    EXPECT_EQ(cancel(job), ASYNC_FINISH);
    EXPECT_EQ(std::fegetround(), FE_DOWNWARD);
    std::fesetround(FE_TONEAREST);
}

TEST(CancelIsAResume, S6S22ItEndsTheRoundOfTheWaitContext) {
    ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
    const char key = 0;
    TestJob job(
        [&] {
            EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait, &key, 1, nullptr, nullptr), 1);
            EXPECT_EQ(ASYNC_pause_job(), 0);
            EXPECT_EQ(ASYNC_WAIT_CTX_clear_fd(wait, &key), 1);
        },
        wait);
    std::size_t added = 9;
    std::size_t deleted = 9;
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_changed_fds(wait, nullptr, &added, nullptr, &deleted), 1);
    EXPECT_EQ(added, 1U);
    EXPECT_EQ(cancel(job), ASYNC_FINISH);
    // Cleared in a later round than it was added, so the event loop hears of it.
    EXPECT_EQ(ASYNC_WAIT_CTX_get_changed_fds(wait, nullptr, &added, nullptr, &deleted), 1);
    EXPECT_EQ(added, 0U);
    EXPECT_EQ(deleted, 1U);
    ASYNC_WAIT_CTX_free(wait);
}

TEST(CancelIsAResume, S6S11ACancelledJobMakesRoomInThePool) {
    EXPECT_EQ(ASYNC_init_thread(2, 0), 1);
    PausedJobs jobs;
    jobs.start(2);
    TestJob third([] {});
    EXPECT_EQ(third.go(), ASYNC_NO_JOBS);
    EXPECT_EQ(cancel(jobs[0]), ASYNC_FINISH);
    EXPECT_EQ(third.go(), ASYNC_FINISH);
    EXPECT_EQ(cancel(jobs[1]), ASYNC_FINISH);
    ASYNC_cleanup_thread();
}

TEST(CancelIsAResume, S6S13JobsOfAClosedPoolOrOneOverItsLimitGiveTheirMemoryBack) {
    for (void (*const shrink)() : {ASYNC_cleanup_thread, +[] { ASYNC_init_thread(1, 0); }}) {
        std::thread([shrink] {
            constexpr std::size_t count = 2000;
            const Memory before = Memory::now();
            PausedJobs jobs;
            jobs.start(count);
            const Memory paused = Memory::now();
            shrink();
            EXPECT_EQ(cancel(jobs[7]), ASYNC_FINISH);
            EXPECT_EQ(asyncjob_cancel_all(), count - 1);
            EXPECT_EQ(jobs.frames, 0);
            if (!memory_is_watched()) {
                const Memory after = Memory::now();
                EXPECT_GE(paused.resident, before.resident + count * 4 * kib);
                EXPECT_LT(after.resident, paused.resident - count * 4 * kib + mib);
            }
        }).join();
    }
}

TEST(CancelIsAResume, S6S14TheChildOfAForkCancelsItsCopy) {
    if (under_tsan)
        GTEST_SKIP() << "in the child of a fork the tool takes switches for races";
    PausedJobs jobs;
    jobs.start(3);
    EXPECT_TRUE(passes_in_child([&] {
        EXPECT_EQ(cancel(jobs[1]), ASYNC_FINISH);
        EXPECT_EQ(asyncjob_cancel_all(), 2U);
        EXPECT_EQ(jobs.frames, 0);
        expect_jobs_work();
    }));
    EXPECT_EQ(jobs.frames, 12);
    EXPECT_EQ(asyncjob_cancel_all(), 3U);
}

TEST(CancelAll, S6IsZeroWhereNothingIsPaused) {
    std::thread([] {
        EXPECT_EQ(asyncjob_cancel_all(), 0U);  // jobs have never been used
        expect_jobs_work();
        EXPECT_EQ(asyncjob_cancel_all(), 0U);
        ASYNC_cleanup_thread();
        EXPECT_EQ(asyncjob_cancel_all(), 0U);
    }).join();
}

TEST(CancelAll, S6S13LeavesNothingPausedAndTheThreadLeavesNothingBehind) {
    const std::size_t left = asyncjob_left_behind();
    std::thread([] {
        PausedJobs jobs;
        jobs.start(100);
        for (const std::size_t at : {0U, 50U, 99U})
            EXPECT_EQ(cancel(jobs[at]), ASYNC_FINISH);
        EXPECT_EQ(asyncjob_cancel_all(), 97U);
        EXPECT_EQ(jobs.frames, 0);
        EXPECT_EQ(asyncjob_cancel_all(), 0U);
        expect_jobs_work();
    }).join();
    EXPECT_EQ(asyncjob_left_behind(), left);
}

TEST(CancelAll, S6TheHandlesOfItsJobsAreThoseOfFinishedOnes) {
    PausedJobs jobs;
    jobs.start(1);
    ASYNC_JOB* const stale = jobs[0].handle;
    EXPECT_EQ(asyncjob_cancel_all(), 1U);
    EXPECT_EQ(jobs[0].handle, stale) << "it is not the application's variable";
    EXPECT_EQ(jobs[0].go(), ASYNC_ERR);
    EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_JOB_NOT_PAUSED);
}

TEST(CancelAll, S6CancelsWhatACancelledJobStartsAndLeavesPaused) {
    PausedJobs late;
    TestJob starter([&] {
        EXPECT_EQ(ASYNC_pause_job(), 0);
        late.start(10);
    });
    ASSERT_EQ(starter.go(), ASYNC_PAUSE);
    EXPECT_EQ(asyncjob_cancel_all(), 11U);
    EXPECT_EQ(late.frames, 0);
}

TEST(CancelAll, S5S6LeavesTheJobThatCallsItAndThoseThatWaitForItAlone) {
    PausedJobs jobs;
    jobs.start(4);
    TestJob outer([&] {
        TestJob inner([&] {
            EXPECT_EQ(asyncjob_cancel_all(), 4U);
            EXPECT_EQ(asyncjob_cancelled(), 0);
            EXPECT_EQ(ASYNC_pause_job(), 1);
        });
        EXPECT_EQ(inner.go(), ASYNC_PAUSE);
        EXPECT_EQ(inner.go(), ASYNC_FINISH);
        EXPECT_EQ(asyncjob_cancelled(), 0);
        EXPECT_EQ(ASYNC_pause_job(), 1);
    });
    EXPECT_EQ(outer.go(), ASYNC_PAUSE);
    EXPECT_EQ(jobs.frames, 0);
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
}

// A job that is cancelled while all are: the one walk takes the place of the other.
TEST(CancelAll, S5S6ACancelledJobMayCallItTooAndHaveJobsDestroyed) {
    std::thread([] {
        PausedJobs jobs;
        std::vector<std::unique_ptr<TestJob>> callers;
        std::size_t by_callers = 0;
        for (int i = 0; i < 5; ++i) {
            jobs.start(3);
            callers.push_back(std::make_unique<TestJob>([&] {
                EXPECT_EQ(ASYNC_pause_job(), 0);
                by_callers += asyncjob_cancel_all();
                ASYNC_cleanup_thread();
                expect_jobs_work();
            }));
            ASSERT_EQ(callers.back()->go(), ASYNC_PAUSE);
        }
        EXPECT_EQ(asyncjob_cancel_all() + by_callers, 20U);
        EXPECT_EQ(jobs.frames, 0);
        EXPECT_EQ(asyncjob_cancel_all(), 0U);
    }).join();
}

TEST(CancelAll, S6LeavesTheJobsOfOtherThreadsAlone) {
    PausedJobs jobs;
    jobs.start(2);
    std::thread([] {
        PausedJobs own;
        own.start(1);
        EXPECT_EQ(asyncjob_cancel_all(), 1U);
    }).join();
    EXPECT_EQ(jobs.frames, 8);
    EXPECT_EQ(asyncjob_cancel_all(), 2U);
}

// An object that keeps its job's handle to itself.
struct Holder {
    char before[100] = {};
    ASYNC_JOB* handle = nullptr;
    char after[100] = {};

    int go() {
        int result = 0;
        return ASYNC_start_job(&handle, nullptr, &result, pause_once, nullptr, 0);
    }
};

TEST(FindHandle, S6IsWhereTheStarterKeepsItWhileTheJobIsPaused) {
    Holder holders[2];
    const auto find = [&](const Holder& holder) {
        return asyncjob_find_handle(&holder, sizeof(Holder));
    };
    EXPECT_EQ(find(holders[0]), nullptr);
    ASSERT_EQ(holders[1].go(), ASYNC_PAUSE);
    EXPECT_EQ(find(holders[0]), nullptr) << "the other's is behind its end";
    EXPECT_EQ(asyncjob_find_handle(holders, sizeof(holders)), &holders[1].handle);
    ASSERT_EQ(holders[0].go(), ASYNC_PAUSE);
    EXPECT_EQ(asyncjob_find_handle(holders, sizeof(holders)), &holders[0].handle) << "the lowest";
    EXPECT_EQ(find(holders[1]), &holders[1].handle);
    constexpr std::size_t size = sizeof(ASYNC_JOB*);
    EXPECT_EQ(asyncjob_find_handle(&holders[1].handle, size), &holders[1].handle);
    EXPECT_EQ(asyncjob_find_handle(&holders[1].handle, size - 1), nullptr) << "not all of it";
    EXPECT_EQ(asyncjob_find_handle(&holders[1].handle, 0), nullptr);
    std::thread([&] { EXPECT_EQ(find(holders[0]), nullptr) << "it is another thread's"; }).join();
    TestJob inside([&] { EXPECT_EQ(find(holders[0]), &holders[0].handle); });
    EXPECT_EQ(inside.go(), ASYNC_FINISH);
    for (Holder& holder : holders) {
        EXPECT_EQ(holder.go(), ASYNC_FINISH);
        EXPECT_EQ(find(holder), nullptr) << "its job has finished";
    }
}

TEST(FindHandle, S6NotOfAJobThatRunsOn) {
    Holder holder;
    Holder* argument = &holder;
    const auto look = [](void* args) {
        const Holder& own = **static_cast<Holder**>(args);
        ASYNC_pause_job();
        EXPECT_NE(own.handle, nullptr);
        EXPECT_EQ(asyncjob_find_handle(&own, sizeof(own)), nullptr);
        return 7;
    };
    int result = 0;
    for (const int status : {ASYNC_PAUSE, ASYNC_FINISH})
        EXPECT_EQ(
            ASYNC_start_job(&holder.handle, nullptr, &result, look, &argument, sizeof(argument)),
            status);
    EXPECT_EQ(result, 7);
}

// The starter's variable has gone, and its memory serves something else.
TEST(FindHandle, S6NotWhereSomethingElseIsNow) {
    Holder holder;
    ASSERT_EQ(holder.go(), ASYNC_PAUSE);
    ASYNC_JOB* moved = std::exchange(holder.handle, nullptr);
    EXPECT_EQ(asyncjob_find_handle(&holder, sizeof(holder)), nullptr);
    int result = 0;
    EXPECT_EQ(ASYNC_start_job(&moved, nullptr, &result, nullptr, nullptr, 0), ASYNC_FINISH);
}

TEST(FindHandle, S28NeedsAnObject) {
    EXPECT_EQ(asyncjob_find_handle(nullptr, 100), nullptr);
    EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NULL_ARGUMENT);
}

// The last place where a thread may do so: its thread_local objects are destroyed.
struct CancelsAtTheEnd {
    ~CancelsAtTheEnd() { EXPECT_EQ(asyncjob_cancel_all(), expected); }
    std::size_t expected = 0;
};
thread_local CancelsAtTheEnd cancels_at_the_end;

TEST(CancelAll, S6S13MayBeCalledByTheDestructorOfAThreadLocal) {
    const std::size_t left = asyncjob_left_behind();
    PausedJobs jobs;
    std::thread([&] {
        jobs.start(5);
        cancels_at_the_end.expected = 5;
    }).join();
    EXPECT_EQ(jobs.frames, 0);
    EXPECT_EQ(asyncjob_left_behind(), left);
}

}  // namespace
}  // namespace test
