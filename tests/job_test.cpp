// SPDX-License-Identifier: Apache-2.0
// The argument copy, results, and the memory of job headers.
#include <pthread.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

class Arguments : public testing::TestWithParam<std::size_t> {};

struct Expected {
    const unsigned char* source;
    std::vector<unsigned char> bytes;
} expected;

int check_arguments(void* args) {
    const auto* const copy = static_cast<const unsigned char*>(args);
    EXPECT_NE(copy, nullptr);
    EXPECT_NE(copy, expected.source);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(copy) % 64, 0U);
    EXPECT_TRUE(std::equal(expected.bytes.begin(), expected.bytes.end(), copy));
    // The frames of the job must not lie on its arguments.
    volatile unsigned char frame[4096];
    for (std::size_t i = 0; i < sizeof(frame); ++i)
        frame[i] = 0xA5;
    ASYNC_pause_job();
    EXPECT_TRUE(std::equal(expected.bytes.begin(), expected.bytes.end(), copy));
    return frame[4095];
}

// S1.
TEST_P(Arguments, S1AreCopiedAndAlignedForAnyType) {
    std::vector<unsigned char> args(GetParam() + 1);
    std::iota(args.begin(), args.end(), static_cast<unsigned char>(1));
    expected = {args.data(), {args.begin(), args.end() - 1}};
    for (int times = 0; times < 3; ++times) {  // the second job comes from the pool
        std::vector<unsigned char> given = args;
        ASYNC_JOB* job = nullptr;
        int result = 0;
        ASSERT_EQ(
            ASYNC_start_job(&job, nullptr, &result, check_arguments, given.data(), GetParam()),
            ASYNC_PAUSE);
        std::fill(given.begin(), given.end(), static_cast<unsigned char>(0));
        EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, nullptr, nullptr, 0), ASYNC_FINISH);
        EXPECT_EQ(result, 0xA5);
    }
}
INSTANTIATE_TEST_SUITE_P(Sizes, Arguments,
                         testing::Values(0, 1, 63, 64, 65, 1023, 1024, 1025, 100 * kib),
                         [](const auto& info) { return std::to_string(info.param); });

TEST(ArgumentsOfAJob, S1NullIsPassedAsNullWhateverTheSize) {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    const auto is_null = [](void* args) { return args == nullptr ? 1 : 2; };
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, is_null, nullptr, 100), ASYNC_FINISH);
    EXPECT_EQ(result, 1);
    char args[2000] = {};  // the job's arguments before this one's
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, is_null, args, sizeof(args)), ASYNC_FINISH);
    EXPECT_EQ(result, 2);
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, is_null, nullptr, 0), ASYNC_FINISH);
    EXPECT_EQ(result, 1);
}

// A few KiB of stack are gone for arguments, most of it is the function's.
TEST(ArgumentsOfAJob, LeaveTheFunctionMostOfItsStack) {
    const auto use = [](void*) {
        volatile unsigned char frame[80 * kib];
        for (std::size_t i = 0; i < sizeof(frame); i += 64)
            frame[i] = 1;
        return static_cast<int>(frame[0]);
    };
    char args[1024] = {};
    ASYNC_JOB* job = nullptr;
    int result = 0;
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, use, args, sizeof(args)), ASYNC_FINISH);
    EXPECT_EQ(result, 1);
}

TEST(ArgumentsOfAJob, OfAJobBeforeLeaveTheNextItsWholeStack) {
    static std::uintptr_t first;
    static std::uintptr_t frame;
    const auto note = [](void*) {
        frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        return 0;
    };
    ASYNC_JOB* job = nullptr;
    int result = 0;
    ASYNC_cleanup_thread();
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, note, nullptr, 0), ASYNC_FINISH);
    first = frame;
    static char args[4096];
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, note, args, sizeof(args)), ASYNC_FINISH);
    EXPECT_LT(frame, first);
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, note, nullptr, 0), ASYNC_FINISH);
    EXPECT_EQ(frame, first);
}

TEST(Result, S2IsWhateverTheFunctionReturns) {
    for (const int value : {0, 1, -1, 2, 3, 0x7fffffff, -0x7fffffff - 1}) {
        TestJob job([value] { return value; });
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(job.result, value);
        EXPECT_EQ(job.handle, nullptr);
    }
}

TEST(Result, S2IsNotTouchedByAPause) {
    TestJob job([] {
        ASYNC_pause_job();
        return 5;
    });
    job.result = 99;
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(job.result, 99);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(job.result, 5);
}

