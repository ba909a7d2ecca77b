// SPDX-License-Identifier: Apache-2.0
// Nesting (S5), many jobs in any order, and what happens when a thread ends (S13).
#include <pthread.h>

#include <algorithm>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

// Starts a job in a job, `depth` deep; the innermost pauses, and so does each behind it.
void nest(int depth) {
    ASYNC_JOB* const self = ASYNC_get_current_job();
    if (depth > 0) {
        TestJob inner([depth] { nest(depth - 1); });
        EXPECT_EQ(inner.go(), ASYNC_PAUSE);
        EXPECT_EQ(ASYNC_get_current_job(), self);
        EXPECT_NE(inner.handle, self);
        EXPECT_EQ(inner.go(), ASYNC_FINISH);
        EXPECT_EQ(ASYNC_get_current_job(), self);
    }
    EXPECT_EQ(ASYNC_pause_job(), 1);
    EXPECT_EQ(ASYNC_get_current_job(), self);
}

TEST(Nesting, S5GoesAHundredDeepAndThePauseIsTheInnermosts) {
    TestJob outermost([] { nest(100); });
    EXPECT_EQ(outermost.go(), ASYNC_PAUSE);
    EXPECT_EQ(ASYNC_get_current_job(), nullptr);
    EXPECT_EQ(outermost.go(), ASYNC_FINISH);
    EXPECT_EQ(ASYNC_get_current_job(), nullptr);
}

TEST(Nesting, S5APauseReturnsToWhoeverResumed) {
    std::vector<int> order;
    TestJob wanderer([&] {
        for (const int step : {1, 3, 5}) {
            order.push_back(step);
            ASYNC_pause_job();
        }
        order.push_back(7);
    });
    EXPECT_EQ(wanderer.go(), ASYNC_PAUSE);  // started outside
    order.push_back(2);
    TestJob first([&] {
        ASYNC_JOB* const self = ASYNC_get_current_job();
        EXPECT_EQ(wanderer.go(), ASYNC_PAUSE);
        EXPECT_EQ(ASYNC_get_current_job(), self);
        order.push_back(4);
        ASYNC_pause_job();
    });
    EXPECT_EQ(first.go(), ASYNC_PAUSE);
    TestJob second([&] {
        ASYNC_JOB* const self = ASYNC_get_current_job();
        EXPECT_EQ(wanderer.go(), ASYNC_PAUSE);
        EXPECT_EQ(ASYNC_get_current_job(), self);
        order.push_back(6);
    });
    EXPECT_EQ(second.go(), ASYNC_FINISH);
    EXPECT_EQ(wanderer.go(), ASYNC_FINISH);  // outside again
    EXPECT_EQ(first.go(), ASYNC_FINISH);
    EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4, 5, 6, 7}));
}

TEST(Nesting, S5AJobThatAJobStartedMayOutliveIt) {
    std::unique_ptr<TestJob> inner;
    TestJob outer([&] {
        inner = std::make_unique<TestJob>([] { ASYNC_pause_job(); });
        EXPECT_EQ(inner->go(), ASYNC_PAUSE);
    });
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
    EXPECT_EQ(inner->go(), ASYNC_FINISH);
}

TEST(Nesting, S5AJobThatWaitsForOneItStartedCannotBeResumedButAgainAfterIt) {
    TestJob outer([&] {
        ASYNC_JOB* const waiting = ASYNC_get_current_job();
        TestJob inner([waiting] {
            ASYNC_JOB* handle = waiting;
            int result = 0;
            EXPECT_EQ(ASYNC_start_job(&handle, nullptr, &result, return_seven, nullptr, 0),
                      ASYNC_ERR);
            EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_JOB_RUNNING);
            ASYNC_pause_job();
        });
        EXPECT_EQ(inner.go(), ASYNC_PAUSE);
        ASYNC_pause_job();
        EXPECT_EQ(inner.go(), ASYNC_FINISH);
    });
    EXPECT_EQ(outer.go(), ASYNC_PAUSE);
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
}

TEST(ManyJobs, ResumedInAnyOrderKeepTheirFramesApart) {
    std::mt19937 random(20240229);
    constexpr int count = 300;
    constexpr int pauses = 10;
    std::vector<std::unique_ptr<TestJob>> jobs;
    std::vector<int> order;
    for (int i = 0; i < count; ++i) {
        jobs.push_back(std::make_unique<TestJob>([i] {
            volatile int frame[500];
            for (int& value : const_cast<int(&)[500]>(frame))
                value = i;
            for (int pause = 0; pause < pauses; ++pause)
                ASYNC_pause_job();
            return static_cast<int>(std::count(std::begin(frame), std::end(frame), i));
        }));
        order.insert(order.end(), pauses + 1, i);
    }
    std::shuffle(order.begin(), order.end(), random);
    for (const int i : order)
        jobs[i]->go();
    for (const auto& job : jobs)
        EXPECT_EQ(job->result, 500);
}

// S13: runs `body` on a thread; returns how many jobs it left behind.
std::size_t left_behind_by(const std::function<void()>& body) {
    const std::size_t before = asyncjob_left_behind();
    std::thread(body).join();
    return asyncjob_left_behind() - before;
}

