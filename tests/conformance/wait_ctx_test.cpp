// SPDX-License-Identifier: Apache-2.0
// Conformance: wait contexts (S18 to S27).
#include <gtest/gtest.h>
#include <openssl/async.h>

#include <thread>
#include <tuple>
#include <vector>

#include "support.hpp"

namespace conformance {
namespace {

bool set_fd(ASYNC_WAIT_CTX* ctx, int key, OSSL_ASYNC_FD fd) {
    return ASYNC_WAIT_CTX_set_wait_fd(ctx, &keys[key], fd, nullptr, nullptr) == 1;
}

bool clear_fd(ASYNC_WAIT_CTX* ctx, int key) {
    return ASYNC_WAIT_CTX_clear_fd(ctx, &keys[key]) == 1;
}

OSSL_ASYNC_FD fd_of(ASYNC_WAIT_CTX* ctx, int key) {
    OSSL_ASYNC_FD fd = untouched;
    void* data = nullptr;
    return ASYNC_WAIT_CTX_get_fd(ctx, &keys[key], &fd, &data) == 1 ? fd : untouched;
}

int callback(void*) {
    return 0;
}

// A paused job of the context is resumed: the round ends.
void end_round(ASYNC_WAIT_CTX* ctx) {
    Job job;
    ASSERT_EQ(job.start(ctx, pause_once), ASYNC_PAUSE);
    ASSERT_EQ(job.resume(), ASYNC_FINISH);
}

TEST(WaitCtx, S18ANewOneIsEmpty) {
    Ctx ctx;
    ASSERT_NE(ctx.get, nullptr);
    EXPECT_EQ(all_fds(ctx.get), Fds{});
    EXPECT_EQ(changed_fds(ctx.get), Changes{});
    EXPECT_EQ(fd_of(ctx.get, 0), untouched);
    EXPECT_FALSE(clear_fd(ctx.get, 0));
    ASYNC_callback_fn function = nullptr;
    void* arg = nullptr;
    EXPECT_EQ(ASYNC_WAIT_CTX_get_callback(ctx.get, &function, &arg), 0);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_status(ctx.get), ASYNC_STATUS_UNSUPPORTED);
}

TEST(WaitCtx, S18FreeOfNullDoesNothing) {
    ASYNC_WAIT_CTX_free(nullptr);
}

TEST(WaitFd, S19TheNewestComesFirstInEveryListing) {
    Ctx ctx;
    for (int at = 0; at < 6; ++at)
        ASSERT_TRUE(set_fd(ctx.get, at, 10 + at));
    EXPECT_EQ(all_fds(ctx.get), (Fds{15, 14, 13, 12, 11, 10}));
    EXPECT_EQ(changed_fds(ctx.get), (Changes{{15, 14, 13, 12, 11, 10}, {}}));
    end_round(ctx.get);
    for (const int key : {1, 4, 2})
        ASSERT_TRUE(clear_fd(ctx.get, key));
    EXPECT_EQ(all_fds(ctx.get), (Fds{15, 13, 10}));
    EXPECT_EQ(changed_fds(ctx.get), (Changes{{}, {14, 12, 11}}));
}

TEST(WaitFd, S19ManyFds) {
    Ctx ctx;
    Fds expected;
    for (int at = 0; at < 1000; ++at) {
        ASSERT_TRUE(set_fd(ctx.get, at % 8, at));
        expected.insert(expected.begin(), at);
    }
    EXPECT_EQ(all_fds(ctx.get), expected);
}

TEST(WaitFd, S19AKeySetTwiceIsListedTwiceAndFoundAsTheNewest) {
    Ctx ctx;
    ASSERT_TRUE(set_fd(ctx.get, 0, 10));
    ASSERT_TRUE(set_fd(ctx.get, 1, 11));
    ASSERT_TRUE(set_fd(ctx.get, 0, 12));
    EXPECT_EQ(all_fds(ctx.get), (Fds{12, 11, 10}));
    EXPECT_EQ(fd_of(ctx.get, 0), 12);
}

TEST(WaitFd, S19AnyNumberIsAnFdAndAnyAddressAKey) {
    Ctx ctx;
    ASSERT_EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx.get, nullptr, OSSL_BAD_ASYNC_FD, nullptr, nullptr), 1);
    OSSL_ASYNC_FD fd = untouched;
    void* data = &fd;
    EXPECT_EQ(ASYNC_WAIT_CTX_get_fd(ctx.get, nullptr, &fd, &data), 1);
    EXPECT_EQ(fd, OSSL_BAD_ASYNC_FD);
    EXPECT_EQ(data, nullptr);
}

