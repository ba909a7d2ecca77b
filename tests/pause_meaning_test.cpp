// SPDX-License-Identifier: Apache-2.0
// What asyncjob_pause() says that a pause meant, and asyncjob_can_pause(). Deadlines are
// deadlines_test's.
#include <thread>

#include "ready.hpp"

namespace test {
namespace {

TEST(PauseMeaning, OutsideAJobThereIsNone) {
    EXPECT_EQ(asyncjob_pause(), ASYNCJOB_NOT_IN_JOB);
    EXPECT_EQ(asyncjob_can_pause(), 0);
    expect_jobs_work();
    EXPECT_EQ(asyncjob_pause(), ASYNCJOB_NOT_IN_JOB);
    EXPECT_EQ(asyncjob_can_pause(), 0);
}

TEST(PauseMeaning, ResumedWithoutAWakeWithAHandleAndWithout) {
    TestJob job([] {
        EXPECT_EQ(asyncjob_can_pause(), 1);
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_RESUMED);
        (void)handle_of(ASYNC_get_current_job());
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_RESUMED);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

TEST(PauseMeaning, WokenWhetherOrNotItWasTaken) {
    for (const bool is_taken : {false, true}) {
        WaitingJobs jobs(1);
        jobs.wake(0);
        if (is_taken) {
            EXPECT_EQ(take_ready().size(), 1U);
        }
        EXPECT_EQ(jobs.go(0), ASYNC_PAUSE);
        EXPECT_EQ(jobs.go(0), ASYNC_PAUSE);
        EXPECT_EQ(jobs.meanings[0], (std::vector<int>{ASYNCJOB_WOKEN, ASYNCJOB_RESUMED}))
            << "a wake is heard of once";
    }
}

TEST(PauseMeaning, WokenAgainBetweenTakeReadyAndTheResumeIsOneWake) {
    WaitingJobs jobs(1);
    jobs.wake(0);
    EXPECT_EQ(take_ready().size(), 1U);
    jobs.wake(0);
    EXPECT_EQ(jobs.go(0), ASYNC_PAUSE);
    EXPECT_EQ(take_ready().size(), 0U);
    EXPECT_EQ(jobs.go(0), ASYNC_PAUSE);
    EXPECT_EQ(jobs.meanings[0], (std::vector<int>{ASYNCJOB_WOKEN, ASYNCJOB_RESUMED}));
}

TEST(PauseMeaning, AWakeThatWasForAPauseOfTheOtherKindIsNotForThisOne) {
    TestJob job([] {
        EXPECT_EQ(ASYNC_pause_job(), 1);
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_RESUMED);
    });
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(asyncjob_wake(handle_of(job.handle)), 1);
    EXPECT_EQ(take_ready().size(), 1U);
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

TEST(PauseMeaning, CancelledFromThenOn) {
    TestJob job([] {
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_CANCELLED);
        EXPECT_EQ(asyncjob_can_pause(), 0);
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_CANCELLED);
        ASYNC_block_pause();
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_CANCELLED);
    });
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(asyncjob_wake(handle_of(job.handle)), 1);
    EXPECT_EQ(asyncjob_cancel(&job.handle, &job.result), ASYNC_FINISH);
}

TEST(PauseMeaning, BlockedKeepsTheWakeForLater) {
    TestJob job([] {
        const asyncjob_handle own = handle_of(ASYNC_get_current_job());
        ASYNC_block_pause();
        ASYNC_block_pause();
        EXPECT_EQ(asyncjob_can_pause(), 0);
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_BLOCKED);
        EXPECT_EQ(asyncjob_wake(own), 1);
        ASYNC_unblock_pause();
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_BLOCKED);
        ASYNC_unblock_pause();
        EXPECT_EQ(asyncjob_can_pause(), 1);
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_WOKEN);
    });
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

TEST(PauseMeaning, OfANestedJobIsItsOwn) {
    WaitingJobs inner(2);
    TestJob outer([&] {
        inner.wake(1);
        EXPECT_EQ(inner.go(0), ASYNC_PAUSE);
        EXPECT_EQ(inner.go(1), ASYNC_PAUSE);
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_RESUMED);
    });
    ASSERT_EQ(outer.go(), ASYNC_PAUSE);
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
    EXPECT_EQ(inner.meanings[0], std::vector<int>{ASYNCJOB_RESUMED});
    EXPECT_EQ(inner.meanings[1], std::vector<int>{ASYNCJOB_WOKEN});
}

TEST(PauseMeaning, TheNextJobOfAStackDoesNotInheritAWake) {
    for (int i = 0; i < 3; ++i) {
        TestJob job([] {
            const asyncjob_handle own = handle_of(ASYNC_get_current_job());
            EXPECT_EQ(asyncjob_pause(), ASYNCJOB_RESUMED);
            EXPECT_EQ(asyncjob_wake(own), 1);
        });
        ASSERT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    }
    EXPECT_TRUE(take_ready().empty());
}

TEST(PauseMeaning, S16ErrnoIsTheJobsAcrossThePause) {
    WaitingJobs others(1);
    TestJob job([] {
        errno = 5;
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_RESUMED);
        EXPECT_EQ(errno, 5);
    });
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    errno = 6;
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

}  // namespace
}  // namespace test