TEST(ThreadEnd, S13LeavesNothingBehindWhenAllJobsHaveFinished) {
    EXPECT_EQ(left_behind_by([] {
                  EXPECT_EQ(ASYNC_init_thread(0, 10), 1);
                  expect_jobs_work();
              }),
              0U);
    EXPECT_EQ(left_behind_by([] {}), 0U);
}

TEST(ThreadEnd, S13CountsThePausedJobsItLeavesBehind) {
    const auto leave = [](int count) {
        for (int i = 0; i < count; ++i) {
            ASYNC_JOB* job = nullptr;
            int result = 0;
            EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, pause_once, nullptr, 0), ASYNC_PAUSE);
        }
    };
    EXPECT_EQ(left_behind_by([&] { leave(3); }), 3U);
    EXPECT_EQ(left_behind_by([&] {
                  leave(20);
                  ASYNC_cleanup_thread();
                  expect_jobs_work();
              }),
              20U);
}

TEST(ThreadEnd, S13InsideAJobLeavesThatJobBehind) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "pthread_exit() leaves the job's stack and the tool is not told";
    EXPECT_EQ(left_behind_by([] {
                  TestJob job([] { pthread_exit(nullptr); });
                  job.go();
              }),
              1U);
    EXPECT_EQ(left_behind_by([] { expect_jobs_work(); }), 0U);
}

// A thread_local object whose destructor still uses jobs, and finishes a paused one.
struct UsesJobsAtTheEnd {
    ~UsesJobsAtTheEnd() {
        EXPECT_EQ(paused->go(), ASYNC_FINISH);
        expect_jobs_work();
    }
    std::unique_ptr<TestJob> paused;
};
thread_local UsesJobsAtTheEnd uses_jobs_at_the_end;

TEST(ThreadEnd, S13DestructorsOfThreadLocalsMayStillUseJobs) {
    EXPECT_EQ(left_behind_by([] {
                  uses_jobs_at_the_end.paused =
                      std::make_unique<TestJob>([] { ASYNC_pause_job(); });
                  EXPECT_EQ(uses_jobs_at_the_end.paused->go(), ASYNC_PAUSE);
              }),
              0U);
}

void use_jobs(void*) {
    expect_jobs_work();
}

// A thread whose keys of before and after the library's use jobs as they are destroyed.
class WithKeys : public testing::Test {
  protected:
    WithKeys() {
        pthread_key_create(&before_, use_jobs);
        expect_jobs_work();  // makes the library's key, if it is not there yet
        pthread_key_create(&after_, use_jobs);
    }
    ~WithKeys() override {
        pthread_key_delete(before_);
        pthread_key_delete(after_);
    }
    void run_thread() {
        std::thread([this] {
            expect_jobs_work();
            pthread_setspecific(before_, this);
            pthread_setspecific(after_, this);
        }).join();
    }
    pthread_key_t before_{};
    pthread_key_t after_{};
};

TEST_F(WithKeys, S13DestructorsOfOtherKeysMayStillUseJobsAndNothingIsLost) {
    const std::size_t left = asyncjob_left_behind();
    for (int i = 0; i < 10; ++i)
        run_thread();
    const Memory before = Memory::now();
    for (int i = 0; i < 300; ++i)
        run_thread();
    EXPECT_EQ(asyncjob_left_behind(), left);
    if (!memory_is_watched()) {
        EXPECT_LT(Memory::now().address_space, before.address_space + 2 * mib);
    }
}

TEST(ThreadEnd, S13AThousandThreadsLeaveTheProcessAsItWas) {
    const auto run_thread = [] {
        std::thread([] {
            EXPECT_EQ(ASYNC_init_thread(0, 20), 1);
            expect_jobs_work();
        }).join();
    };
    for (int i = 0; i < 20; ++i)
        run_thread();
    const Memory before = Memory::now();
    for (int i = 0; i < 1000; ++i)
        run_thread();
    if (memory_is_watched())
        GTEST_SKIP() << "a tool maps memory of its own";
    const Memory after = Memory::now();
    EXPECT_LE(after.mappings, before.mappings + 4);
    EXPECT_LT(after.address_space, before.address_space + mib);
    EXPECT_LT(after.resident, before.resident + mib);
}

TEST(ThreadEnd, S13AJobOfAnEndedThreadIsNotTakenForOneOfTheNext) {
    ASYNC_JOB* left = nullptr;
    EXPECT_EQ(left_behind_by([&] {
                  int result = 0;
                  EXPECT_EQ(ASYNC_start_job(&left, nullptr, &result, pause_once, nullptr, 0),
                            ASYNC_PAUSE);
              }),
              1U);
    // The next thread gets the same thread-local storage.
    std::thread([left] {
        for (int use = 0; use < 2; ++use) {
            ASYNC_JOB* handle = left;
            int result = 0;
            EXPECT_EQ(ASYNC_start_job(&handle, nullptr, &result, nullptr, nullptr, 0), ASYNC_ERR);
            EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_FOREIGN_THREAD);
            expect_jobs_work();
        }
    }).join();
}

}  // namespace
}  // namespace test