TEST(WaitFd, S20GetGivesTheFdAndItsData) {
    Ctx ctx;
    int mine = 0;
    ASSERT_EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx.get, &keys[0], 10, &mine, nullptr), 1);
    OSSL_ASYNC_FD fd = untouched;
    void* data = nullptr;
    EXPECT_EQ(ASYNC_WAIT_CTX_get_fd(ctx.get, &keys[0], &fd, &data), 1);
    EXPECT_EQ(fd, 10);
    EXPECT_EQ(data, &mine);
}

TEST(WaitFd, S20GetOfAnUnknownOrClearedKeyIsZeroAndWritesNothing) {
    Ctx ctx;
    ASSERT_TRUE(set_fd(ctx.get, 0, 10));
    end_round(ctx.get);
    ASSERT_TRUE(clear_fd(ctx.get, 0));
    for (const int key : {0, 1}) {
        OSSL_ASYNC_FD fd = untouched;
        void* data = &fd;
        EXPECT_EQ(ASYNC_WAIT_CTX_get_fd(ctx.get, &keys[key], &fd, &data), 0);
        EXPECT_EQ(fd, untouched);
        EXPECT_EQ(data, &fd);
    }
}

TEST(AllFds, S21CountsWithoutAnArrayAndWritesNoMoreThanThat) {
    Ctx ctx;
    ASSERT_TRUE(set_fd(ctx.get, 0, 10));
    ASSERT_TRUE(set_fd(ctx.get, 1, 11));
    size_t count = 99;
    EXPECT_EQ(ASYNC_WAIT_CTX_get_all_fds(ctx.get, nullptr, &count), 1);
    EXPECT_EQ(count, 2U);
    OSSL_ASYNC_FD fds[3] = {untouched, untouched, untouched};
    EXPECT_EQ(ASYNC_WAIT_CTX_get_all_fds(ctx.get, fds, &count), 1);
    EXPECT_EQ(fds[0], 11);
    EXPECT_EQ(fds[1], 10);
    EXPECT_EQ(fds[2], untouched);
}

TEST(ChangedFds, S22CountsAreAlwaysSetAndEachArrayMayBeNull) {
    Ctx ctx;
    ASSERT_TRUE(set_fd(ctx.get, 0, 10));
    ASSERT_TRUE(set_fd(ctx.get, 1, 11));
    end_round(ctx.get);
    ASSERT_TRUE(clear_fd(ctx.get, 0));
    ASSERT_TRUE(set_fd(ctx.get, 2, 12));
    for (const bool want_added : {false, true}) {
        for (const bool want_deleted : {false, true}) {
            size_t added = 99;
            size_t deleted = 99;
            OSSL_ASYNC_FD add[2] = {untouched, untouched};
            OSSL_ASYNC_FD del[2] = {untouched, untouched};
            EXPECT_EQ(ASYNC_WAIT_CTX_get_changed_fds(ctx.get, want_added ? add : nullptr, &added,
                                                     want_deleted ? del : nullptr, &deleted),
                      1);
            EXPECT_EQ(added, 1U);
            EXPECT_EQ(deleted, 1U);
            EXPECT_EQ(add[0], want_added ? 12 : untouched);
            EXPECT_EQ(del[0], want_deleted ? 10 : untouched);
            EXPECT_EQ(add[1], untouched);
            EXPECT_EQ(del[1], untouched);
        }
    }
}

