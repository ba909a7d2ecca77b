// SPDX-License-Identifier: Apache-2.0
// The memory functions for stacks (S17). The first stack freezes them for the process, so
// each test that makes one runs in a child, and nothing else is in here.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

// A counting allocator over malloc, which does as it is told.
struct Allocator {
    std::map<void*, std::size_t> live;
    std::size_t asked = 0;   // by the last call
    std::size_t give = 0;    // bytes to give; 0: as asked
    std::size_t offset = 0;  // of what it returns, from malloc's alignment
    bool fail = false;
    int allocations = 0;
} allocator;

void* allocate(std::size_t* size) {
    allocator.asked = *size;
    if (allocator.fail)
        return nullptr;
    if (allocator.give != 0)
        *size = allocator.give;
    char* const memory = static_cast<char*>(std::malloc(*size + allocator.offset));
    allocator.live[memory + allocator.offset] = *size;
    ++allocator.allocations;
    return memory + allocator.offset;
}

void release(void* address) {
    EXPECT_EQ(allocator.live.erase(address), 1U);
    std::free(static_cast<char*>(address) - allocator.offset);
}

void set_allocator() {
    EXPECT_EQ(ASYNC_set_mem_functions(allocate, release), 1);
}

bool on_a_live_stack(const void* address) {
    const auto* const byte = static_cast<const char*>(address);
    for (const auto& [low, size] : allocator.live) {
        if (byte >= low && byte < static_cast<const char*>(low) + size)
            return true;
    }
    return false;
}

int use_stack(void*) {
    alignas(64) volatile char local[64] = {};
    // Under ASan a local may be on a fake stack; the frame never is.
    EXPECT_TRUE(on_a_live_stack(__builtin_frame_address(0)));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&local) % 64, 0U);
    EXPECT_EQ(ASYNC_pause_job(), 1);
    return local[63];
}

void run_a_job() {
    ASYNC_JOB* job = nullptr;
    int result = 7;
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, use_stack, nullptr, 0), ASYNC_PAUSE);
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, use_stack, nullptr, 0), ASYNC_FINISH);
    EXPECT_EQ(result, 0);
}

void expect_refused(int reason) {
    ASYNC_JOB* job = nullptr;
    int result = 99;
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, return_seven, nullptr, 0), ASYNC_ERR);
    EXPECT_EQ(asyncjob_last_reason(), reason);
    EXPECT_EQ(job, nullptr);
    EXPECT_EQ(result, 99);
    EXPECT_TRUE(allocator.live.empty());
}

TEST(MemoryFunctions, S17ThatWereSetMakeAndFreeEachStack) {
    EXPECT_TRUE(passes_in_child([] {
        set_allocator();
        EXPECT_EQ(ASYNC_init_thread(0, 3), 1);
        EXPECT_EQ(allocator.allocations, 3);
        EXPECT_EQ(allocator.asked, 96 * kib + guard_size);
        run_a_job();
        EXPECT_EQ(allocator.allocations, 3);
        ASYNC_cleanup_thread();
        EXPECT_TRUE(allocator.live.empty());
        run_a_job();
        EXPECT_EQ(allocator.live.size(), 1U);
        ASYNC_cleanup_thread();
        EXPECT_TRUE(allocator.live.empty());
    }));
}

TEST(MemoryFunctions, S17FreeTheStackOfAJobThatOutlivesItsPool) {
    EXPECT_TRUE(passes_in_child([] {
        set_allocator();
        TestJob job([] { ASYNC_pause_job(); });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        ASYNC_cleanup_thread();
        EXPECT_EQ(allocator.live.size(), 1U);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_TRUE(allocator.live.empty());
        std::thread(run_a_job).join();
        EXPECT_TRUE(allocator.live.empty());
    }));
}

TEST(MemoryFunctions, S17MayGiveMoreThanIsAskedFor) {
    EXPECT_TRUE(passes_in_child([] {
        allocator.give = 2 * mib;
        set_allocator();
        TestJob job([] {
            volatile char frame[mib + mib / 2];
            for (std::size_t i = 0; i < sizeof(frame); i += 64)
                frame[i] = 1;
            EXPECT_TRUE(under_asan || on_a_live_stack(const_cast<char*>(&frame[0])));
        });
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    }));
}

TEST(MemoryFunctions, S17MayGiveAsLittleAs16KiB) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "frames and the tool's runtime need more than 16 KiB";
    EXPECT_TRUE(passes_in_child([] {
        allocator.give = 16 * kib;
        set_allocator();
        TestJob job([] { EXPECT_TRUE(on_a_live_stack(__builtin_frame_address(0))); });
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    }));
}

TEST(MemoryFunctions, S17ThatGiveTooLittleAreRefusedAndGetItBack) {
    EXPECT_TRUE(passes_in_child([] {
        set_allocator();
        for (const std::size_t size : {16 * kib - 1, std::size_t{1}}) {
            allocator.give = size;
            expect_refused(ASYNCJOB_R_STACK_TOO_SMALL);
        }
        EXPECT_EQ(ASYNC_init_thread(0, 3), 0);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_STACK_TOO_SMALL);
        allocator.give = 0;
        run_a_job();
    }));
}

