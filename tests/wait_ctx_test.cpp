// SPDX-License-Identifier: Apache-2.0
// Wait contexts: fds, rounds, cleanups, callback and status (S18 to S27).
#include <thread>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

using Fds = std::vector<int>;

struct Call {
    const void* key;
    int fd;
    void* data;
    bool operator==(const Call&) const = default;
};

const char keys[8] = {};

class WaitContext : public testing::Test {
  protected:
    WaitContext() {
        calls().clear();
        in_cleanup() = nullptr;
    }
    ~WaitContext() override { ASYNC_WAIT_CTX_free(wait_); }

    static std::vector<Call>& calls() {
        static std::vector<Call> calls;
        return calls;
    }
    // What a cleanup does beside noting its call.
    static std::function<void(ASYNC_WAIT_CTX*, const void*)>& in_cleanup() {
        static std::function<void(ASYNC_WAIT_CTX*, const void*)> function;
        return function;
    }
    static void note(ASYNC_WAIT_CTX* wait, const void* key, int fd, void* data) {
        calls().push_back({key, fd, data});
        if (in_cleanup())
            in_cleanup()(wait, key);
    }

    void add(int key, int fd, void* data = nullptr) {
        EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait_, &keys[key], fd, data, note), 1);
    }
    int clear(int key) { return ASYNC_WAIT_CTX_clear_fd(wait_, &keys[key]); }
    int fd_of(int key) {
        int fd = -7;
        return ASYNC_WAIT_CTX_get_fd(wait_, &keys[key], &fd, nullptr) == 1 ? fd : -7;
    }
    void free() {
        ASYNC_WAIT_CTX_free(wait_);
        wait_ = nullptr;
    }

    static Fds all(ASYNC_WAIT_CTX* wait) {
        std::size_t count = 77;
        EXPECT_EQ(ASYNC_WAIT_CTX_get_all_fds(wait, nullptr, &count), 1);
        Fds fds(count, -7);
        EXPECT_EQ(ASYNC_WAIT_CTX_get_all_fds(wait, fds.data(), &count), 1);
        EXPECT_EQ(count, fds.size());
        return fds;
    }
    Fds all() { return all(wait_); }

    std::pair<Fds, Fds> changed() {
        std::size_t added = 77;
        std::size_t deleted = 77;
        EXPECT_EQ(ASYNC_WAIT_CTX_get_changed_fds(wait_, nullptr, &added, nullptr, &deleted), 1);
        std::pair<Fds, Fds> fds{Fds(added, -7), Fds(deleted, -7)};
        EXPECT_EQ(ASYNC_WAIT_CTX_get_changed_fds(wait_, fds.first.data(), &added, fds.second.data(),
                                                 &deleted),
                  1);
        EXPECT_EQ(added, fds.first.size());
        EXPECT_EQ(deleted, fds.second.size());
        return fds;
    }

    // Ends the round: a job of this context is paused and resumed.
    void end_round() {
        TestJob job([] { ASYNC_pause_job(); }, wait_);
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    }

    ASYNC_WAIT_CTX* wait_ = ASYNC_WAIT_CTX_new();
};

TEST_F(WaitContext, S18IsEmptyAtFirst) {
    ASYNC_callback_fn callback = return_seven;
    EXPECT_EQ(all(), Fds{});
    EXPECT_EQ(changed(), (std::pair<Fds, Fds>{}));
    EXPECT_EQ(ASYNC_WAIT_CTX_get_callback(wait_, &callback, nullptr), 0);
    EXPECT_EQ(callback, return_seven);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_status(wait_), ASYNC_STATUS_UNSUPPORTED);
    ASYNC_WAIT_CTX_free(nullptr);
}

TEST_F(WaitContext, S19ListsTheNewestFirstAndAKeySetTwiceTwice) {
    add(0, 10);
    add(1, 11);
    add(0, 12);
    EXPECT_EQ(all(), (Fds{12, 11, 10}));
    EXPECT_EQ(fd_of(0), 12);
    EXPECT_EQ(fd_of(1), 11);
    EXPECT_EQ(clear(0), 1);
    EXPECT_EQ(fd_of(0), 10);
}

