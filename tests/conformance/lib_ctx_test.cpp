// SPDX-License-Identifier: Apache-2.0
// Conformance: a job keeps its own default OSSL_LIB_CTX over its pauses, and its starter's is
// back after each start (S15).
#include <gtest/gtest.h>
#include <openssl/async.h>
#include <openssl/crypto.h>

#include <vector>

#include "support.hpp"

namespace conformance {
namespace {

struct LibCtx {
    OSSL_LIB_CTX* const get = OSSL_LIB_CTX_new();

    LibCtx() = default;
    LibCtx(const LibCtx&) = delete;
    LibCtx& operator=(const LibCtx&) = delete;
    ~LibCtx() { OSSL_LIB_CTX_free(get); }
};

OSSL_LIB_CTX* lib_ctx() {
    return OSSL_LIB_CTX_set0_default(nullptr);
}

// Puts the thread's default back at the end of a test.
struct KeepDefault {
    OSSL_LIB_CTX* const before = lib_ctx();

    KeepDefault() = default;
    KeepDefault(const KeepDefault&) = delete;
    KeepDefault& operator=(const KeepDefault&) = delete;
    ~KeepDefault() { OSSL_LIB_CTX_set0_default(before); }
};

TEST(LibCtx, S15AChangeInAJobIsTheJobsAlone) {
    const KeepDefault keep;
    LibCtx mine;
    Ctx ctx;
    Job job;
    const auto function = [](void* args) {
        OSSL_LIB_CTX* const set = state_of<LibCtx>(args).get;
        OSSL_LIB_CTX_set0_default(set);
        ASYNC_pause_job();
        EXPECT_EQ(lib_ctx(), set);
        ASYNC_pause_job();
        EXPECT_EQ(lib_ctx(), set);
        return 0;
    };
    EXPECT_EQ(job.start_on(ctx.get, function, mine), ASYNC_PAUSE);
    EXPECT_EQ(lib_ctx(), keep.before);
    EXPECT_EQ(job.resume(), ASYNC_PAUSE);
    EXPECT_EQ(lib_ctx(), keep.before);
    EXPECT_EQ(job.resume(), ASYNC_FINISH);
    EXPECT_EQ(lib_ctx(), keep.before);
}

TEST(LibCtx, S15AJobThatFinishesAtOnceLeavesTheStartersInPlace) {
    const KeepDefault keep;
    LibCtx mine;
    Job job;
    const auto function = [](void* args) {
        OSSL_LIB_CTX_set0_default(state_of<LibCtx>(args).get);
        return 0;
    };
    EXPECT_EQ(job.start_on(nullptr, function, mine), ASYNC_FINISH);
    EXPECT_EQ(lib_ctx(), keep.before);
}

TEST(LibCtx, S15ANewJobBeginsWithItsStarters) {
    const KeepDefault keep;
    LibCtx starters;
    OSSL_LIB_CTX_set0_default(starters.get);
    Job job;
    OSSL_LIB_CTX* seen = nullptr;
    const auto function = [](void* args) {
        state_of<OSSL_LIB_CTX*>(args) = lib_ctx();
        return 0;
    };
    EXPECT_EQ(job.start_on(nullptr, function, seen), ASYNC_FINISH);
    EXPECT_EQ(seen, starters.get);
    EXPECT_EQ(lib_ctx(), starters.get);

    // Also a job that served another with another default before.
    OSSL_LIB_CTX_set0_default(keep.before);
    EXPECT_EQ(job.start_on(nullptr, function, seen), ASYNC_FINISH);
    EXPECT_EQ(seen, keep.before);
}

TEST(LibCtx, S15AJobKeepsWhatItBeganWithWhenTheStarterChangesItsOwn) {
    const KeepDefault keep;
    LibCtx first;
    LibCtx second;
    OSSL_LIB_CTX_set0_default(first.get);
    Ctx ctx;
    Job job;
    const auto function = [](void* args) {
        OSSL_LIB_CTX* const began_with = state_of<LibCtx>(args).get;
        EXPECT_EQ(lib_ctx(), began_with);
        for (int at = 0; at < 2; ++at) {
            ASYNC_pause_job();
            EXPECT_EQ(lib_ctx(), began_with);
        }
        return 0;
    };
    EXPECT_EQ(job.start_on(ctx.get, function, first), ASYNC_PAUSE);
    EXPECT_EQ(lib_ctx(), first.get);
    OSSL_LIB_CTX_set0_default(second.get);
    EXPECT_EQ(job.resume(), ASYNC_PAUSE);
    EXPECT_EQ(lib_ctx(), second.get);
    OSSL_LIB_CTX_set0_default(keep.before);
    EXPECT_EQ(job.resume(), ASYNC_FINISH);
    EXPECT_EQ(lib_ctx(), keep.before);
}

TEST(LibCtx, S15JobsInFlightTogetherEachKeepTheirs) {
    const KeepDefault keep;
    LibCtx ctxs[3];
    Ctx ctx;
    std::vector<Job> jobs(3);
    const auto function = [](void* args) {
        OSSL_LIB_CTX* const set = state_of<LibCtx>(args).get;
        OSSL_LIB_CTX_set0_default(set);
        for (int at = 0; at < 3; ++at) {
            ASYNC_pause_job();
            EXPECT_EQ(lib_ctx(), set);
        }
        return 0;
    };
    for (int at = 0; at < 3; ++at)
        EXPECT_EQ(jobs[at].start_on(ctx.get, function, ctxs[at]), ASYNC_PAUSE);
    for (int round = 1; round <= 3; ++round) {
        for (int at = 3; at > 0; --at) {
            EXPECT_EQ(jobs[at - 1].resume(), round == 3 ? ASYNC_FINISH : ASYNC_PAUSE);
            EXPECT_EQ(lib_ctx(), keep.before);
        }
    }
}

}  // namespace
}  // namespace conformance
