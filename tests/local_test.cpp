// SPDX-License-Identifier: Apache-2.0
// Job-local storage: whose the values are, when they are destroyed, and what keys may be used.

#include <cerrno>
#include <thread>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

// A key for the length of a test.
class Key {
  public:
    explicit Key(void (*destructor)(void*) = nullptr) {
        EXPECT_EQ(asyncjob_key_create(&key_, destructor), 1);
    }
    ~Key() { EXPECT_EQ(asyncjob_key_delete(key_), 1); }
    Key(const Key&) = delete;
    Key& operator=(const Key&) = delete;
    operator asyncjob_key() const { return key_; }  // NOLINT: it stands for the key

  private:
    asyncjob_key key_ = 0;
};

// What a destructor has seen, in this thread.
thread_local std::vector<void*> destroyed;

void note_destroyed(void* value) {
    destroyed.push_back(value);
}

void expect_reason(int reason) {
    EXPECT_EQ(asyncjob_last_reason(), reason) << asyncjob_reason_string(asyncjob_last_reason());
}

TEST(Local, EachJobHasItsOwnValueAcrossPauses) {
    const Key key;
    int one = 1;
    int two = 2;
    const auto keep = [&key](int* value) {
        EXPECT_EQ(asyncjob_get_local(key), nullptr);
        EXPECT_EQ(asyncjob_set_local(key, value), 1);
        for (int i = 0; i < 40; ++i) {
            EXPECT_EQ(ASYNC_pause_job(), 1);
            EXPECT_EQ(asyncjob_get_local(key), value);
        }
    };
    TestJob first([&] { keep(&one); });
    TestJob second([&] { keep(&two); });
    for (int i = 0; i < 40; ++i) {
        EXPECT_EQ(first.go(), ASYNC_PAUSE);
        EXPECT_EQ(asyncjob_get_local(key), nullptr);
        EXPECT_EQ(second.go(), ASYNC_PAUSE);
    }
    EXPECT_EQ(first.go(), ASYNC_FINISH);
    EXPECT_EQ(second.go(), ASYNC_FINISH);
}

TEST(Local, ANestedJobHasValuesOfItsOwn) {
    const Key key;
    int outer_value = 0;
    int inner_value = 0;
    TestJob inner([&] {
        EXPECT_EQ(asyncjob_get_local(key), nullptr);
        asyncjob_set_local(key, &inner_value);
        ASYNC_pause_job();
        EXPECT_EQ(asyncjob_get_local(key), &inner_value);
    });
    TestJob outer([&] {
        asyncjob_set_local(key, &outer_value);
        EXPECT_EQ(inner.go(), ASYNC_PAUSE);
        EXPECT_EQ(asyncjob_get_local(key), &outer_value);
        ASYNC_pause_job();
        EXPECT_EQ(inner.go(), ASYNC_FINISH);
        EXPECT_EQ(asyncjob_get_local(key), &outer_value);
    });
    EXPECT_EQ(outer.go(), ASYNC_PAUSE);
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
}

TEST(Local, TheNextJobOnTheSameStackFindsNoValue) {
    const Key key;
    for (int i = 0; i < 3; ++i) {
        TestJob job([&key, i] {
            EXPECT_EQ(asyncjob_get_local(key), nullptr);
            int value = 0;
            EXPECT_EQ(asyncjob_set_local(key, &value), 1);
            for (int pauses = 0; pauses < i; ++pauses)
                ASYNC_pause_job();
        });
        while (job.go() == ASYNC_PAUSE) {
        }
        EXPECT_EQ(job.handle, nullptr);
    }
}

TEST(Local, TheEndDestroysValuesOnceOnTheOwnersThread) {
    destroyed.clear();
    const Key key(note_destroyed);
    const Key other(note_destroyed);
    const Key without;
    int values[3];
    TestJob never_pauses([&] {
        asyncjob_set_local(key, &values[0]);
        asyncjob_set_local(other, &values[1]);
        asyncjob_set_local(without, &values[2]);
    });
    EXPECT_EQ(never_pauses.go(), ASYNC_FINISH);
    EXPECT_EQ(destroyed, (std::vector<void*>{&values[0], &values[1]}));

    destroyed.clear();
    TestJob pauses([&] {
        ASYNC_pause_job();
        asyncjob_set_local(key, &values[0]);
        ASYNC_pause_job();
    });
    pauses.go();
    EXPECT_EQ(pauses.go(), ASYNC_PAUSE);
    EXPECT_TRUE(destroyed.empty());
    EXPECT_EQ(pauses.go(), ASYNC_FINISH);
    EXPECT_EQ(destroyed, std::vector<void*>{&values[0]});
}