TEST_F(WaitContext, S19HoldsAnyNumberOfFdsAndAnyKeyAndFd) {
    Fds expected;
    for (int fd = 0; fd < 1000; ++fd) {
        add(fd % 8, fd);
        expected.insert(expected.begin(), fd);
    }
    EXPECT_EQ(all(), expected);
    EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait_, nullptr, -1, nullptr, nullptr), 1);
    int fd = 0;
    EXPECT_EQ(ASYNC_WAIT_CTX_get_fd(wait_, nullptr, &fd, nullptr), 1);
    EXPECT_EQ(fd, -1);
}

TEST_F(WaitContext, S20NullResultPointersAreSkipped) {
    int data = 0;
    add(0, 10, &data);
    int fd = 0;
    void* found = nullptr;
    EXPECT_EQ(ASYNC_WAIT_CTX_get_fd(wait_, &keys[0], nullptr, nullptr), 1);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_fd(wait_, &keys[0], &fd, nullptr), 1);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_fd(wait_, &keys[0], nullptr, &found), 1);
    EXPECT_EQ(fd, 10);
    EXPECT_EQ(found, &data);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_fd(wait_, &keys[1], &fd, &found), 0);
    EXPECT_EQ(fd, 10);
}

TEST_F(WaitContext, S20AKeyThatWasClearedIsNotFound) {
    add(0, 10);
    end_round();
    EXPECT_EQ(clear(0), 1);  // listed as deleted until the round ends
    EXPECT_EQ(fd_of(0), -7);
    EXPECT_EQ(clear(0), 0);
    EXPECT_EQ(all(), Fds{});
}

TEST_F(WaitContext, S22ARoundEndsWhenAPausedJobResumes) {
    std::pair<Fds, Fds> seen;
    TestJob job(
        [&] {
            add(0, 10);
            add(1, 11);
            ASYNC_pause_job();
            seen = changed();
            EXPECT_EQ(clear(0), 1);
            add(2, 12);
            ASYNC_pause_job();
        },
        wait_);
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(changed(), (std::pair<Fds, Fds>{{11, 10}, {}}));
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(seen, (std::pair<Fds, Fds>{}));
    EXPECT_EQ(changed(), (std::pair<Fds, Fds>{{12}, {10}}));
    EXPECT_EQ(all(), (Fds{12, 11}));
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(changed(), (std::pair<Fds, Fds>{}));
}

TEST_F(WaitContext, S22AStartDoesNotEndARound) {
    add(0, 10);
    TestJob job([] {}, wait_);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(changed(), (std::pair<Fds, Fds>{{10}, {}}));
}

TEST_F(WaitContext, S22ARefusedResumeDoesNotEndARound) {
    TestJob job(
        [&] {
            add(0, 10);
            ASYNC_JOB* self = ASYNC_get_current_job();
            int result = 0;
            EXPECT_EQ(ASYNC_start_job(&self, wait_, &result, return_seven, nullptr, 0), ASYNC_ERR);
        },
        wait_);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(changed(), (std::pair<Fds, Fds>{{10}, {}}));
}

TEST_F(WaitContext, S22AddedAndClearedInOneRoundIsInNeitherList) {
    add(0, 10);
    add(1, 11);
    EXPECT_EQ(clear(0), 1);
    EXPECT_EQ(changed(), (std::pair<Fds, Fds>{{11}, {}}));
}

TEST_F(WaitContext, S22ClearedAndSetAgainIsInBothLists) {
    add(0, 10);
    end_round();
    EXPECT_EQ(clear(0), 1);
    add(0, 12);
    EXPECT_EQ(changed(), (std::pair<Fds, Fds>{{12}, {10}}));
    EXPECT_EQ(all(), Fds{12});
    EXPECT_EQ(fd_of(0), 12);
    end_round();
    EXPECT_EQ(all(), Fds{12});
}

TEST_F(WaitContext, S22EachArrayMayBeNullByItself) {
    add(0, 10);
    end_round();
    clear(0);
    add(1, 11);
    std::size_t added = 0;
    std::size_t deleted = 0;
    int fd = -7;
    EXPECT_EQ(ASYNC_WAIT_CTX_get_changed_fds(wait_, &fd, &added, nullptr, &deleted), 1);
    EXPECT_EQ(fd, 11);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_changed_fds(wait_, nullptr, &added, &fd, &deleted), 1);
    EXPECT_EQ(fd, 10);
    EXPECT_EQ(added, 1U);
    EXPECT_EQ(deleted, 1U);
}

