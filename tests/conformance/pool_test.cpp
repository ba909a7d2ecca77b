// SPDX-License-Identifier: Apache-2.0
// Conformance: the pool of a thread, its limit, its end, and the reasons that go on the error
// queue (S2, S11, S12, S13, S28).
#include <gtest/gtest.h>
#include <openssl/async.h>
#include <openssl/err.h>

#include <string>
#include <vector>

#include "support.hpp"

namespace conformance {
namespace {

void finish(std::vector<Job>& jobs) {
    for (Job& job : jobs)
        EXPECT_EQ(job.resume(), ASYNC_FINISH);
    jobs.clear();
}

// Starts jobs that pause until one does not start, or there are `most`. Returns what the
// last start gave.
int start_many(ASYNC_WAIT_CTX* ctx, std::vector<Job>& jobs, size_t most) {
    int status = ASYNC_PAUSE;
    while (jobs.size() < most) {
        Job job;
        status = job.start(ctx, pause_once);
        if (status != ASYNC_PAUSE) {
            EXPECT_EQ(job.handle, nullptr);
            EXPECT_EQ(job.result, untouched);
            break;
        }
        jobs.push_back(job);
    }
    return status;
}

TEST(Pool, S11LimitsTheJobsInFlight) {
    for (const size_t made_at_once : {0, 1, 3}) {
        on_new_thread([made_at_once] {
            ASSERT_EQ(ASYNC_init_thread(3, made_at_once), 1);
            Ctx ctx;
            std::vector<Job> jobs;
            EXPECT_EQ(start_many(ctx.get, jobs, 10), ASYNC_NO_JOBS);
            EXPECT_EQ(jobs.size(), 3U);
            finish(jobs);
        });
    }
}

TEST(Pool, S2NoJobsLeavesNoReasonAndIsOverWhenAJobFinishes) {
    on_new_thread([] {
        ERR_clear_error();
        ASSERT_EQ(ASYNC_init_thread(2, 0), 1);
        Ctx ctx;
        std::vector<Job> jobs;
        EXPECT_EQ(start_many(ctx.get, jobs, 10), ASYNC_NO_JOBS);
        EXPECT_EQ(ERR_peek_error(), 0U);
        EXPECT_EQ(jobs.back().resume(), ASYNC_FINISH);
        jobs.pop_back();
        EXPECT_EQ(start_many(ctx.get, jobs, 2), ASYNC_PAUSE);
        EXPECT_EQ(start_many(ctx.get, jobs, 3), ASYNC_NO_JOBS);
        finish(jobs);
    });
}

TEST(Pool, S11AFinishedJobFreesItsPlaceAnyNumberOfTimes) {
    on_new_thread([] {
        ASSERT_EQ(ASYNC_init_thread(1, 1), 1);
        for (int at = 0; at < 1000; ++at) {
            Job job;
            ASSERT_EQ(job.start(nullptr, return_at_once), ASYNC_FINISH);
        }
    });
}

TEST(Pool, S11MoreAtOnceThanTheLimitIsInvalidPoolSize) {
    on_new_thread([] {
        ERR_clear_error();
        EXPECT_EQ(ASYNC_init_thread(2, 3), 0);
        const unsigned long error = ERR_get_error();
        EXPECT_EQ(ERR_GET_LIB(error), ERR_LIB_ASYNC);
        EXPECT_EQ(ERR_GET_REASON(error), ASYNC_R_INVALID_POOL_SIZE);
        EXPECT_EQ(ERR_get_error(), 0U);
        Job job;
        EXPECT_EQ(job.start(nullptr, return_at_once), ASYNC_FINISH);
    });
}

TEST(Pool, S28InvalidPoolSizeHasAString) {
    on_new_thread([] {
        ERR_clear_error();
        ASSERT_EQ(ASYNC_init_thread(0, 0), 1);
        EXPECT_EQ(ASYNC_init_thread(1, 2), 0);
        const char* const text = ERR_reason_error_string(ERR_get_error());
        ASSERT_NE(text, nullptr);
        EXPECT_NE(std::string(text).find("invalid pool size"), std::string::npos) << text;
    });
}

TEST(Pool, S11ZeroIsNoLimit) {
    on_new_thread([] {
        ASSERT_EQ(ASYNC_init_thread(0, 0), 1);
        Ctx ctx;
        std::vector<Job> jobs;
        EXPECT_EQ(start_many(ctx.get, jobs, 500), ASYNC_PAUSE);
        finish(jobs);
    });
}

TEST(Pool, S12WithoutInitThereIsNoLimit) {
    on_new_thread([] {
        Ctx ctx;
        std::vector<Job> jobs;
        EXPECT_EQ(start_many(ctx.get, jobs, 500), ASYNC_PAUSE);
        finish(jobs);
    });
}

TEST(Pool, S11EachThreadHasItsOwn) {
    on_new_thread([] {
        ASSERT_EQ(ASYNC_init_thread(1, 0), 1);
        Ctx ctx;
        std::vector<Job> jobs;
        EXPECT_EQ(start_many(ctx.get, jobs, 2), ASYNC_NO_JOBS);
        on_new_thread([] {
            Ctx other;
            std::vector<Job> others;
            EXPECT_EQ(start_many(other.get, others, 5), ASYNC_PAUSE);
            finish(others);
        });
        EXPECT_EQ(start_many(ctx.get, jobs, 2), ASYNC_NO_JOBS);
        finish(jobs);
    });
}

TEST(CleanupThread, S13WithoutAPoolOrTwiceDoesNothing) {
    on_new_thread([] {
        ASYNC_cleanup_thread();
        Job job;
        EXPECT_EQ(job.start(nullptr, return_at_once), ASYNC_FINISH);
        ASYNC_cleanup_thread();
        ASYNC_cleanup_thread();
        EXPECT_EQ(ASYNC_get_current_job(), nullptr);
        EXPECT_EQ(ASYNC_pause_job(), 1);
    });
}

TEST(CleanupThread, S13TheInterfaceWorksAgainAfterwardsWithANewLimit) {
    on_new_thread([] {
        Ctx ctx;
        for (const size_t limit : {2, 5, 1}) {
            ASSERT_EQ(ASYNC_init_thread(limit, 1), 1);
            std::vector<Job> jobs;
            EXPECT_EQ(start_many(ctx.get, jobs, 10), ASYNC_NO_JOBS);
            EXPECT_EQ(jobs.size(), limit);
            finish(jobs);
            ASYNC_cleanup_thread();
        }
        std::vector<Job> jobs;
        EXPECT_EQ(start_many(ctx.get, jobs, 10), ASYNC_PAUSE);
        finish(jobs);
    });
}

TEST(CleanupThread, S13HappensByItselfAtThreadExit) {
    for (int at = 0; at < 200; ++at) {
        on_new_thread([] {
            ASSERT_EQ(ASYNC_init_thread(8, 8), 1);
            Job job;
            ASSERT_EQ(job.start(nullptr, return_at_once), ASYNC_FINISH);
        });
    }
}

}  // namespace
}  // namespace conformance
