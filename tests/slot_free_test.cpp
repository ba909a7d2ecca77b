// SPDX-License-Identifier: Apache-2.0
// asyncjob_on_slot_free(): when it calls, how often, and what the callback may do.
#include <cerrno>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

int paused_job(void*) {
    ASYNC_pause_job();
    return 7;
}

// A thread with a limit, its jobs, and what its callback does.
struct Full {
    explicit Full(std::size_t limit) {
        EXPECT_EQ(ASYNC_init_thread(limit, 0), 1);
        EXPECT_EQ(asyncjob_on_slot_free(called, this), 1);
        for (std::size_t i = 0; i < limit; ++i)
            EXPECT_EQ(start(), ASYNC_PAUSE);
    }
    Full(const Full&) = delete;
    Full& operator=(const Full&) = delete;
    ~Full() {
        asyncjob_on_slot_free(nullptr, nullptr);
        while (!jobs.empty())
            finish();
    }

    int start() {
        ASYNC_JOB* job = nullptr;
        const int status = ASYNC_start_job(&job, nullptr, &result, paused_job, nullptr, 0);
        if (status == ASYNC_PAUSE)
            jobs.push_back(job);
        return status;
    }
    void finish() {
        ASYNC_JOB* job = jobs.back();
        jobs.pop_back();
        EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, nullptr, nullptr, 0), ASYNC_FINISH);
        EXPECT_EQ(job, nullptr);
    }
    static void called(void* arg) {
        auto& self = *static_cast<Full*>(arg);
        ++self.calls;
        if (self.then)
            self.then();
    }

    std::vector<ASYNC_JOB*> jobs;
    std::function<void()> then;
    int calls = 0;
    int result = 0;
};

void on_a_thread(const std::function<void()>& body) {
    std::thread(body).join();
}

TEST(SlotFree, IsToldOnceForEachNoJobsThatIsFollowedByAnEnd) {
    on_a_thread([] {
        Full full(3);
        full.finish();
        EXPECT_EQ(full.calls, 0) << "nobody was refused";
        EXPECT_EQ(full.start(), ASYNC_PAUSE);
        for (int refused = 0; refused < 5; ++refused)
            EXPECT_EQ(full.start(), ASYNC_NO_JOBS);
        EXPECT_EQ(full.calls, 0);
        full.finish();
        EXPECT_EQ(full.calls, 1);
        full.finish();
        EXPECT_EQ(full.calls, 1);
        EXPECT_EQ(full.start(), ASYNC_PAUSE);
        EXPECT_EQ(full.start(), ASYNC_PAUSE);
        EXPECT_EQ(full.start(), ASYNC_NO_JOBS);
        full.finish();
        EXPECT_EQ(full.calls, 2);
    });
}

TEST(SlotFree, IsToldAfterTheEndWhenThereIsRoom) {
    on_a_thread([] {
        Full full(2);
        EXPECT_EQ(full.start(), ASYNC_NO_JOBS);
        full.then = [&full] {
            EXPECT_EQ(full.result, 7);
            EXPECT_EQ(ASYNC_get_current_job(), nullptr);
            EXPECT_EQ(full.start(), ASYNC_PAUSE);
            EXPECT_EQ(full.start(), ASYNC_NO_JOBS) << "one job has ended";
        };
        full.finish();
        EXPECT_EQ(full.calls, 1);
        EXPECT_EQ(full.jobs.size(), 2U);
        full.finish();
        EXPECT_EQ(full.calls, 2) << "the callback was refused itself";
        EXPECT_EQ(full.jobs.size(), 2U);
        full.then = nullptr;
    });
}

TEST(SlotFree, IsToldByACancelToo) {
    on_a_thread([] {
        Full full(2);
        EXPECT_EQ(full.start(), ASYNC_NO_JOBS);
        int result = 0;
        EXPECT_EQ(asyncjob_cancel(&full.jobs.back(), &result), ASYNC_FINISH);
        full.jobs.pop_back();
        EXPECT_EQ(full.calls, 1);
    });
}