TEST_F(WaitContext, S23ClearTakesTheNewestOfItsKeyWithoutItsCleanup) {
    add(0, 10);
    add(0, 11);
    add(1, 12);
    EXPECT_EQ(clear(0), 1);
    EXPECT_EQ(all(), (Fds{12, 10}));
    EXPECT_EQ(clear(2), 0);
    EXPECT_TRUE(calls().empty());
}

TEST_F(WaitContext, S24FreeCallsTheCleanupOfEachFdStillThereOnce) {
    int data = 0;
    add(0, 10, &data);
    add(1, 11);
    add(2, 12);
    add(3, 13);
    add(4, 14);
    end_round();
    add(0, 15);
    EXPECT_EQ(clear(1), 1);
    EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait_, &keys[5], 16, nullptr, nullptr), 1);
    free();
    EXPECT_EQ(calls(), (std::vector<Call>{{&keys[0], 15, nullptr},
                                          {&keys[4], 14, nullptr},
                                          {&keys[3], 13, nullptr},
                                          {&keys[2], 12, nullptr},
                                          {&keys[0], 10, &data}}));
}

TEST_F(WaitContext, S24ACleanupGetsItsContextAndFindsItsOwnFdThere) {
    add(0, 10);
    add(1, 11);
    std::vector<Fds> seen;
    in_cleanup() = [&](ASYNC_WAIT_CTX* wait, const void* key) {
        int fd = -7;
        EXPECT_EQ(wait, wait_);
        EXPECT_EQ(ASYNC_WAIT_CTX_get_fd(wait, key, &fd, nullptr), 1);
        EXPECT_EQ(fd, calls().back().fd);
        EXPECT_EQ(ASYNC_WAIT_CTX_get_status(wait), ASYNC_STATUS_UNSUPPORTED);
        seen.push_back(all(wait));
    };
    free();
    EXPECT_EQ(seen, (std::vector<Fds>{{11, 10}, {10}}));
}

// A cleanup that clears its own fd is what engines do that have one function for both.
TEST_F(WaitContext, S24ACleanupMayClearItsOwnFdAndOthers) {
    for (const bool kept : {false, true}) {
        calls().clear();
        add(0, 10);
        add(1, 11);
        add(2, 12);
        if (kept)
            end_round();
        in_cleanup() = [](ASYNC_WAIT_CTX* wait, const void* key) {
            EXPECT_EQ(ASYNC_WAIT_CTX_clear_fd(wait, key), 1);
            EXPECT_EQ(ASYNC_WAIT_CTX_clear_fd(wait, &keys[1]), key == &keys[2] ? 1 : 0);
        };
        free();
        EXPECT_EQ(calls(), (std::vector<Call>{{&keys[2], 12, nullptr}, {&keys[0], 10, nullptr}}));
        in_cleanup() = nullptr;
        wait_ = ASYNC_WAIT_CTX_new();
    }
}

TEST_F(WaitContext, S24AnFdThatACleanupSetsIsCleanedUpToo) {
    add(0, 10);
    int left = 20;  // past the inline entries, so that the table moves meanwhile
    in_cleanup() = [&](ASYNC_WAIT_CTX* wait, const void* key) {
        for (int some = left > 10 ? 2 : 1; some > 0 && left > 0; --some, --left) {
            EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait, key, 100, nullptr, note), 1);
        }
    };
    free();
    EXPECT_EQ(calls().size(), 21U);
}

TEST_F(WaitContext, S24FreeInACleanupDoesNothing) {
    add(0, 10);
    add(1, 11);
    in_cleanup() = [](ASYNC_WAIT_CTX* wait, const void*) { ASYNC_WAIT_CTX_free(wait); };
    free();
    EXPECT_EQ(calls().size(), 2U);
}

TEST_F(WaitContext, S24ACleanupMayRunAndPauseAJob) {
    add(0, 10);
    in_cleanup() = [](ASYNC_WAIT_CTX* wait, const void*) {
        TestJob job([] { ASYNC_pause_job(); }, wait);
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    };
    free();
    EXPECT_EQ(calls().size(), 1U);
}

