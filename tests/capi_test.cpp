// SPDX-License-Identifier: Apache-2.0
// The C interface without libcrypto in the process: wrong use is refused with a reason, and
// the plain life of a job.
#include <dlfcn.h>

#include <cerrno>
#include <limits>
#include <set>

#include "misuse.hpp"

namespace test {
namespace {

class WithoutLibcrypto : public testing::TestWithParam<Misuse> {};

// S4, S28: refused, with a reason of its own, and the thread's jobs go on.
TEST_P(WithoutLibcrypto, MisuseIsRefusedWithItsReason) {
    ASSERT_EQ(dlopen("libcrypto.so.3", RTLD_LAZY | RTLD_NOLOAD), nullptr);
    EXPECT_EQ(GetParam().provoke(), 0);
    EXPECT_EQ(asyncjob_last_reason(), GetParam().reason);
    expect_jobs_work();
    EXPECT_EQ(asyncjob_last_reason(), GetParam().reason) << "a success changed the reason";
}
INSTANTIATE_TEST_SUITE_P(S4S28, WithoutLibcrypto, testing::ValuesIn(misuses), name_of);

TEST(Reason, IsZeroBeforeAnyFailureAndBelongsToItsThread) {
    EXPECT_EQ(ASYNC_WAIT_CTX_clear_fd(no_context, nullptr), 0);
    std::thread([] {
        EXPECT_EQ(asyncjob_last_reason(), 0);
        expect_jobs_work();
        EXPECT_EQ(asyncjob_last_reason(), 0);
    }).join();
    EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NULL_ARGUMENT);
}

TEST(Reason, EachHasATextOfItsOwn) {
    std::set<std::string> texts;
    const std::vector<int> reasons = {0,   101, 102, 103, 105, 200, 201, 202,
                                      203, 204, 205, 206, 207, 208, 209, 210};
    for (const int reason : reasons)
        texts.insert(asyncjob_reason_string(reason));
    texts.insert(asyncjob_reason_string(-1));
    EXPECT_EQ(texts.size(), reasons.size() + 1);
    EXPECT_NE(asyncjob_reason_string(std::numeric_limits<int>::min()), nullptr);
}

// S9 (tests/incapable.c has the other half).
TEST(Start, S9IsCapableHere) {
    EXPECT_EQ(ASYNC_is_capable(), 1);
}

TEST(Start, S3ResumeIgnoresContextFunctionAndArguments) {
    ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
    ASYNC_JOB* job = nullptr;
    int result = 0;
    int resumed_result = 0;
    ASSERT_EQ(ASYNC_start_job(&job, wait, &result, pause_once, nullptr, 0), ASYNC_PAUSE);
    EXPECT_EQ(ASYNC_get_wait_ctx(job), wait);
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &resumed_result, nullptr, &job,
                              std::numeric_limits<std::size_t>::max()),
              ASYNC_FINISH);
    EXPECT_EQ(resumed_result, 7);
    EXPECT_EQ(result, 0);
    ASYNC_WAIT_CTX_free(wait);
}

TEST(Start, S3ResumeMayUseOtherVariablesThanTheStart) {
    ASYNC_JOB* started = nullptr;
    int result = 0;
    ASSERT_EQ(ASYNC_start_job(&started, nullptr, &result, pause_once, nullptr, 0), ASYNC_PAUSE);
    ASYNC_JOB* resumed = started;
    ASYNC_JOB* const handle = started;
    EXPECT_EQ(ASYNC_start_job(&resumed, nullptr, &result, nullptr, nullptr, 0), ASYNC_FINISH);
    EXPECT_EQ(resumed, nullptr);
    EXPECT_EQ(started, handle);
}

TEST(Pause, S6OutsideAJobSucceedsAndDoesNothing) {
    EXPECT_EQ(ASYNC_pause_job(), 1);
    expect_jobs_work();
    EXPECT_EQ(ASYNC_pause_job(), 1);
}

TEST(CurrentJob, S7IsTheRunningJobAndNullOutside) {
    EXPECT_EQ(ASYNC_get_current_job(), nullptr);
    ASYNC_JOB* seen = nullptr;
    TestJob job([&] {
        seen = ASYNC_get_current_job();
        ASYNC_pause_job();
        EXPECT_EQ(ASYNC_get_current_job(), seen);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(ASYNC_get_current_job(), nullptr);
    EXPECT_EQ(job.handle, seen);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(ASYNC_get_current_job(), nullptr);
}

TEST(WaitContextOfJob, S7IsNullForANullJob) {
    EXPECT_EQ(ASYNC_get_wait_ctx(nullptr), nullptr);
}

TEST(WaitContextOfJob, S27MayBeNull) {
    TestJob job([] {
        EXPECT_EQ(ASYNC_get_wait_ctx(ASYNC_get_current_job()), nullptr);
        ASYNC_pause_job();
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(ASYNC_get_wait_ctx(job.handle), nullptr);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

TEST(BlockPause, S8NestsAndAnUnblockTooManyDoesNothing) {
    int pauses = 0;
    const auto pause = [&] {
        ++pauses;
        EXPECT_EQ(ASYNC_pause_job(), 1);
    };
    TestJob job([&] {
        ASYNC_unblock_pause();
        ASYNC_block_pause();
        ASYNC_block_pause();
        pause();
        ASYNC_unblock_pause();
        pause();
        ASYNC_unblock_pause();
        ASYNC_unblock_pause();
        pause();
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(pauses, 3);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

TEST(BlockPause, S8BelongsToTheJobAndIsZeroForTheNext) {
    ASYNC_block_pause();  // outside a job: nothing
    TestJob leaves_blocked([] { ASYNC_block_pause(); });
    EXPECT_EQ(leaves_blocked.go(), ASYNC_FINISH);
    expect_jobs_work();  // takes the same job from the pool

    TestJob blocked([] {
        ASYNC_block_pause();
        TestJob inner([] { EXPECT_EQ(ASYNC_pause_job(), 1); });
        EXPECT_EQ(inner.go(), ASYNC_PAUSE) << "blocked by the outer job's count";
        EXPECT_EQ(inner.go(), ASYNC_FINISH);
        EXPECT_EQ(ASYNC_pause_job(), 1);
    });
    EXPECT_EQ(blocked.go(), ASYNC_FINISH) << "the inner job took the count away";
}

TEST(Prefetch, TakesAnyHandleAndChangesNothing) {
    asyncjob_prefetch(nullptr);
    ASYNC_JOB* stale = nullptr;
    int error_number = 0;
    TestJob job([&] {
        stale = ASYNC_get_current_job();
        asyncjob_prefetch(stale);
        EXPECT_EQ(ASYNC_pause_job(), 1);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    errno = 71;
    asyncjob_prefetch(job.handle);
    error_number = errno;
    EXPECT_EQ(error_number, 71);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    asyncjob_prefetch(stale);
    ASYNC_cleanup_thread();  // gives its memory back
    asyncjob_prefetch(stale);
    expect_jobs_work();
}

}  // namespace
}  // namespace test