TEST(ChangedFds, S22ARoundEndsWhenAPausedJobIsResumedAndNotBefore) {
    Ctx ctx;
    ASSERT_TRUE(set_fd(ctx.get, 0, 10));
    Job job;
    const auto function = [](void*) {
        EXPECT_EQ(changed_fds(current_ctx()), (Changes{{10}, {}}));
        EXPECT_TRUE(set_fd(current_ctx(), 1, 11));
        ASYNC_pause_job();
        EXPECT_EQ(changed_fds(current_ctx()), Changes{});
        EXPECT_TRUE(clear_fd(current_ctx(), 0));
        EXPECT_TRUE(set_fd(current_ctx(), 2, 12));
        ASYNC_pause_job();
        EXPECT_EQ(changed_fds(current_ctx()), Changes{});
        EXPECT_TRUE(clear_fd(current_ctx(), 1));
        return 0;
    };
    ASSERT_EQ(job.start(ctx.get, function), ASYNC_PAUSE);
    EXPECT_EQ(changed_fds(ctx.get), (Changes{{11, 10}, {}}));
    EXPECT_EQ(changed_fds(ctx.get), (Changes{{11, 10}, {}}));  // asking ends no round
    ASSERT_EQ(job.resume(), ASYNC_PAUSE);
    EXPECT_EQ(changed_fds(ctx.get), (Changes{{12}, {10}}));
    ASSERT_EQ(job.resume(), ASYNC_FINISH);
    EXPECT_EQ(changed_fds(ctx.get), (Changes{{}, {11}}));

    // Neither a start nor a blocked pause ends one.
    EXPECT_EQ(job.start(ctx.get,
                        [](void*) {
                            ASYNC_block_pause();
                            ASYNC_pause_job();
                            ASYNC_unblock_pause();
                            return 0;
                        }),
              ASYNC_FINISH);
    EXPECT_EQ(changed_fds(ctx.get), (Changes{{}, {11}}));
    end_round(ctx.get);
    EXPECT_EQ(changed_fds(ctx.get), Changes{});
    EXPECT_EQ(all_fds(ctx.get), Fds{12});
}

TEST(ChangedFds, S22AddedAndClearedInOneRoundIsInNeitherList) {
    Ctx ctx;
    ASSERT_TRUE(set_fd(ctx.get, 0, 10));
    ASSERT_TRUE(set_fd(ctx.get, 1, 11));
    ASSERT_TRUE(set_fd(ctx.get, 2, 12));
    ASSERT_TRUE(clear_fd(ctx.get, 1));
    EXPECT_EQ(changed_fds(ctx.get), (Changes{{12, 10}, {}}));
    EXPECT_EQ(all_fds(ctx.get), (Fds{12, 10}));
}

TEST(ChangedFds, S22ClearedAndAddedAgainInOneRoundIsInBothLists) {
    Ctx ctx;
    ASSERT_TRUE(set_fd(ctx.get, 0, 10));
    end_round(ctx.get);
    ASSERT_TRUE(clear_fd(ctx.get, 0));
    ASSERT_TRUE(set_fd(ctx.get, 0, 10));
    EXPECT_EQ(changed_fds(ctx.get), (Changes{{10}, {10}}));
    EXPECT_EQ(all_fds(ctx.get), Fds{10});
    ASSERT_TRUE(clear_fd(ctx.get, 0));
    EXPECT_EQ(changed_fds(ctx.get), (Changes{{}, {10}}));
    EXPECT_FALSE(clear_fd(ctx.get, 0));
}

struct Cleaned {
    ASYNC_WAIT_CTX* ctx;
    const void* key;
    OSSL_ASYNC_FD fd;
    void* data;

    bool operator==(const Cleaned&) const = default;
};

std::vector<Cleaned> cleaned;

void note_cleanup(ASYNC_WAIT_CTX* ctx, const void* key, OSSL_ASYNC_FD fd, void* data) {
    cleaned.push_back({ctx, key, fd, data});
}

TEST(ClearFd, S23RemovesTheNewestWithoutItsCleanup) {
    cleaned.clear();
    {
        Ctx ctx;
        for (const OSSL_ASYNC_FD fd : {10, 11})
            ASSERT_EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx.get, &keys[0], fd, nullptr, note_cleanup), 1);
        EXPECT_TRUE(clear_fd(ctx.get, 0));
        EXPECT_EQ(fd_of(ctx.get, 0), 10);
        end_round(ctx.get);
        EXPECT_TRUE(clear_fd(ctx.get, 0));
        EXPECT_EQ(fd_of(ctx.get, 0), untouched);
        EXPECT_FALSE(clear_fd(ctx.get, 0));
        EXPECT_FALSE(clear_fd(ctx.get, 1));
        EXPECT_EQ(cleaned, std::vector<Cleaned>{});
    }
    EXPECT_EQ(cleaned, std::vector<Cleaned>{});
}

