// SPDX-License-Identifier: Apache-2.0
// Options of a thread: what is refused, what holds, and what stacks and idle jobs are like then.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

using Options = asyncjob_thread_options;

Options defaults() {
    Options options;
    EXPECT_EQ(asyncjob_options_default(&options, sizeof options), 1);
    return options;
}

Options in_force() {
    Options options;
    EXPECT_EQ(asyncjob_get_thread_options(&options, sizeof options), 1);
    return options;
}

void set_thread(const Options& options) {
    EXPECT_EQ(asyncjob_init_thread(&options), 1) << asyncjob_reason_string(asyncjob_last_reason());
}

// The options are gone with the thread, and the user's memory functions, which can be set before
// the first stack only, with the process.
void on_a_thread(const std::function<void()>& body) {
    EXPECT_TRUE(passes_in_child([&body] { std::thread(body).join(); }));
}

bool same(const Options& one, const Options& other) {
    return std::memcmp(&one, &other, sizeof one) == 0;
}

std::size_t page() {
    return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// Touches `bytes` of the stack in one frame, from the upper end to the lower.
[[gnu::noinline]] void use_stack(std::size_t bytes) {
    volatile char* const frame = static_cast<volatile char*>(__builtin_alloca(bytes));
    for (std::size_t at = bytes; at > 0; at -= std::min<std::size_t>(at, 512))
        frame[at - 1] = 1;
    frame[0] = 1;
}

TEST(Options, OfAThreadThatSetsNoneAreTheDefaults) {
    on_a_thread([] {
        EXPECT_TRUE(same(in_force(), defaults()));
        expect_jobs_work();
        EXPECT_TRUE(same(in_force(), defaults()));
    });
    const Options options = defaults();
    EXPECT_EQ(options.size, sizeof options);
    EXPECT_EQ(options.max_jobs, 0U);
    EXPECT_EQ(options.prepared_jobs, 0U);
    EXPECT_EQ(options.stack_size, 96 * kib);
    EXPECT_EQ(options.idle_high_water, 1024U);
    EXPECT_EQ(options.guard, ASYNCJOB_GUARD_EACH);
}

TEST(Options, HoldAsTheyAreSetAndAreForgottenByACleanup) {
    on_a_thread([] {
        Options options = defaults();
        options.max_jobs = 7;
        options.prepared_jobs = 2;
        options.stack_size = 40 * kib;
        options.idle_high_water = 3;
        options.guard = ASYNCJOB_GUARD_NONE;
        options.stamp_pauses = 1;
        set_thread(options);
        EXPECT_TRUE(same(in_force(), options));
        EXPECT_EQ(ASYNC_init_thread(9, 1), 1);
        options.max_jobs = 9;
        options.prepared_jobs = 1;
        EXPECT_TRUE(same(in_force(), options)) << "ASYNC_init_thread() has two of them only";
        expect_jobs_work();
        ASYNC_cleanup_thread();
        EXPECT_TRUE(same(in_force(), defaults()));
        expect_jobs_work();
    });
}

TEST(Options, RoundStacksUpToTwoPages) {
    on_a_thread([] {
        Options options = defaults();
        for (const std::size_t size : {ASYNCJOB_STACK_MIN, 16 * kib + 1, 24 * kib, 1000 * kib}) {
            options.stack_size = size;
            set_thread(options);
            EXPECT_GE(in_force().stack_size, size);
            EXPECT_LT(in_force().stack_size, size + 2 * page());
            EXPECT_EQ(in_force().stack_size % (2 * page()), 0U);
        }
    });
}

struct Refusal {
    const char* name;
    int reason;
    void (*spoil)(Options&);
};
const Refusal refusals[] = {
    {"SizeNotSet", ASYNCJOB_R_INVALID_STRUCT_SIZE, [](Options& o) { o.size = 0; }},
    {"SizeTooSmall", ASYNCJOB_R_INVALID_STRUCT_SIZE, [](Options& o) { --o.size; }},
    {"SizeOfGarbage", ASYNCJOB_R_INVALID_STRUCT_SIZE, [](Options& o) { o.size = ~std::size_t{0}; }},
    {"PreparedOverMax", ASYNC_R_INVALID_POOL_SIZE,
     [](Options& o) {
         o.max_jobs = 3;
         o.prepared_jobs = 4;
     }},
    {"NoStack", ASYNCJOB_R_INVALID_STACK_SIZE, [](Options& o) { o.stack_size = 0; }},
    {"StackTooSmall", ASYNCJOB_R_INVALID_STACK_SIZE,
     [](Options& o) { o.stack_size = ASYNCJOB_STACK_MIN - 1; }},
    {"StackTooLarge", ASYNCJOB_R_INVALID_STACK_SIZE,
     [](Options& o) { o.stack_size = ASYNCJOB_STACK_MAX + 1; }},
    {"UnknownGuard", ASYNCJOB_R_INVALID_OPTION, [](Options& o) { o.guard = 2; }},
    {"NegativeGuard", ASYNCJOB_R_INVALID_OPTION, [](Options& o) { o.guard = -1; }},
    {"StampPauses", ASYNCJOB_R_INVALID_OPTION, [](Options& o) { o.stamp_pauses = 2; }},
    {"MoreThanAddresses", ASYNCJOB_R_NO_STACK,
     [](Options& o) { o.prepared_jobs = std::size_t{1} << sizeof(std::size_t) * 5; }},
    {"MoreThanAddressesOfLargeStacks", ASYNCJOB_R_NO_STACK,
     [](Options& o) {
         o.prepared_jobs = std::size_t{1} << 30U;
         o.stack_size = ASYNCJOB_STACK_MAX;
     }},
};

TEST(Options, ThatAreWrongAreRefusedWithTheirReasonAndThoseInForceStay) {
    on_a_thread([] {
        Options before = defaults();
        before.max_jobs = 5;
        before.stack_size = 32 * kib;
        set_thread(before);
        for (const Refusal& refusal : refusals) {
            Options options = defaults();
            refusal.spoil(options);
            EXPECT_EQ(asyncjob_init_thread(&options), 0) << refusal.name;
            EXPECT_EQ(asyncjob_last_reason(), refusal.reason) << refusal.name;
            EXPECT_TRUE(same(in_force(), before)) << refusal.name;
            expect_jobs_work();
        }
        EXPECT_EQ(asyncjob_init_thread(nullptr), 0);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NULL_ARGUMENT);
    });
}