TEST(SlotFree, IsToldByTheEndOfTheJobThatWasRefusedItself) {
    on_a_thread([] {
        EXPECT_EQ(ASYNC_init_thread(1, 0), 1);
        int calls = 0;
        asyncjob_on_slot_free([](void* arg) { ++*static_cast<int*>(arg); }, &calls);
        TestJob outer([] {
            TestJob inner([] {});
            EXPECT_EQ(inner.go(), ASYNC_NO_JOBS);
        });
        EXPECT_EQ(outer.go(), ASYNC_FINISH);
        EXPECT_EQ(calls, 1);
        TestJob alone([] {});
        EXPECT_EQ(alone.go(), ASYNC_FINISH);
        EXPECT_EQ(calls, 1);
    });
}

TEST(SlotFree, InANestedJobTheCallbackMayPauseTheOuterOne) {
    on_a_thread([] {
        EXPECT_EQ(ASYNC_init_thread(2, 0), 1);
        static ASYNC_JOB* in_callback;
        in_callback = nullptr;
        asyncjob_on_slot_free(
            [](void*) {
                in_callback = ASYNC_get_current_job();
                EXPECT_EQ(ASYNC_pause_job(), 1);
            },
            nullptr);
        ASYNC_JOB* outer_handle = nullptr;
        TestJob outer([&outer_handle] {
            outer_handle = ASYNC_get_current_job();
            TestJob inner([] { ASYNC_pause_job(); });
            TestJob third([] {});
            EXPECT_EQ(inner.go(), ASYNC_PAUSE);
            EXPECT_EQ(third.go(), ASYNC_NO_JOBS);
            EXPECT_EQ(inner.go(), ASYNC_FINISH);
            EXPECT_EQ(ASYNC_get_current_job(), outer_handle);
        });
        EXPECT_EQ(outer.go(), ASYNC_PAUSE);
        EXPECT_EQ(in_callback, outer_handle);
        EXPECT_EQ(outer.go(), ASYNC_FINISH);
    });
}

TEST(SlotFree, KeepsErrnoAsTheJobLeftIt) {
    on_a_thread([] {
        EXPECT_EQ(ASYNC_init_thread(1, 0), 1);
        asyncjob_on_slot_free([](void*) { errno = EIO; }, nullptr);
        TestJob job([] {
            ASYNC_pause_job();
            errno = EAGAIN;
        });
        TestJob other([] {});
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(other.go(), ASYNC_NO_JOBS);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(errno, EAGAIN);
    });
}

TEST(SlotFree, IsNotToldWhileALowerLimitIsStillReached) {
    on_a_thread([] {
        Full full(4);
        EXPECT_EQ(ASYNC_init_thread(2, 0), 1);
        EXPECT_EQ(full.start(), ASYNC_NO_JOBS);
        full.finish();
        full.finish();
        EXPECT_EQ(full.calls, 0) << "there is no room yet";
        full.finish();
        EXPECT_EQ(full.calls, 1);
        EXPECT_EQ(full.start(), ASYNC_PAUSE);
    });
}

TEST(SlotFree, TakenAwayIsNotCalled) {
    on_a_thread([] {
        Full full(1);
        EXPECT_EQ(full.start(), ASYNC_NO_JOBS);
        EXPECT_EQ(asyncjob_on_slot_free(nullptr, nullptr), 1);
        full.finish();
        EXPECT_EQ(full.calls, 0);
        EXPECT_EQ(full.start(), ASYNC_PAUSE);
        EXPECT_EQ(full.start(), ASYNC_NO_JOBS);
        EXPECT_EQ(asyncjob_on_slot_free(Full::called, &full), 1);
        full.finish();
        EXPECT_EQ(full.calls, 0) << "refused before it was set";
    });
}

TEST(SlotFree, BelongsToItsThread) {
    on_a_thread([] {
        Full full(1);
        EXPECT_EQ(full.start(), ASYNC_NO_JOBS);
        on_a_thread([] {
            Full other(1);
            EXPECT_EQ(other.start(), ASYNC_NO_JOBS);
            other.finish();
            EXPECT_EQ(other.calls, 1);
        });
        EXPECT_EQ(full.calls, 0);
    });
}

}  // namespace
}  // namespace test