TEST_F(WaitContext, S25GivesTheCallbackThatWasSetAndNoneAfterNull) {
    ASYNC_callback_fn callback = nullptr;
    void* argument = nullptr;
    EXPECT_EQ(ASYNC_WAIT_CTX_set_callback(wait_, return_seven, this), 1);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_callback(wait_, &callback, nullptr), 1);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_callback(wait_, nullptr, &argument), 1);
    EXPECT_EQ(callback, return_seven);
    EXPECT_EQ(argument, this);
    EXPECT_EQ(ASYNC_WAIT_CTX_set_callback(wait_, nullptr, nullptr), 1);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_callback(wait_, &callback, &argument), 0);
}

TEST_F(WaitContext, S26KeepsEachStatus) {
    for (const int status :
         {ASYNC_STATUS_ERR, ASYNC_STATUS_OK, ASYNC_STATUS_EAGAIN, ASYNC_STATUS_UNSUPPORTED}) {
        EXPECT_EQ(ASYNC_WAIT_CTX_set_status(wait_, status), 1);
        EXPECT_EQ(ASYNC_WAIT_CTX_get_status(wait_), status);
    }
}

TEST_F(WaitContext, S26ARefusedStatusLeavesTheOldOne) {
    EXPECT_EQ(ASYNC_WAIT_CTX_set_status(wait_, ASYNC_STATUS_OK), 1);
    EXPECT_EQ(ASYNC_WAIT_CTX_set_status(wait_, 4), 0);
    EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_INVALID_STATUS);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_status(wait_), ASYNC_STATUS_OK);
}

// As a card's polling thread does it, while the owner looks on.
TEST_F(WaitContext, S26ACompletionThreadSetsTheStatusAndCallsBackWhileTheJobIsPaused) {
    std::atomic<int> completed = 0;
    const auto complete = [](void* counter) {
        ++*static_cast<std::atomic<int>*>(counter);
        return 1;
    };
    EXPECT_EQ(ASYNC_WAIT_CTX_set_callback(wait_, complete, &completed), 1);
    TestJob job(
        [] {
            ASYNC_WAIT_CTX* const wait = ASYNC_get_wait_ctx(ASYNC_get_current_job());
            std::thread completion([wait] {
                ASYNC_callback_fn callback = nullptr;
                void* argument = nullptr;
                EXPECT_EQ(ASYNC_WAIT_CTX_get_callback(wait, &callback, &argument), 1);
                for (int i = 0; i < 1000; ++i) {
                    EXPECT_EQ(ASYNC_WAIT_CTX_set_status(wait, ASYNC_STATUS_EAGAIN), 1);
                    EXPECT_EQ(ASYNC_WAIT_CTX_get_status(wait), ASYNC_STATUS_EAGAIN);
                }
                EXPECT_EQ(ASYNC_WAIT_CTX_set_status(wait, ASYNC_STATUS_OK), 1);
                EXPECT_EQ(callback(argument), 1);
            });
            ASYNC_pause_job();
            EXPECT_EQ(ASYNC_WAIT_CTX_get_status(wait), ASYNC_STATUS_OK);
            completion.join();
        },
        wait_);
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    while (completed == 0)
        EXPECT_NE(ASYNC_WAIT_CTX_get_status(wait_), ASYNC_STATUS_ERR);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

TEST_F(WaitContext, S27ServesJobsOneAfterAnotherAndSeveralPausedAtOnce) {
    for (int round = 0; round < 3; ++round)
        end_round();
    TestJob first([this] { add(0, 10), ASYNC_pause_job(); }, wait_);
    TestJob second([this] { add(1, 11), ASYNC_pause_job(); }, wait_);
    EXPECT_EQ(first.go(), ASYNC_PAUSE);
    EXPECT_EQ(second.go(), ASYNC_PAUSE);
    EXPECT_EQ(changed(), (std::pair<Fds, Fds>{{11, 10}, {}}));
    EXPECT_EQ(first.go(), ASYNC_FINISH);
    EXPECT_EQ(changed(), (std::pair<Fds, Fds>{}));
    EXPECT_EQ(second.go(), ASYNC_FINISH);
    EXPECT_EQ(all(), (Fds{11, 10}));
}

TEST_F(WaitContext, S27MayBeFreedInTheJobThatWasStartedWithIt) {
    TestJob job([this] { free(); }, wait_);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

}  // namespace
}  // namespace test