TEST(Options, GettersCheckTheirArguments) {
    Options options{};
    for (int (*get)(Options*, size_t) : {asyncjob_options_default, asyncjob_get_thread_options}) {
        EXPECT_EQ(get(nullptr, sizeof options), 0);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NULL_ARGUMENT);
        EXPECT_EQ(get(&options, sizeof options - 1), 0);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_INVALID_STRUCT_SIZE);
        EXPECT_EQ(options.size, 0U) << "written to";
    }
}

// A program that was built with a later header.
struct LaterOptions {
    Options known;
    long later[2];
};

TEST(Options, OfALaterVersionAreTakenIfTheyAskForNothingNew) {
    on_a_thread([] {
        LaterOptions options;
        std::memset(&options, 0xff, sizeof options);
        EXPECT_EQ(asyncjob_options_default(&options.known, sizeof options), 1);
        EXPECT_EQ(options.known.size, sizeof options);
        EXPECT_EQ(options.later[0], 0);
        EXPECT_EQ(options.later[1], 0);
        EXPECT_EQ(asyncjob_init_thread(&options.known), 1);
        options.later[1] = 1;
        EXPECT_EQ(asyncjob_init_thread(&options.known), 0);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_INVALID_STRUCT_SIZE);
    });
}

TEST(Options, StacksHaveTheSizeThatWasAskedForAndEndInAGuard) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool's own frames take stack, and it catches faults";
    for (const std::size_t size : {16 * kib, 24 * kib, 96 * kib, mib, 20 * mib}) {
        const auto job_uses = [size](std::size_t bytes) {
            return passes_in_child([size, bytes] {
                Options options = defaults();
                options.stack_size = size;
                set_thread(options);
                // The second stack of the slab has another below it.
                TestJob paused([] { ASYNC_pause_job(); });
                EXPECT_EQ(paused.go(), ASYNC_PAUSE);
                TestJob job([bytes] { use_stack(bytes); });
                EXPECT_EQ(job.go(), ASYNC_FINISH);
                EXPECT_EQ(paused.go(), ASYNC_FINISH);
            });
        };
        EXPECT_TRUE(job_uses(size - 2 * kib)) << size;
        const testing::AssertionResult over = job_uses(size + 8 * kib);
        EXPECT_FALSE(over) << size;
        EXPECT_NE(std::string(over.message()).find("Segmentation"), std::string::npos)
            << over.message();
    }
}

