// SPDX-License-Identifier: Apache-2.0
// Conformance: starting, pausing and resuming jobs (S1 to S9).
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <openssl/async.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "support.hpp"

namespace conformance {
namespace {

// Else all the rest would prove nothing.
TEST(Conformance, RunsOnTheImplementationItIsBuiltFor) {
    Dl_info info{};
    void* address = nullptr;
    auto* const function = &ASYNC_start_job;
    std::memcpy(&address, &function, sizeof(address));
    ASSERT_NE(dladdr(address, &info), 0);
    const std::string file = info.dli_fname;
    EXPECT_NE(file.find(CONFORMANCE_LIBRARY), std::string::npos) << file;
}

TEST(Start, S1CopiesTheArguments) {
    std::array<char, 100> text{};
    text.fill('a');
    Job job;
    const auto function = [](void* args) {
        ASYNC_pause_job();
        const auto* const seen = static_cast<char*>(args);
        return static_cast<int>(std::count(seen, seen + 100, 'a'));
    };
    ASSERT_EQ(job.start(nullptr, [](void*) { return 1; }), ASYNC_FINISH);
    Ctx ctx;
    ASSERT_EQ(job.start(ctx.get, function, text.data(), text.size()), ASYNC_PAUSE);
    text.fill('b');
    EXPECT_EQ(job.resume(), ASYNC_FINISH);
    EXPECT_EQ(job.result, 100);
}

TEST(Start, S1TheJobMayWriteToItsCopy) {
    int number = 5;
    Job job;
    const auto function = [](void* args) {
        int& mine = *static_cast<int*>(args);
        mine += 2;
        return mine;
    };
    EXPECT_EQ(job.start(nullptr, function, &number, sizeof(number)), ASYNC_FINISH);
    EXPECT_EQ(job.result, 7);
    EXPECT_EQ(number, 5);
}

TEST(Start, S1CopiesArgumentsLargerThanAStack) {
    std::vector<unsigned char> large(1 << 20);
    for (size_t at = 0; at < large.size(); ++at)
        large[at] = static_cast<unsigned char>(at * 7);
    Job job;
    const auto function = [](void* args) {
        const auto* const seen = static_cast<unsigned char*>(args);
        for (size_t at = 0; at < 1 << 20; ++at) {
            if (seen[at] != static_cast<unsigned char>(at * 7))
                return static_cast<int>(at);
        }
        return -1;
    };
    EXPECT_EQ(job.start(nullptr, function, large.data(), large.size()), ASYNC_FINISH);
    EXPECT_EQ(job.result, -1);
}

TEST(Start, S1NullArgumentsArePassedAsNullWhateverTheSize) {
    for (const size_t size : {size_t{0}, size_t{64}}) {
        Job job;
        EXPECT_EQ(job.start(
                      nullptr, [](void* args) { return args == nullptr ? 1 : 2; }, nullptr, size),
                  ASYNC_FINISH);
        EXPECT_EQ(job.result, 1);
    }
}

TEST(Start, S1RunsTheFunctionOnAStackOfItsOwn) {
    const auto here = [](void*) {
        return static_cast<int>(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) >> 16);
    };
    Job job;
    ASSERT_EQ(job.start(nullptr, here), ASYNC_FINISH);
    EXPECT_GT(std::abs(job.result - here(nullptr)), 1);
}

TEST(Start, S2FinishGivesTheResultAndANullHandle) {
    for (const int result : {0, 1, -1, 123456, -2147483647 - 1, 2147483647}) {
        Job job;
        EXPECT_EQ(job.start(
                      nullptr, [](void* args) { return *static_cast<int*>(args); }, &result,
                      sizeof(result)),
                  ASYNC_FINISH);
        EXPECT_EQ(job.result, result);
        EXPECT_EQ(job.handle, nullptr);
    }
}

TEST(Start, S2PauseGivesTheHandleAndLeavesTheResult) {
    Ctx ctx;
    Job job;
    EXPECT_EQ(job.start(ctx.get, pause_once), ASYNC_PAUSE);
    EXPECT_NE(job.handle, nullptr);
    EXPECT_EQ(job.result, untouched);
    EXPECT_EQ(job.resume(), ASYNC_FINISH);
    EXPECT_EQ(job.handle, nullptr);
    EXPECT_EQ(job.result, 1);
}

int wrong_function(void*) {
    ADD_FAILURE() << "a resume called the function it was given";
    return 0;
}

TEST(Resume, S3GoesOnBehindThePause) {
    Ctx ctx;
    int steps = 0;
    Job job;
    const auto function = [](void* args) {
        int& count = state_of<int>(args);
        for (int at = 0; at < 10; ++at) {
            EXPECT_EQ(count, at);
            ++count;
            EXPECT_EQ(ASYNC_pause_job(), 1);
        }
        return 42;
    };
    ASSERT_EQ(job.start_on(ctx.get, function, steps), ASYNC_PAUSE);
    ASYNC_JOB* const handle = job.handle;
    for (int at = 1; at < 10; ++at) {
        EXPECT_EQ(steps, at);
        ASSERT_EQ(job.resume(), ASYNC_PAUSE);
        EXPECT_EQ(job.handle, handle);
    }
    EXPECT_EQ(job.resume(), ASYNC_FINISH);
    EXPECT_EQ(job.result, 42);
}

TEST(Resume, S3IgnoresContextFunctionArgumentsAndSize) {
    Ctx ctx;
    Ctx other;
    int number = 11;
    Job job;
    const auto function = [](void* args) {
        ASYNC_WAIT_CTX* const before = current_ctx();
        ASYNC_pause_job();
        EXPECT_EQ(current_ctx(), before);
        return *static_cast<int*>(args);
    };
    ASSERT_EQ(job.start(ctx.get, function, &number, sizeof(number)), ASYNC_PAUSE);
    int decoy = 99;
    EXPECT_EQ(
        ASYNC_start_job(&job.handle, other.get, &job.result, wrong_function, &decoy, sizeof(decoy)),
        ASYNC_FINISH);
    EXPECT_EQ(job.result, 11);
}

TEST(Resume, S3MayUseOtherVariablesThanTheStart) {
    Ctx ctx;
    Job first;
    ASSERT_EQ(first.start(ctx.get, pause_once), ASYNC_PAUSE);
    Job second;
    second.handle = first.handle;
    first.handle = nullptr;
    EXPECT_EQ(second.resume(), ASYNC_FINISH);
    EXPECT_EQ(second.handle, nullptr);
    EXPECT_EQ(second.result, 1);
    EXPECT_EQ(first.result, untouched);
}

TEST(Resume, S3ManyPausedJobsGoOnInAnyOrder) {
    struct Place {
        int number;
        int seen = 0;
    };
    constexpr int many = 200;
    std::vector<Place> places;
    std::vector<Job> jobs(many);
    places.reserve(many);
    Ctx ctx;
    const auto function = [](void* args) {
        Place& place = state_of<Place>(args);
        const int number = place.number;
        for (int at = 0; at < 3; ++at) {
            ASYNC_pause_job();
            EXPECT_EQ(place.number, number);
            ++place.seen;
        }
        return number;
    };
    for (int at = 0; at < many; ++at) {
        places.push_back({at});
        ASSERT_EQ(jobs[at].start_on(ctx.get, function, places.back()), ASYNC_PAUSE);
    }
    for (int round = 1; round <= 3; ++round) {
        for (int at = 0; at < many; ++at) {
            const int job = (at * 77 + round) % many;  // each once: 77 and 200 share no factor
            EXPECT_EQ(jobs[job].resume(), round == 3 ? ASYNC_FINISH : ASYNC_PAUSE);
            EXPECT_EQ(places[job].seen, round);
        }
    }
    for (int at = 0; at < many; ++at)
        EXPECT_EQ(jobs[at].result, at);
}

TEST(Pause, S6OutsideAJobSucceedsAndDoesNothing) {
    EXPECT_EQ(ASYNC_pause_job(), 1);
    on_new_thread([] { EXPECT_EQ(ASYNC_pause_job(), 1); });
}

TEST(Pause, S6ReturnsAtOnceWhileBlocked) {
    Job job;
    const auto function = [](void*) {
        ASYNC_block_pause();
        const int result = ASYNC_pause_job();
        ASYNC_unblock_pause();
        return result;
    };
    EXPECT_EQ(job.start(nullptr, function), ASYNC_FINISH);
    EXPECT_EQ(job.result, 1);
}

TEST(Pause, S6WorksInFunctionsBelowTheJobs) {
    struct Deep {
        static int pause(int depth) {
            return depth == 0 ? ASYNC_pause_job() : 2 * pause(depth - 1);
        }
    };
    Ctx ctx;
    Job job;
    ASSERT_EQ(job.start(ctx.get, [](void*) { return Deep::pause(10); }), ASYNC_PAUSE);
    EXPECT_EQ(job.resume(), ASYNC_FINISH);
    EXPECT_EQ(job.result, 1024);
}

TEST(CurrentJob, S7IsNullOutsideAndTheHandleInside) {
    EXPECT_EQ(ASYNC_get_current_job(), nullptr);
    Ctx ctx;
    ASYNC_JOB* seen[2] = {};
    Job job;
    const auto function = [](void* args) {
        ASYNC_JOB** const into = &state_of<ASYNC_JOB*>(args);
        into[0] = ASYNC_get_current_job();
        ASYNC_pause_job();
        into[1] = ASYNC_get_current_job();
        return 0;
    };
    ASSERT_EQ(job.start_on(ctx.get, function, seen[0]), ASYNC_PAUSE);
    EXPECT_EQ(ASYNC_get_current_job(), nullptr);
    EXPECT_EQ(seen[0], job.handle);
    ASYNC_JOB* const handle = job.handle;
    EXPECT_EQ(job.resume(), ASYNC_FINISH);
    EXPECT_EQ(seen[1], handle);
    EXPECT_EQ(ASYNC_get_current_job(), nullptr);
}

TEST(CurrentJob, S7WaitContextIsTheOneOfTheStart) {
    Ctx ctx;
    ASYNC_WAIT_CTX* seen = nullptr;
    Job job;
    const auto function = [](void* args) {
        state_of<ASYNC_WAIT_CTX*>(args) = current_ctx();
        return ASYNC_pause_job();
    };
    ASSERT_EQ(job.start_on(ctx.get, function, seen), ASYNC_PAUSE);
    EXPECT_EQ(seen, ctx.get);
    EXPECT_EQ(ASYNC_get_wait_ctx(job.handle), ctx.get);
    EXPECT_EQ(job.resume(), ASYNC_FINISH);
    EXPECT_EQ(job.start(nullptr, [](void*) { return current_ctx() == nullptr ? 1 : 0; }),
              ASYNC_FINISH);
    EXPECT_EQ(job.result, 1);
}

TEST(BlockPause, S8Nests) {
    Ctx ctx;
    int passed = 0;
    Job job;
    const auto function = [](void* args) {
        int& at = state_of<int>(args);
        ASYNC_block_pause();
        ASYNC_block_pause();
        ASYNC_pause_job();
        at = 1;
        ASYNC_unblock_pause();
        ASYNC_pause_job();
        at = 2;
        ASYNC_unblock_pause();
        ASYNC_pause_job();
        at = 3;
        return 0;
    };
    ASSERT_EQ(job.start_on(ctx.get, function, passed), ASYNC_PAUSE);
    EXPECT_EQ(passed, 2);
    EXPECT_EQ(job.resume(), ASYNC_FINISH);
    EXPECT_EQ(passed, 3);
}

TEST(BlockPause, S8AnUnblockTooManyDoesNothing) {
    Ctx ctx;
    Job job;
    const auto function = [](void*) {
        ASYNC_unblock_pause();
        ASYNC_unblock_pause();
        ASYNC_block_pause();
        ASYNC_pause_job();
        ASYNC_unblock_pause();
        return ASYNC_pause_job();
    };
    EXPECT_EQ(job.start(ctx.get, function), ASYNC_PAUSE);
    EXPECT_EQ(job.resume(), ASYNC_FINISH);
}

TEST(BlockPause, S8OutsideAJobDoesNothing) {
    ASYNC_block_pause();
    Ctx ctx;
    Job job;
    EXPECT_EQ(job.start(ctx.get, pause_once), ASYNC_PAUSE);
    ASYNC_block_pause();
    ASYNC_unblock_pause();
    EXPECT_EQ(job.resume(), ASYNC_FINISH);
}

TEST(Capable, S9IsOneWhereJobsRun) {
    EXPECT_EQ(ASYNC_is_capable(), 1);
}

}  // namespace
}  // namespace conformance
