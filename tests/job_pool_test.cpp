// SPDX-License-Identifier: Apache-2.0
// The pool: its limit, jobs made ahead, and what a cleanup gives back (S11 to S13).
#include <memory>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

constexpr std::size_t stack_bytes = 128 * kib;
constexpr std::size_t touched_bytes = 4 * kib;  // of a job that does next to nothing

// Paused jobs, started until the pool says no.
class PausedJobs {
  public:
    // Starts up to `count`; returns how many it could.
    std::size_t start(std::size_t count) {
        for (std::size_t started = 0; started < count; ++started) {
            auto job = std::make_unique<TestJob>([] { ASYNC_pause_job(); });
            last_status = job->go();
            if (last_status != ASYNC_PAUSE)
                return started;
            jobs_.push_back(std::move(job));
        }
        return count;
    }
    void finish(std::size_t count) {
        for (; count > 0; --count) {
            EXPECT_EQ(jobs_.back()->go(), ASYNC_FINISH);
            jobs_.pop_back();
        }
    }
    void finish() { finish(jobs_.size()); }

    int last_status = 0;

  private:
    std::vector<std::unique_ptr<TestJob>> jobs_;
};

class Pool : public testing::Test {
  protected:
    ~Pool() override { ASYNC_cleanup_thread(); }
    PausedJobs jobs_;
};

TEST_F(Pool, S11LimitCountsJobsInFlight) {
    EXPECT_EQ(ASYNC_init_thread(3, 0), 1);
    EXPECT_EQ(jobs_.start(5), 3U);
    EXPECT_EQ(jobs_.last_status, ASYNC_NO_JOBS);
    jobs_.finish(1);
    EXPECT_EQ(jobs_.start(5), 1U);
    jobs_.finish();
}

TEST_F(Pool, S11LimitCountsNestedJobs) {
    EXPECT_EQ(ASYNC_init_thread(2, 2), 1);
    TestJob outer([] {
        TestJob inner([] {
            TestJob one_too_many([] {});
            EXPECT_EQ(one_too_many.go(), ASYNC_NO_JOBS);
            EXPECT_EQ(one_too_many.handle, nullptr);
            EXPECT_EQ(one_too_many.result, -1);
        });
        EXPECT_EQ(inner.go(), ASYNC_FINISH);
    });
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
}

TEST_F(Pool, S11ResumingNeedsNoRoomInThePool) {
    EXPECT_EQ(ASYNC_init_thread(1, 1), 1);
    EXPECT_EQ(jobs_.start(1), 1U);
    EXPECT_EQ(jobs_.start(1), 0U);
    jobs_.finish();
    EXPECT_EQ(jobs_.start(1), 1U);
    jobs_.finish();
}

TEST_F(Pool, S11InitMoreThanMaxIsAnErrorAndLeavesThePoolAsItWas) {
    EXPECT_EQ(ASYNC_init_thread(2, 0), 1);
    EXPECT_EQ(ASYNC_init_thread(3, 4), 0);
    EXPECT_EQ(asyncjob_last_reason(), ASYNC_R_INVALID_POOL_SIZE);
    EXPECT_EQ(jobs_.start(5), 2U);
    jobs_.finish();
}

TEST_F(Pool, S11InitEqualToMaxIsNone) {
    EXPECT_EQ(ASYNC_init_thread(4, 4), 1);
    EXPECT_EQ(jobs_.start(5), 4U);
    jobs_.finish();
}

TEST_F(Pool, S11NoLimitAcceptsAnyInit) {
    EXPECT_EQ(ASYNC_init_thread(0, 5), 1);
    EXPECT_EQ(jobs_.start(20), 20U);
    jobs_.finish();
}

TEST_F(Pool, S11ALargeLimitCostsNothing) {
    EXPECT_EQ(ASYNC_init_thread(std::size_t{1} << sizeof(std::size_t) * 5, 1), 1);
    EXPECT_EQ(jobs_.start(20), 20U);
    jobs_.finish();
}