// The memory of headers stays, but what one thread had serves the next.
TEST(Headers, AreRecycledBetweenThreads) {
    std::vector<std::uintptr_t> first;
    std::vector<std::uintptr_t> second;
    const auto collect = [](std::vector<std::uintptr_t>& headers) {
        constexpr int count = 100;
        std::vector<std::unique_ptr<TestJob>> jobs;
        for (int i = 0; i < count; ++i) {
            jobs.push_back(std::make_unique<TestJob>([] { ASYNC_pause_job(); }));
            EXPECT_EQ(jobs.back()->go(), ASYNC_PAUSE);
            // The low bits tell one job of a header from the next.
            headers.push_back(reinterpret_cast<std::uintptr_t>(jobs.back()->handle) / 64);
        }
        for (auto& job : jobs)
            EXPECT_EQ(job->go(), ASYNC_FINISH);
        std::sort(headers.begin(), headers.end());
    };
    std::thread([&] { collect(first); }).join();
    std::thread([&] { collect(second); }).join();
    EXPECT_EQ(first, second);
}

// A wake-up that comes too late must not resume the job that has the header now.
TEST(Headers, S4AHandleOfTheJobBeforeIsRefused) {
    TestJob early([] { ASYNC_pause_job(); });
    EXPECT_EQ(early.go(), ASYNC_PAUSE);
    ASYNC_JOB* const kept = early.handle;
    EXPECT_EQ(early.go(), ASYNC_FINISH);
    EXPECT_EQ(ASYNC_get_wait_ctx(kept), nullptr);
    TestJob later([] { ASYNC_pause_job(); });
    EXPECT_EQ(later.go(), ASYNC_PAUSE);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(kept) / 64,
              reinterpret_cast<std::uintptr_t>(later.handle) / 64)
        << "the header was to serve again";
    ASYNC_JOB* stale = kept;
    int result = 99;
    EXPECT_EQ(ASYNC_start_job(&stale, nullptr, &result, nullptr, nullptr, 0), ASYNC_ERR);
    EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_JOB_NOT_PAUSED);
    EXPECT_EQ(stale, kept);
    EXPECT_EQ(result, 99);
    EXPECT_EQ(later.go(), ASYNC_FINISH);
}

// S13: the destructors of a thread's keys run in an order that nobody chose.
TEST(ThreadExit, S13ADestructorOfALaterKeyCanStillResumeAPausedJob) {
    static int status;
    static pthread_key_t key;
    status = ASYNC_ERR;
    const std::size_t left = asyncjob_left_behind();
    std::thread([] {
        static thread_local ASYNC_JOB* job = nullptr;
        static thread_local int result = 0;
        EXPECT_EQ(ASYNC_start_job(
                      &job, nullptr, &result, [](void*) { return ASYNC_pause_job(); }, nullptr, 0),
                  ASYNC_PAUSE);
        ASSERT_EQ(pthread_key_create(&key,
                                     [](void* handle) {
                                         auto* paused = static_cast<ASYNC_JOB*>(handle);
                                         int value = 0;
                                         status = ASYNC_start_job(&paused, nullptr, &value, nullptr,
                                                                  nullptr, 0);
                                     }),
                  0);
        ASSERT_EQ(pthread_setspecific(key, job), 0);
    }).join();
    pthread_key_delete(key);
    EXPECT_EQ(status, ASYNC_FINISH);
    EXPECT_EQ(asyncjob_left_behind(), left);
}

TEST(Headers, OfLiveJobsAreNeverShared) {
    constexpr int threads = 4;
    std::atomic<int> ready = 0;
    std::vector<std::vector<ASYNC_JOB*>> handles(threads);
    std::vector<std::thread> running;
    for (int thread = 0; thread < threads; ++thread) {
        running.emplace_back([&, thread] {
            for (int round = 0; round < 20; ++round) {
                std::thread([] { expect_jobs_work(); }).join();
                std::vector<std::unique_ptr<TestJob>> jobs;
                for (int i = 0; i < 50; ++i) {
                    jobs.push_back(std::make_unique<TestJob>([] { ASYNC_pause_job(); }));
                    EXPECT_EQ(jobs.back()->go(), ASYNC_PAUSE);
                }
                if (round == 19) {
                    for (const auto& job : jobs)
                        handles[thread].push_back(job->handle);
                    ++ready;
                    while (ready != threads)
                        std::this_thread::yield();
                }
                for (auto& job : jobs)
                    EXPECT_EQ(job->go(), ASYNC_FINISH);
                if (round % 3 == 0)
                    ASYNC_cleanup_thread();
            }
        });
    }
    for (auto& thread : running)
        thread.join();
    std::vector<ASYNC_JOB*> all;
    for (const auto& some : handles)
        all.insert(all.end(), some.begin(), some.end());
    std::sort(all.begin(), all.end());
    EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
}

}  // namespace
}  // namespace test