TEST(MemoryFunctions, S17ThatFailAreAnErrorWithAReason) {
    EXPECT_TRUE(passes_in_child([] {
        set_allocator();
        allocator.fail = true;
        expect_refused(ASYNCJOB_R_NO_STACK);
        allocator.fail = false;
        run_a_job();
    }));
}

TEST(MemoryFunctions, S17ThatFailForOneOfSeveralLeaveNone) {
    EXPECT_TRUE(passes_in_child([] {
        EXPECT_EQ(ASYNC_set_mem_functions(
                      [](std::size_t* size) {
                          allocator.fail = allocator.allocations == 4;
                          return allocate(size);
                      },
                      release),
                  1);
        EXPECT_EQ(ASYNC_init_thread(0, 9), 0);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NO_STACK);
        EXPECT_TRUE(allocator.live.empty());
    }));
}

TEST(MemoryFunctions, S17MayReturnAnyAddressAndSize) {
    EXPECT_TRUE(passes_in_child([] {
        set_allocator();
        for (const std::size_t offset : {1, 7, 8, 24, 63}) {
            for (const std::size_t size : {64 * kib, 64 * kib + 1, 100001 * std::size_t{1}}) {
                allocator.offset = offset;
                allocator.give = size;
                run_a_job();
                ASYNC_cleanup_thread();
                EXPECT_TRUE(allocator.live.empty());
            }
        }
    }));
}

// Their jobs' headers stand elsewhere, which must not hide them from those who look for all.
TEST(MemoryFunctions, S6S17AllJobsOnTheirStacksCanBeCancelled) {
    EXPECT_TRUE(passes_in_child([] {
        set_allocator();
        const auto leave_paused = [](std::size_t count) {
            for (std::size_t i = 0; i < count; ++i) {
                ASYNC_JOB* job = nullptr;
                int result = 0;
                EXPECT_EQ(ASYNC_start_job(
                              &job, nullptr, &result,
                              [](void*) { return ASYNC_pause_job() == 0 ? 0 : 1; }, nullptr, 0),
                          ASYNC_PAUSE);
            }
        };
        leave_paused(50);
        EXPECT_EQ(asyncjob_cancel_all(), 50U);
        leave_paused(100);
        ASYNC_cleanup_thread();
        EXPECT_EQ(allocator.live.size(), 100U);
        EXPECT_EQ(asyncjob_cancel_all(), 100U);
        EXPECT_TRUE(allocator.live.empty());
    }));
}

TEST(MemoryFunctions, S17AreBothOrNeither) {
    EXPECT_TRUE(passes_in_child([] {
        set_allocator();
        EXPECT_EQ(ASYNC_set_mem_functions(allocate, nullptr), 0);
        EXPECT_EQ(ASYNC_set_mem_functions(nullptr, std::free), 0);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NULL_ARGUMENT);
        run_a_job();
        EXPECT_EQ(allocator.allocations, 1) << "a refused call changed them";
    }));
}

TEST(MemoryFunctions, S17CanBeSetUntilTheFirstStackAndGivenBack) {
    EXPECT_TRUE(passes_in_child([] {
        set_allocator();
        set_allocator();
        EXPECT_EQ(ASYNC_init_thread(5, 0), 1);  // makes none
        EXPECT_EQ(ASYNC_set_mem_functions(nullptr, nullptr), 1);
        expect_jobs_work();
        EXPECT_EQ(allocator.allocations, 0);
        EXPECT_EQ(ASYNC_set_mem_functions(allocate, release), 0);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_STACKS_IN_USE);
        ASYNC_cleanup_thread();
        EXPECT_EQ(ASYNC_set_mem_functions(allocate, release), 0);
        EXPECT_EQ(ASYNC_set_mem_functions(nullptr, nullptr), 0);
        std::thread([] { expect_jobs_work(); }).join();
        EXPECT_EQ(allocator.allocations, 0);
    }));
}

TEST(MemoryFunctions, S17GetGivesThoseInForce) {
    EXPECT_TRUE(passes_in_child([] {
        ASYNC_stack_alloc_fn allocates = nullptr;
        ASYNC_stack_free_fn releases = nullptr;
        ASYNC_get_mem_functions(nullptr, nullptr);
        ASYNC_get_mem_functions(&allocates, nullptr);
        EXPECT_NE(allocates, allocate);
        set_allocator();
        ASYNC_get_mem_functions(&allocates, nullptr);
        ASYNC_get_mem_functions(nullptr, &releases);
        EXPECT_EQ(allocates, allocate);
        EXPECT_EQ(releases, release);
        run_a_job();
        allocates = nullptr;
        ASYNC_get_mem_functions(&allocates, &releases);
        EXPECT_EQ(allocates, allocate);
    }));
}