TEST(Options, WithoutGuardsAnOverflowReachesTheStackBelow) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool sees the overflow";
    EXPECT_TRUE(passes_in_child([] {
        Options options = defaults();
        options.guard = ASYNCJOB_GUARD_NONE;
        options.prepared_jobs = 2;
        set_thread(options);
        TestJob job([&] { use_stack(options.stack_size + 8 * kib); });
        EXPECT_EQ(job.go(), ASYNC_FINISH);  // in the upper of the two
    }));
}

TEST(Options, WithoutGuardsJobsAreMadeWhereTheKernelHasNone) {
    if (memory_is_watched())
        GTEST_SKIP() << "the tool has mappings of its own";
    EXPECT_TRUE(passes_in_child([] {
        Options options = defaults();
        options.guard = ASYNCJOB_GUARD_NONE;
        options.prepared_jobs = 100;
        set_thread(options);
        const std::size_t space = Memory::now().address_space;
        options.prepared_jobs = 1100;
        set_thread(options);
        EXPECT_LT(Memory::now().address_space - space, 2200 * (options.stack_size + page()))
            << "there is room for guards";
        expect_jobs_work();
    }));
}

TEST(Options, OfStacksCannotChangeUnderJobsInFlight) {
    on_a_thread([] {
        TestJob paused([] { ASYNC_pause_job(); });
        EXPECT_EQ(paused.go(), ASYNC_PAUSE);
        Options options = defaults();
        options.stack_size = 200 * kib;
        EXPECT_EQ(asyncjob_init_thread(&options), 0);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_JOBS_IN_FLIGHT);
        options = defaults();
        options.guard = ASYNCJOB_GUARD_NONE;
        EXPECT_EQ(asyncjob_init_thread(&options), 0);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_JOBS_IN_FLIGHT);
        options = defaults();
        options.max_jobs = 3;
        set_thread(options);
        EXPECT_EQ(paused.go(), ASYNC_FINISH);
        options.stack_size = 200 * kib;
        set_thread(options);
        TestJob large([] { use_stack(190 * kib); });
        EXPECT_EQ(large.go(), ASYNC_FINISH) << "an idle job with the old stack was taken";
    });
}

TEST(Options, OfStacksOutliveACleanupAsLongAsAJobStandsOnThem) {
    on_a_thread([] {
        Options options = defaults();
        options.stack_size = 200 * kib;
        options.max_jobs = 5;
        set_thread(options);
        TestJob paused([] { ASYNC_pause_job(); });
        EXPECT_EQ(paused.go(), ASYNC_PAUSE);
        ASYNC_cleanup_thread();
        EXPECT_EQ(in_force().stack_size, 200 * kib);
        EXPECT_EQ(in_force().max_jobs, 0U);
        EXPECT_EQ(paused.go(), ASYNC_FINISH);
        EXPECT_TRUE(same(in_force(), defaults()));
    });
}

TEST(Options, ThreadsOfOtherStacksDoNotGetEachOthersSlabs) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool's frames take stack";
    EXPECT_TRUE(passes_in_child([] {
        for (int round = 0; round < 3; ++round) {
            for (const std::size_t size : {64 * kib, 512 * kib, 32 * kib}) {
                std::thread([size] {
                    Options options = defaults();
                    options.stack_size = size;
                    options.prepared_jobs = 20;
                    set_thread(options);
                    std::vector<std::unique_ptr<TestJob>> jobs;
                    for (int i = 0; i < 20; ++i) {
                        jobs.push_back(std::make_unique<TestJob>([size] {
                            use_stack(size - 4 * kib);
                            ASYNC_pause_job();
                            use_stack(size - 4 * kib);
                        }));
                        EXPECT_EQ(jobs.back()->go(), ASYNC_PAUSE);
                    }
                    for (const auto& job : jobs)
                        EXPECT_EQ(job->go(), ASYNC_FINISH);
                }).join();
            }
        }
    }));
}