TEST(FreeCtx, S24CallsTheCleanupsOfLiveFdsOnceNewestFirst) {
    cleaned.clear();
    int data[5] = {};
    ASYNC_WAIT_CTX* const ctx = ASYNC_WAIT_CTX_new();
    const auto add = [&](int at) {
        return ASYNC_WAIT_CTX_set_wait_fd(ctx, &keys[at], 10 + at, &data[at],
                                          at == 2 ? nullptr : note_cleanup);
    };
    for (int at = 0; at < 4; ++at)
        ASSERT_EQ(add(at), 1);
    end_round(ctx);
    ASSERT_TRUE(clear_fd(ctx, 1));
    ASSERT_EQ(add(4), 1);
    EXPECT_EQ(cleaned.size(), 0U);
    ASYNC_WAIT_CTX_free(ctx);
    EXPECT_EQ(cleaned, (std::vector<Cleaned>{{ctx, &keys[4], 14, &data[4]},
                                             {ctx, &keys[3], 13, &data[3]},
                                             {ctx, &keys[0], 10, &data[0]}}));
}

TEST(FreeCtx, S24ACleanupMayCallBackIntoTheContext) {
    static int calls;
    calls = 0;
    ASYNC_WAIT_CTX* const ctx = ASYNC_WAIT_CTX_new();
    const auto cleanup = [](ASYNC_WAIT_CTX* freed, const void*, OSSL_ASYNC_FD fd, void*) {
        ++calls;
        EXPECT_EQ(ASYNC_WAIT_CTX_get_status(freed), ASYNC_STATUS_OK);
        EXPECT_EQ(ASYNC_WAIT_CTX_set_callback(freed, callback, nullptr), 1);
        if (calls > 1)
            return;
        // libcrypto survives a look at the list in the first cleanup only.
        EXPECT_EQ(fd, 12);
        EXPECT_EQ(all_fds(freed), (Fds{12, 11, 10}));
        EXPECT_EQ(fd_of(freed, 2), 12);
        EXPECT_TRUE(clear_fd(freed, 1));
    };
    for (int at = 0; at < 3; ++at)
        ASSERT_EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, &keys[at], 10 + at, nullptr, cleanup), 1);
    end_round(ctx);
    ASSERT_EQ(ASYNC_WAIT_CTX_set_status(ctx, ASYNC_STATUS_OK), 1);
    ASYNC_WAIT_CTX_free(ctx);
    EXPECT_EQ(calls, 2);
}

TEST(Callback, S25GetGivesWhatWasSetAndZeroWhileNoneIs) {
    Ctx ctx;
    int mine = 0;
    ASYNC_callback_fn function = nullptr;
    void* arg = nullptr;
    EXPECT_EQ(ASYNC_WAIT_CTX_set_callback(ctx.get, callback, &mine), 1);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_callback(ctx.get, &function, &arg), 1);
    EXPECT_EQ(function, &callback);
    EXPECT_EQ(arg, &mine);

    EXPECT_EQ(ASYNC_WAIT_CTX_set_callback(ctx.get, nullptr, nullptr), 1);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_callback(ctx.get, &function, &arg), 0);
    EXPECT_EQ(function, &callback);
    EXPECT_EQ(arg, &mine);
}

TEST(Callback, S25SetOnANullContextIsZero) {
    EXPECT_EQ(ASYNC_WAIT_CTX_set_callback(nullptr, callback, nullptr), 0);
}

TEST(Callback, S25StaysOverRoundsAndJobs) {
    Ctx ctx;
    ASSERT_EQ(ASYNC_WAIT_CTX_set_callback(ctx.get, callback, nullptr), 1);
    end_round(ctx.get);
    ASYNC_callback_fn function = nullptr;
    void* arg = nullptr;
    EXPECT_EQ(ASYNC_WAIT_CTX_get_callback(ctx.get, &function, &arg), 1);
    EXPECT_EQ(function, &callback);
}