TEST_F(Pool, S11JobsMadeAheadServeTheStarts) {
    if (memory_is_watched())
        GTEST_SKIP() << "a tool maps memory of its own";
    const std::size_t before = Memory::now().address_space;
    EXPECT_EQ(ASYNC_init_thread(0, 64), 1);
    const std::size_t made = Memory::now().address_space;
    EXPECT_GE(made, before + 64 * stack_bytes);
    EXPECT_EQ(jobs_.start(64), 64U);
    EXPECT_LT(Memory::now().address_space, made + stack_bytes);
    jobs_.finish();
}

TEST_F(Pool, S11ASecondInitRaisesTheLimit) {
    EXPECT_EQ(ASYNC_init_thread(2, 2), 1);
    EXPECT_EQ(jobs_.start(9), 2U);
    EXPECT_EQ(ASYNC_init_thread(5, 1), 1);
    EXPECT_EQ(jobs_.start(9), 3U);
    EXPECT_EQ(ASYNC_init_thread(0, 0), 1);
    EXPECT_EQ(jobs_.start(9), 9U);
    jobs_.finish();
}

TEST_F(Pool, S11ASecondInitLowersTheLimitAndJobsOverItGoAsTheyFinish) {
    EXPECT_EQ(ASYNC_init_thread(8, 8), 1);
    EXPECT_EQ(jobs_.start(6), 6U);
    EXPECT_EQ(ASYNC_init_thread(3, 0), 1);
    EXPECT_EQ(jobs_.start(1), 0U);
    EXPECT_EQ(jobs_.last_status, ASYNC_NO_JOBS);
    jobs_.finish(3);
    EXPECT_EQ(jobs_.start(1), 0U);
    jobs_.finish(1);
    EXPECT_EQ(jobs_.start(9), 1U);
    jobs_.finish();
    EXPECT_EQ(jobs_.start(9), 3U);
    jobs_.finish();
}

TEST_F(Pool, S11RepeatedInitsLeakNothing) {
    if (memory_is_watched())
        GTEST_SKIP() << "a tool maps memory of its own";
    EXPECT_EQ(ASYNC_init_thread(0, 100), 1);
    const Memory before = Memory::now();
    for (int times = 0; times < 100; ++times) {
        EXPECT_EQ(ASYNC_init_thread(0, 100), 1);
        EXPECT_EQ(ASYNC_init_thread(100, 100), 1);
        EXPECT_EQ(ASYNC_init_thread(200, 1), 1);
    }
    EXPECT_LT(Memory::now().address_space, before.address_space + mib);
}

