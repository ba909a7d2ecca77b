// SPDX-License-Identifier: Apache-2.0
// The API in the child of a fork (S14).
#include <functional>
#include <thread>

#include "misuse.hpp"

namespace test {
namespace {

// Forks while `body` runs over and over on another thread; each child uses the API.
void fork_while(const std::function<void()>& body, const std::function<void()>& in_child) {
    std::atomic<bool> done = false;
    std::thread other([&] {
        while (!done)
            body();
    });
    constexpr int children = emulated ? 20 : 300;
    for (int i = 0; i < children; ++i) {
        const testing::AssertionResult passed = passes_in_child(in_child);
        EXPECT_TRUE(passed) << "child " << i;
        if (!passed)
            break;
    }
    done = true;
    other.join();
}

// The first test of this program, as the functions are settable until there is a stack.
TEST(Fork, S14WhileAnotherThreadSetsMemoryFunctions) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool's own locks do not survive a fork with threads";
    EXPECT_TRUE(passes_in_child([] {
        fork_while([] { EXPECT_EQ(ASYNC_set_mem_functions(nullptr, nullptr), 1); },
                   [] {
                       ASYNC_stack_alloc_fn allocate = nullptr;
                       EXPECT_EQ(ASYNC_set_mem_functions(nullptr, nullptr), 1);
                       ASYNC_get_mem_functions(&allocate, nullptr);
                       EXPECT_NE(allocate, nullptr);
                       expect_jobs_work();
                   });
    }));
}

// TSan wants no thread in the child of a process with threads, and has one itself; qemu-user dies
// of one.
void on_a_thread_of_the_child(const std::function<void()>& body) {
    if (!under_tsan && !emulated)
        std::thread(body).join();
}

TEST(Fork, S14TheChildStartsJobsOfItsOwn) {
    EXPECT_TRUE(passes_in_child([] { expect_jobs_work(); }));
    expect_jobs_work();
    EXPECT_TRUE(passes_in_child([] {
        expect_jobs_work();
        EXPECT_EQ(ASYNC_init_thread(0, 20), 1);
        ASYNC_cleanup_thread();
        expect_jobs_work();
        on_a_thread_of_the_child(expect_jobs_work);
    }));
    expect_jobs_work();
}

TEST(Fork, S14BothResumeTheirCopyOfAPausedJob) {
    int value = 0;
    TestJob job([&] {
        int frame = 5;
        ASYNC_pause_job();
        frame += value;
        ASYNC_pause_job();
        return frame;
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_TRUE(passes_in_child([&] {
        value = 10;
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(job.result, 15);
    }));
    value = 20;
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(job.result, 25);
}

TEST(Fork, S14TheChildRefusesJobsOfOtherThreads) {
    const ForeignJob foreign(false);
    EXPECT_TRUE(passes_in_child([&] {
        EXPECT_EQ(start_wrongly(foreign.handle), ASYNC_ERR);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_FOREIGN_THREAD);
        // Nor does a thread of the child's own take them for its own.
        on_a_thread_of_the_child([&] {
            EXPECT_EQ(start_wrongly(foreign.handle), ASYNC_ERR);
            expect_jobs_work();
            EXPECT_EQ(start_wrongly(foreign.handle), ASYNC_ERR);
            EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_FOREIGN_THREAD);
        });
    }));
}

TEST(Fork, S14InsideAJobBothSidesGoOn) {
    TestJob outer([] {
        TestJob job([] {
            EXPECT_TRUE(passes_in_child([] {
                EXPECT_EQ(ASYNC_pause_job(), 1);
                TestJob inner([] { ASYNC_pause_job(); });
                EXPECT_EQ(inner.go(), ASYNC_PAUSE);
                EXPECT_EQ(inner.go(), ASYNC_FINISH);
            }));
            EXPECT_EQ(ASYNC_pause_job(), 1);
        });
        // In parent and child: the pause comes here, on either side of the fork.
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    });
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
}

TEST(Fork, S14WhileAnotherThreadStartsJobs) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool's own locks do not survive a fork with threads";
    EXPECT_TRUE(passes_in_child([] {
        expect_jobs_work();
        fork_while(
            [] {
                expect_jobs_work();
                ASYNC_cleanup_thread();
                std::thread([] { expect_jobs_work(); }).join();
            },
            [] {
                expect_jobs_work();
                ASYNC_cleanup_thread();
                on_a_thread_of_the_child(expect_jobs_work);
            });
    }));
}

// S14, S28: another thread is just then looking for a libcrypto, of which there is none.
TEST(Fork, S14WhileAnotherThreadFails) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool's own locks do not survive a fork with threads";
    EXPECT_TRUE(passes_in_child([] {
        constexpr int failures = 20;
        const auto fail = [] { EXPECT_EQ(ASYNC_WAIT_CTX_clear_fd(no_context, nullptr), 0); };
        fork_while(fail, [&] {
            for (int i = 0; i < failures; ++i)
                fail();
            expect_jobs_work();
            on_a_thread_of_the_child(expect_jobs_work);
        });
    }));
}

}  // namespace
}  // namespace test