TEST(Local, ACancelledJobsValuesAreDestroyed) {
    destroyed.clear();
    const Key key(note_destroyed);
    int value = 0;
    TestJob job([&] {
        asyncjob_set_local(key, &value);
        EXPECT_EQ(ASYNC_pause_job(), 0);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(asyncjob_cancel(&job.handle, &job.result), ASYNC_FINISH);
    EXPECT_EQ(destroyed, std::vector<void*>{&value});
}

TEST(Local, AValueThatWasTakenOutIsNotDestroyed) {
    destroyed.clear();
    const Key key(note_destroyed);
    int value = 0;
    TestJob job([&] {
        EXPECT_EQ(asyncjob_set_local(key, nullptr), 1);
        EXPECT_EQ(asyncjob_set_local(key, &value), 1);
        EXPECT_EQ(asyncjob_set_local(key, nullptr), 1);
        EXPECT_EQ(asyncjob_get_local(key), nullptr);
    });
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_TRUE(destroyed.empty());
}

asyncjob_key repeated_key = 0;
int rounds = 0;

void store_again(void* value) {
    ++rounds;
    EXPECT_EQ(asyncjob_get_local(repeated_key), nullptr);
    EXPECT_EQ(asyncjob_set_local(repeated_key, value), 1);
}

TEST(Local, DestructorsThatStoreValuesAreCalledInBoundedRounds) {
    ASSERT_EQ(asyncjob_key_create(&repeated_key, store_again), 1);
    rounds = 0;
    int value = 0;
    TestJob job([&value] { asyncjob_set_local(repeated_key, &value); });
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(rounds, ASYNCJOB_DESTRUCTOR_ROUNDS);
    EXPECT_EQ(asyncjob_key_delete(repeated_key), 1);
    expect_jobs_work();
}

struct Ending {
    ASYNC_JOB* job = nullptr;
    ASYNC_WAIT_CTX* wait = nullptr;
    int nested_result = 0;
};

void use_jobs_at_the_end(void* value) {
    auto& ending = *static_cast<Ending*>(value);
    EXPECT_EQ(ASYNC_get_current_job(), ending.job);
    EXPECT_EQ(ASYNC_get_wait_ctx(ending.job), ending.wait);
    EXPECT_EQ(ASYNC_pause_job(), 1);  // held
    ASYNC_unblock_pause();
    EXPECT_EQ(ASYNC_pause_job(), 1);
    TestJob nested([] {
        ASYNC_pause_job();
        return 9;
    });
    EXPECT_EQ(nested.go(), ASYNC_PAUSE);
    EXPECT_EQ(nested.go(), ASYNC_FINISH);
    ending.nested_result = nested.result;
    EXPECT_EQ(ASYNC_get_current_job(), ending.job);
    errno = EBADF;
}

TEST(Local, ADestructorRunsInTheJobWhichCannotPauseAnyMore) {
    const Key key(use_jobs_at_the_end);
    ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
    for (const int pauses : {0, 1, 2}) {
        Ending ending;
        TestJob job(
            [&] {
                ending.job = ASYNC_get_current_job();
                ending.wait = wait;
                asyncjob_set_local(key, &ending);
                for (int i = 0; i < pauses; ++i)
                    ASYNC_pause_job();
                errno = EDOM;
                return 4;
            },
            wait);
        errno = 0;
        while (job.go() == ASYNC_PAUSE) {
        }
        EXPECT_EQ(errno, EDOM);
        EXPECT_EQ(job.handle, nullptr);
        EXPECT_EQ(job.result, 4);
        EXPECT_EQ(ending.nested_result, 9);
        EXPECT_EQ(ASYNC_get_current_job(), nullptr);
    }
    ASYNC_WAIT_CTX_free(wait);
    expect_jobs_work();
}

TEST(Local, ADeletedKeysValuesAreNotFoundNorDestroyedByTheNextOfItsSlot) {
    destroyed.clear();
    asyncjob_key old_key = 0;
    ASSERT_EQ(asyncjob_key_create(&old_key, note_destroyed), 1);
    int value = 0;
    TestJob job([&] {
        asyncjob_set_local(old_key, &value);
        ASYNC_pause_job();
        asyncjob_key new_key = 0;
        EXPECT_EQ(asyncjob_key_create(&new_key, note_destroyed), 1);
        EXPECT_EQ(new_key % ASYNCJOB_KEYS_MAX, old_key % ASYNCJOB_KEYS_MAX);
        EXPECT_NE(new_key, old_key);
        EXPECT_EQ(asyncjob_get_local(old_key), nullptr);
        EXPECT_EQ(asyncjob_get_local(new_key), nullptr);
        ASYNC_pause_job();
        EXPECT_EQ(asyncjob_key_delete(new_key), 1);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(asyncjob_key_delete(old_key), 1);
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_TRUE(destroyed.empty());
}

TEST(Local, WhatIsNoKeyIsRefused) {
    asyncjob_key deleted = 0;
    ASSERT_EQ(asyncjob_key_create(&deleted, nullptr), 1);
    ASSERT_EQ(asyncjob_key_delete(deleted), 1);
    for (const asyncjob_key key : {asyncjob_key{0}, asyncjob_key{5}, deleted, ~asyncjob_key{0},
                                   deleted + 7 * ASYNCJOB_KEYS_MAX}) {
        EXPECT_EQ(asyncjob_key_delete(key), 0);
        expect_reason(ASYNCJOB_R_INVALID_KEY);
        TestJob job([key] {
            EXPECT_EQ(asyncjob_get_local(key), nullptr);
            int value = 0;
            EXPECT_EQ(asyncjob_set_local(key, &value), 0);
            EXPECT_EQ(asyncjob_get_local(key), nullptr);
        });
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        expect_reason(ASYNCJOB_R_INVALID_KEY);
    }
    EXPECT_EQ(asyncjob_key_create(nullptr, nullptr), 0);
    expect_reason(ASYNCJOB_R_NULL_ARGUMENT);
}

TEST(Local, OutsideAJobNothingIsStoredAndAskingRaisesNothing) {
    const Key key;
    int value = 0;
    EXPECT_EQ(asyncjob_set_local(key, &value), 0);
    expect_reason(ASYNCJOB_R_NOT_IN_JOB);
    EXPECT_EQ(asyncjob_key_create(nullptr, nullptr), 0);
    EXPECT_EQ(asyncjob_get_local(key), nullptr);
    expect_reason(ASYNCJOB_R_NULL_ARGUMENT);  // the last failure still
}

TEST(Local, AllKeysHoldAValueEachAndTheNextKeyIsRefused) {
    destroyed.clear();
    std::vector<asyncjob_key> keys;
    asyncjob_key key = 0;
    while (asyncjob_key_create(&key, note_destroyed) == 1)
        keys.push_back(key);
    expect_reason(ASYNCJOB_R_NO_KEY);
    EXPECT_EQ(keys.size(), std::size_t{ASYNCJOB_KEYS_MAX});
    EXPECT_EQ(key, keys.back());
    std::vector<int> values(keys.size());
    TestJob job([&] {
        for (std::size_t i = 0; i < keys.size(); ++i)
            EXPECT_EQ(asyncjob_set_local(keys[i], &values[i]), 1);
        ASYNC_pause_job();
        for (std::size_t i = 0; i < keys.size(); ++i)
            EXPECT_EQ(asyncjob_get_local(keys[i]), &values[i]);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(destroyed.size(), keys.size());
    for (const asyncjob_key each : keys)
        EXPECT_EQ(asyncjob_key_delete(each), 1);
}

TEST(Local, ThreadsMakeAndDeleteKeysAtTheSameTime) {
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread)
        threads.emplace_back([] {
            destroyed.clear();
            std::size_t stored = 0;
            for (int i = 0; i < 2000; ++i) {
                asyncjob_key key = 0;
                EXPECT_EQ(asyncjob_key_create(&key, note_destroyed), 1);
                TestJob job([key, i, &stored] {
                    EXPECT_EQ(asyncjob_get_local(key), nullptr);
                    EXPECT_EQ(asyncjob_set_local(key, &stored), 1);
                    if (i % 2 == 0)
                        ASYNC_pause_job();
                    EXPECT_EQ(asyncjob_get_local(key), &stored);
                    ++stored;
                });
                while (job.go() == ASYNC_PAUSE) {
                }
                EXPECT_EQ(asyncjob_key_delete(key), 1);
            }
            EXPECT_EQ(destroyed.size(), stored);
            EXPECT_EQ(stored, 2000U);
        });
    for (std::thread& thread : threads)
        thread.join();
}

TEST(Local, AJobLeftBehindKeepsItsValues) {
    EXPECT_TRUE(passes_in_child([] {
        static std::atomic<int> calls = 0;
        const Key key([](void*) { ++calls; });
        static int value = 0;
        std::thread([&key] {
            static ASYNC_JOB* handle = nullptr;
            int result = 0;
            asyncjob_key copy = key;
            EXPECT_EQ(ASYNC_start_job(
                          &handle, nullptr, &result,
                          [](void* args) {
                              asyncjob_set_local(*static_cast<asyncjob_key*>(args), &value);
                              ASYNC_pause_job();
                              return 0;
                          },
                          &copy, sizeof(copy)),
                      ASYNC_PAUSE);
        }).join();
        EXPECT_EQ(calls, 0);
        EXPECT_EQ(asyncjob_left_behind(), 1U);
    }));
}

}  // namespace
}  // namespace test