TEST(OwnMemoryFunctions, S17WorkByThemselves) {
    ASYNC_stack_alloc_fn allocates = nullptr;
    ASYNC_stack_free_fn releases = nullptr;
    ASYNC_get_mem_functions(&allocates, &releases);
    ASSERT_NE(allocates, nullptr);
    ASSERT_NE(releases, nullptr);
    for (const std::size_t asked : {std::size_t{1}, 4 * kib, 100 * kib, 128 * kib + 1}) {
        std::size_t size = asked;
        auto* const memory = static_cast<char*>(allocates(&size));
        ASSERT_NE(memory, nullptr);
        EXPECT_GE(size, asked);
        std::memset(memory, 1, size);
        releases(memory);
    }
    for (const std::size_t asked : {std::numeric_limits<std::size_t>::max(),
                                    std::numeric_limits<std::size_t>::max() / 8 * 7}) {
        std::size_t size = asked;
        EXPECT_EQ(allocates(&size), nullptr);
        EXPECT_EQ(size, asked);
    }
    EXPECT_EQ(allocates(nullptr), nullptr);
    releases(nullptr);
}

ASYNC_stack_alloc_fn own_allocate = nullptr;
ASYNC_stack_free_fn own_release = nullptr;

TEST(OwnMemoryFunctions, S17CanBeWrapped) {
    EXPECT_TRUE(passes_in_child([] {
        ASYNC_get_mem_functions(&own_allocate, &own_release);
        EXPECT_EQ(ASYNC_set_mem_functions(
                      [](std::size_t* size) {
                          *size *= 4;
                          void* const stack = own_allocate(size);
                          allocator.live[stack] = *size;
                          return stack;
                      },
                      [](void* stack) {
                          EXPECT_EQ(allocator.live.erase(stack), 1U);
                          own_release(stack);
                      }),
                  1);
        run_a_job();
        EXPECT_EQ(allocator.live.begin()->second, 4 * (96 * kib + guard_size));
        ASYNC_cleanup_thread();
        EXPECT_TRUE(allocator.live.empty());
    }));
}

// Bytes that have become resident since `before`.
std::size_t grown_since(const Memory& before) {
    const std::size_t now = Memory::now().resident;
    return now - std::min(now, before.resident);
}

// Runs so many jobs at a time which each touch so much.
void run_deep_jobs(std::size_t count, std::size_t bytes) {
    std::vector<std::unique_ptr<TestJob>> jobs;
    for (std::size_t i = 0; i < count; ++i) {
        jobs.push_back(std::make_unique<TestJob>([bytes] {
            volatile char* const frame = static_cast<volatile char*>(__builtin_alloca(bytes));
            for (std::size_t at = 0; at < bytes; at += 4 * kib)
                frame[at] = 1;
            ASYNC_pause_job();
        }));
        EXPECT_EQ(jobs.back()->go(), ASYNC_PAUSE);
    }
    for (const auto& job : jobs)
        EXPECT_EQ(job->go(), ASYNC_FINISH);
}

// One job stays paused, so that the others' slab is not given back as a whole.
void expect_growth(const asyncjob_thread_options& options, std::size_t jobs, std::size_t bytes,
                   std::size_t least, std::size_t most) {
    EXPECT_EQ(asyncjob_init_thread(&options), 1);
    TestJob stays([] { ASYNC_pause_job(); });
    EXPECT_EQ(stays.go(), ASYNC_PAUSE);
    run_deep_jobs(1, 4 * kib);
    const Memory before = Memory::now();
    run_deep_jobs(jobs, bytes);
    EXPECT_GE(grown_since(before), least);
    EXPECT_LE(grown_since(before), most);
    EXPECT_EQ(stays.go(), ASYNC_FINISH);
}

TEST(Slabs, KeepLittleOfLargeStacksThatWereGivenBack) {
    if (memory_is_watched())
        GTEST_SKIP() << "the tool takes memory itself";
    EXPECT_TRUE(passes_in_child([] {
        asyncjob_thread_options options;
        asyncjob_options_default(&options, sizeof options);
        options.idle_high_water = 0;
        options.stack_size = 8 * mib;
        expect_growth(options, 5, 6 * mib, 0, mib);
    }));
    EXPECT_TRUE(passes_in_child([] {
        asyncjob_thread_options options;
        asyncjob_options_default(&options, sizeof options);
        options.idle_high_water = 0;
        options.stack_size = mib;
        expect_growth(options, 6, 900 * kib, 0, 4 * mib);
    }));
}

TEST(Slabs, GiveTheMemoryOfIdleJobsBackThatAreAboveTheHighWaterMark) {
    if (memory_is_watched())
        GTEST_SKIP() << "the tool takes memory itself";
    EXPECT_TRUE(passes_in_child([] {
        asyncjob_thread_options options;
        asyncjob_options_default(&options, sizeof options);
        options.idle_high_water = 20;
        // The last look at them is at the 41st; 20 are kept, then 20 more.
        expect_growth(options, 60, 90 * kib, 20 * 90 * kib, 42 * 100 * kib);
    }));
}

}  // namespace
}  // namespace test