TEST_F(Pool, S11CanBeSetUpInsideAJob) {
    TestJob job([] {
        EXPECT_EQ(ASYNC_init_thread(3, 3), 1);  // this job and two more
        PausedJobs jobs;
        EXPECT_EQ(jobs.start(5), 2U);
        jobs.finish();
    });
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

TEST_F(Pool, S12NeedsNoInit) {
    ASYNC_cleanup_thread();
    EXPECT_EQ(jobs_.start(100), 100U);
    jobs_.finish();
}

TEST_F(Pool, S13CleanupForgetsTheLimitAndTheApiWorksAgain) {
    EXPECT_EQ(ASYNC_init_thread(1, 1), 1);
    ASYNC_cleanup_thread();
    EXPECT_EQ(jobs_.start(3), 3U);
    jobs_.finish();
}

TEST_F(Pool, S13CleanupWithoutAPoolAndTwiceDoesNothing) {
    ASYNC_cleanup_thread();
    ASYNC_cleanup_thread();
    expect_jobs_work();
    ASYNC_cleanup_thread();
    ASYNC_cleanup_thread();
    expect_jobs_work();
}

TEST_F(Pool, S13CleanupGivesIdleJobsBack) {
    if (memory_is_watched())
        GTEST_SKIP() << "a tool maps memory of its own";
    const Memory before = Memory::now();
    for (int times = 0; times < 3; ++times) {
        EXPECT_EQ(jobs_.start(500), 500U);
        EXPECT_GE(Memory::now().resident, before.resident + 500 * touched_bytes);
        jobs_.finish();
        ASYNC_cleanup_thread();
        EXPECT_LT(Memory::now().resident, before.resident + mib);
        // The addresses stay, for handles that are kept too long, and are used again.
        EXPECT_LT(Memory::now().address_space, before.address_space + 1024 * stack_bytes + 8 * mib);
    }
}

TEST_F(Pool, S13PausedJobsOutliveACleanupAndGiveTheirMemoryBackThen) {
    const Memory before = Memory::now();
    EXPECT_EQ(jobs_.start(500), 500U);
    ASYNC_cleanup_thread();
    ASYNC_cleanup_thread();
    if (!memory_is_watched()) {
        EXPECT_GE(Memory::now().resident, before.resident + 500 * touched_bytes);
    }
    jobs_.finish();
    if (!memory_is_watched()) {
        EXPECT_LT(Memory::now().resident, before.resident + mib);
    }
    EXPECT_EQ(jobs_.start(1), 1U);
    jobs_.finish();
}

TEST_F(Pool, S13CleanupInsideAJobSparesTheJob) {
    const Memory before = Memory::now();
    EXPECT_EQ(jobs_.start(500), 500U);
    jobs_.finish();
    TestJob outer([] {
        TestJob inner([] {
            ASYNC_cleanup_thread();
            EXPECT_EQ(ASYNC_pause_job(), 1);
        });
        EXPECT_EQ(inner.go(), ASYNC_PAUSE);
        ASYNC_cleanup_thread();
        EXPECT_EQ(inner.go(), ASYNC_FINISH);
        EXPECT_EQ(ASYNC_pause_job(), 1);
    });
    EXPECT_EQ(outer.go(), ASYNC_PAUSE);
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
    if (!memory_is_watched()) {
        EXPECT_LT(Memory::now().resident, before.resident + mib);
    }
}

// A stack that was given back and taken again is in use, whatever its neighbours do.
TEST_F(Pool, S13AStackThatServesAgainIsNotGivenBackWithOthers) {
    TestJob first([] { ASYNC_pause_job(); });
    TestJob second([] { ASYNC_pause_job(); });
    TestJob third([] { ASYNC_pause_job(); });
    for (TestJob* job : {&first, &second, &third})
        EXPECT_EQ(job->go(), ASYNC_PAUSE);
    ASYNC_cleanup_thread();
    EXPECT_EQ(first.go(), ASYNC_FINISH);  // gives its stack back
    TestJob again([] {
        volatile int kept = 42;
        ASYNC_pause_job();
        return kept + 0;
    });
    EXPECT_EQ(again.go(), ASYNC_PAUSE);  // takes it
    ASYNC_cleanup_thread();
    EXPECT_EQ(second.go(), ASYNC_FINISH);
    ASYNC_cleanup_thread();  // gives the memory back of all that were given back
    EXPECT_EQ(again.go(), ASYNC_FINISH);
    EXPECT_EQ(again.result, 42);
    EXPECT_EQ(third.go(), ASYNC_FINISH);
}

// Many more idle jobs than the high-water mark, some of them needed again.
TEST_F(Pool, S13TrimmingSparesPausedJobs) {
    for (int round = 0; round < 3; ++round) {
        EXPECT_EQ(jobs_.start(6000), 6000U);
        jobs_.finish();
    }
    EXPECT_EQ(jobs_.start(6000), 6000U);
    std::vector<std::unique_ptr<TestJob>> between;
    for (int at = 0; at < 200; ++at) {
        between.push_back(std::make_unique<TestJob>([at] {
            volatile int kept = at;
            ASYNC_pause_job();
            return kept + 0;
        }));
        EXPECT_EQ(between.back()->go(), ASYNC_PAUSE);
    }
    jobs_.finish();
    for (int at = 0; at < 200; ++at) {
        EXPECT_EQ(between[static_cast<std::size_t>(at)]->go(), ASYNC_FINISH);
        EXPECT_EQ(between[static_cast<std::size_t>(at)]->result, at);
    }
}

// S13: a job that was paused over a cleanup and finishes in the pool made since counts there.
TEST_F(Pool, S13AJobFromBeforeACleanupCountsInTheNextPool) {
    EXPECT_EQ(jobs_.start(2), 2U);
    ASYNC_cleanup_thread();
    EXPECT_EQ(ASYNC_init_thread(3, 0), 1);
    EXPECT_EQ(jobs_.start(9), 1U);
    EXPECT_EQ(jobs_.last_status, ASYNC_NO_JOBS);
    jobs_.finish();
    EXPECT_EQ(jobs_.start(9), 3U);
    jobs_.finish();
}

}  // namespace
}  // namespace test