TEST(Status, S26KeepsEachOfTheFour) {
    Ctx ctx;
    for (const int status : {ASYNC_STATUS_ERR, ASYNC_STATUS_OK, ASYNC_STATUS_EAGAIN,
                             ASYNC_STATUS_UNSUPPORTED, ASYNC_STATUS_OK}) {
        EXPECT_EQ(ASYNC_WAIT_CTX_set_status(ctx.get, status), 1);
        EXPECT_EQ(ASYNC_WAIT_CTX_get_status(ctx.get), status);
    }
    end_round(ctx.get);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_status(ctx.get), ASYNC_STATUS_OK);
}

TEST(Status, S26ACompletionThreadSetsItWhileTheJobIsPaused) {
    Ctx ctx;
    Job job;
    const auto function = [](void*) {
        ASYNC_WAIT_CTX_set_status(current_ctx(), ASYNC_STATUS_EAGAIN);
        ASYNC_pause_job();
        return ASYNC_WAIT_CTX_get_status(current_ctx());
    };
    ASSERT_EQ(job.start(ctx.get, function), ASYNC_PAUSE);
    on_new_thread([&] {
        EXPECT_EQ(ASYNC_WAIT_CTX_get_status(ctx.get), ASYNC_STATUS_EAGAIN);
        EXPECT_EQ(ASYNC_WAIT_CTX_set_status(ctx.get, ASYNC_STATUS_OK), 1);
    });
    EXPECT_EQ(job.resume(), ASYNC_FINISH);
    EXPECT_EQ(job.result, ASYNC_STATUS_OK);
}

TEST(SharedCtx, S27ServesJobsOneAfterAnother) {
    Ctx ctx;
    const auto function = [](void*) {
        if (fd_of(current_ctx(), 0) == untouched) {
            EXPECT_TRUE(set_fd(current_ctx(), 0, 10));
        }
        return ASYNC_pause_job();
    };
    for (int at = 0; at < 5; ++at) {
        Job job;
        ASSERT_EQ(job.start(ctx.get, function), ASYNC_PAUSE);
        EXPECT_EQ(changed_fds(ctx.get), (at == 0 ? Changes{{10}, {}} : Changes{}));
        ASSERT_EQ(job.resume(), ASYNC_FINISH);
        EXPECT_EQ(all_fds(ctx.get), Fds{10});
    }
}

TEST(SharedCtx, S27ServesSeveralPausedJobs) {
    Ctx ctx;
    Job first;
    Job second;
    const auto function = [](void* args) {
        const int key = *static_cast<int*>(args);
        EXPECT_TRUE(set_fd(current_ctx(), key, 10 + key));
        ASYNC_pause_job();
        EXPECT_TRUE(clear_fd(current_ctx(), key));
        return 0;
    };
    const int one = 1;
    const int two = 2;
    ASSERT_EQ(first.start(ctx.get, function, &one, sizeof(one)), ASYNC_PAUSE);
    ASSERT_EQ(second.start(ctx.get, function, &two, sizeof(two)), ASYNC_PAUSE);
    EXPECT_EQ(changed_fds(ctx.get), (Changes{{12, 11}, {}}));
    ASSERT_EQ(first.resume(), ASYNC_FINISH);
    EXPECT_EQ(changed_fds(ctx.get), (Changes{{}, {11}}));
    ASSERT_EQ(second.resume(), ASYNC_FINISH);
    EXPECT_EQ(changed_fds(ctx.get), (Changes{{}, {12}}));
    EXPECT_EQ(all_fds(ctx.get), Fds{});
}

TEST(SharedCtx, S27ServesJobsOfOneThreadAfterAnother) {
    Ctx ctx;
    for (int at = 0; at < 3; ++at) {
        on_new_thread([&] {
            Job job;
            ASSERT_EQ(job.start(ctx.get, pause_once), ASYNC_PAUSE);
            ASSERT_TRUE(set_fd(ctx.get, at, 10 + at));
            ASSERT_EQ(job.resume(), ASYNC_FINISH);
            EXPECT_EQ(job.result, 1);
        });
    }
    EXPECT_EQ(all_fds(ctx.get), (Fds{12, 11, 10}));
}

}  // namespace
}  // namespace conformance