TEST(Options, AThreadsEndGivesSlabsOfAnySizeToTheNext) {
    if (memory_is_watched())
        GTEST_SKIP() << "the tool keeps memory of ended threads";
    EXPECT_TRUE(passes_in_child([] {
        const auto use = [](std::size_t size) {
            std::thread([size] {
                Options options = defaults();
                options.stack_size = size;
                options.prepared_jobs = 50;
                set_thread(options);
                expect_jobs_work();
            }).join();
        };
        for (const std::size_t size : {64 * kib, 512 * kib})
            use(size);
        const std::size_t before = Memory::now().address_space;
        for (int round = 0; round < 20; ++round) {
            for (const std::size_t size : {64 * kib, 512 * kib})
                use(size);
        }
        EXPECT_LT(Memory::now().address_space, before + 10 * mib);
    }));
}

// Stacks of a user's functions, counted.
std::size_t asked_for = 0;
int live_stacks = 0;

void count_stacks() {
    EXPECT_EQ(ASYNC_set_mem_functions(
                  [](std::size_t* size) {
                      asked_for = *size;
                      ++live_stacks;
                      return std::malloc(*size);
                  },
                  [](void* stack) {
                      --live_stacks;
                      std::free(stack);
                  }),
              1);
}

TEST(Options, S17AUsersFunctionIsAskedForTheSizeAndDecides) {
    EXPECT_TRUE(passes_in_child([] {
        count_stacks();
        expect_jobs_work();
        EXPECT_EQ(asked_for, 96 * kib + guard_size);
        Options options = defaults();
        options.stack_size = mib;
        options.guard = ASYNCJOB_GUARD_NONE;
        set_thread(options);
        EXPECT_EQ(live_stacks, 0) << "idle jobs keep their old stacks";
        expect_jobs_work();
        EXPECT_EQ(asked_for, mib + guard_size);
    }));
}

// Returns how many stay idle of as many as there were at once.
int stay_of(int count) {
    std::vector<std::unique_ptr<TestJob>> jobs;
    for (int i = 0; i < count; ++i) {
        jobs.push_back(std::make_unique<TestJob>([] { ASYNC_pause_job(); }));
        EXPECT_EQ(jobs.back()->go(), ASYNC_PAUSE);
    }
    for (const auto& job : jobs)
        EXPECT_EQ(job->go(), ASYNC_FINISH);
    return live_stacks;
}

TEST(Options, IdleJobsAboveTheMarkGoOnceTheyAreMoreThanTwiceAsMany) {
    EXPECT_TRUE(passes_in_child([] {
        count_stacks();
        Options options = defaults();
        options.idle_high_water = 10;
        set_thread(options);
        EXPECT_EQ(stay_of(19), 19);
        EXPECT_EQ(stay_of(20), 20);
        EXPECT_EQ(stay_of(21), 10);
        options.idle_high_water = 3;
        set_thread(options);
        EXPECT_EQ(live_stacks, 3) << "at once";
        options.prepared_jobs = 8;
        set_thread(options);
        EXPECT_EQ(live_stacks, 8);
        EXPECT_EQ(stay_of(17), 8);
        options.prepared_jobs = 0;
        options.idle_high_water = 0;
        set_thread(options);
        EXPECT_EQ(live_stacks, 0);
        EXPECT_EQ(stay_of(16), 0);
        options.idle_high_water = std::numeric_limits<std::size_t>::max();
        set_thread(options);
        EXPECT_EQ(stay_of(3000), 3000);
    }));
}

TEST(Options, LimitCountsAsThatOfInitThreadDoes) {
    on_a_thread([] {
        Options options = defaults();
        options.max_jobs = 1;
        set_thread(options);
        TestJob first([] { ASYNC_pause_job(); });
        TestJob second([] {});
        EXPECT_EQ(first.go(), ASYNC_PAUSE);
        EXPECT_EQ(asyncjob_last_reason(), 0);
        EXPECT_EQ(second.go(), ASYNC_NO_JOBS);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_POOL_IS_FULL);
        EXPECT_EQ(first.go(), ASYNC_FINISH);
        EXPECT_EQ(second.go(), ASYNC_FINISH);
    });
}

}  // namespace
}  // namespace test
