// SPDX-License-Identifier: Apache-2.0
// asyncjob_stats(): against a model that counts beside a random run, and each number by itself.
#include <pthread.h>

#include <algorithm>
#include <barrier>
#include <climits>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

using Stats = asyncjob_stats_t;

Stats stats_of(int which) {
    Stats stats;
    EXPECT_EQ(asyncjob_stats(&stats, sizeof stats, which), 1);
    return stats;
}
Stats of_thread() {
    return stats_of(ASYNCJOB_STATS_THREAD);
}
Stats of_process() {
    return stats_of(ASYNCJOB_STATS_PROCESS);
}

// Numbers of a process begin with its first jobs, so each test has one.
void in_a_child(const std::function<void()>& body) {
    EXPECT_TRUE(passes_in_child([&body] { std::thread(body).join(); }));
}

// What the numbers must be, counted beside the calls. All on one thread.
struct Model {
    std::uint64_t started = 0;
    std::uint64_t finished = 0;
    std::uint64_t cancelled = 0;
    std::uint64_t refused = 0;
    std::uint64_t running = 0;
    std::uint64_t paused = 0;
    std::uint64_t peak = 0;

    void note_peak() { peak = std::max(peak, running + paused); }

    void expect(const Stats& stats) const {
        EXPECT_EQ(stats.started, started);
        EXPECT_EQ(stats.finished, finished);
        EXPECT_EQ(stats.cancelled, cancelled);
        EXPECT_EQ(stats.refused, refused);
        EXPECT_EQ(stats.live, running + paused);
        EXPECT_EQ(stats.paused, paused);
        EXPECT_EQ(stats.peak, peak);
        EXPECT_EQ(stats.left_behind, 0U);
        EXPECT_EQ(stats.threads, 1U);
    }
};

// A random life of jobs which start, resume and cancel each other.
class Life {
  public:
    Life(unsigned seed, std::size_t max) : random_(seed), max_(max) {}

    void step(int depth) {
        switch (pick(8)) {
            case 0:
            case 1:
            case 2:
                start(depth);
                break;
            case 3:
            case 4:
            case 5:
                go_on(false);
                break;
            case 6:
                go_on(true);
                break;
            default:
                if (pick(4) == 0)
                    model.expect(of_thread());
        }
    }
    void finish_all() {
        while (!paused_.empty())
            go_on(false);
        model.expect(of_thread());
    }

    Model model;
    std::uint64_t idle_at_most = 0;

  private:
    unsigned pick(unsigned of) { return static_cast<unsigned>(random_() % of); }

    struct Task {
        Life* life;
        int depth;
    };
    static int enter(void* arg) {
        const Task task = *static_cast<Task*>(arg);
        task.life->live(task.depth);
        return 7;
    }
    void live(int depth) {
        ++model.started;
        ++model.running;
        model.note_peak();
        for (unsigned steps = pick(4); steps > 0; --steps) {
            if (depth < 4 && pick(3) == 0)
                step(depth + 1);
            else if (!pause())
                break;
        }
        --model.running;
        ++model.finished;
    }
    bool pause() {
        if (asyncjob_cancelled() != 0)
            return ASYNC_pause_job() != 0;
        --model.running;
        ++model.paused;
        const bool goes_on = ASYNC_pause_job() == 1;
        --model.paused;
        ++model.running;
        return goes_on;
    }
    void start(int depth) {
        ASYNC_JOB* job = nullptr;
        int result = 0;
        Task task{this, depth};
        const bool has_room = max_ == 0 || model.running + model.paused < max_;
        const int status = ASYNC_start_job(&job, nullptr, &result, enter, &task, sizeof task);
        if (!has_room) {
            EXPECT_EQ(status, ASYNC_NO_JOBS);
            ++model.refused;
        } else if (status == ASYNC_PAUSE) {
            paused_.push_back(job);
        } else {
            EXPECT_EQ(status, ASYNC_FINISH);
        }
    }
    void go_on(bool cancels) {
        if (paused_.empty())
            return;
        std::swap(paused_[pick(static_cast<unsigned>(paused_.size()))], paused_.back());
        ASYNC_JOB* job = paused_.back();
        paused_.pop_back();
        int result = 0;
        if (cancels) {
            ++model.cancelled;
            EXPECT_EQ(asyncjob_cancel(&job, &result), ASYNC_FINISH);
        } else if (ASYNC_start_job(&job, nullptr, &result, nullptr, nullptr, 0) == ASYNC_PAUSE) {
            paused_.push_back(job);
        }
    }

    std::mt19937 random_;
    std::size_t max_;
    std::vector<ASYNC_JOB*> paused_;
};

void live_at_random(unsigned seed, const asyncjob_thread_options& options) {
    EXPECT_EQ(asyncjob_init_thread(&options), 1);
    Life life(seed, options.max_jobs);
    for (int steps = 0; steps < 20000; ++steps)
        life.step(0);
    life.model.expect(of_thread());
    life.model.expect(of_process());
    life.finish_all();
    EXPECT_EQ(life.model.started, life.model.finished);
    EXPECT_GT(life.model.finished, 5000U);
    EXPECT_GT(life.model.cancelled, 500U);
    const Stats before = of_thread();
    ASYNC_cleanup_thread();
    life.model.expect(of_thread());
    EXPECT_EQ(of_thread().idle, 0U);
    EXPECT_LE(before.idle, before.peak + options.prepared_jobs);
}

asyncjob_thread_options defaults() {
    asyncjob_thread_options options;
    asyncjob_options_default(&options, sizeof options);
    return options;
}

TEST(Stats, OfARandomRunAreThoseOfTheModel) {
    for (unsigned seed = 1; seed <= 3; ++seed)
        in_a_child([seed] { live_at_random(seed, defaults()); });
}

TEST(Stats, OfARandomRunInASmallPoolThatRefusesAreThoseOfTheModel) {
    in_a_child([] {
        asyncjob_thread_options options = defaults();
        options.max_jobs = 6;
        live_at_random(4, options);
        EXPECT_GT(of_thread().refused, 100U);
        EXPECT_EQ(of_thread().peak, 6U);
    });
}

TEST(Stats, OfARandomRunThatDestroysJobsAreThoseOfTheModel) {
    in_a_child([] {
        asyncjob_thread_options options = defaults();
        options.idle_high_water = 0;
        live_at_random(5, options);
    });
    in_a_child([] {
        asyncjob_thread_options options = defaults();
        options.idle_high_water = 2;
        options.prepared_jobs = 3;
        live_at_random(6, options);
    });
}

TEST(Stats, AreZeroBeforeTheFirstJobAndAfterThreadsThatHaveNone) {
    in_a_child([] {
        for (const int which : {ASYNCJOB_STATS_THREAD, ASYNCJOB_STATS_PROCESS,
                                ASYNCJOB_STATS_THREAD | ASYNCJOB_STATS_STACKS,
                                ASYNCJOB_STATS_PROCESS | ASYNCJOB_STATS_STACKS}) {
            const Stats stats = stats_of(which);
            const Stats nothing{};
            EXPECT_EQ(std::memcmp(&stats, &nothing, sizeof stats), 0) << which;
        }
    });
}

TEST(Stats, TheSerialOfAHeaderThatBeginsAnewIsNotMissed) {
    in_a_child([] {
        for (std::uint64_t count = 1; count <= 500; ++count) {
            TestJob job([] {});
            EXPECT_EQ(job.go(), ASYNC_FINISH);
            ASSERT_EQ(of_thread().started, count);
            ASSERT_EQ(of_thread().idle, 1U);
        }
        ASYNC_cleanup_thread();
        expect_jobs_work();  // the header goes on where it was
        EXPECT_EQ(of_thread().finished, 501U);
    });
}

TEST(Stats, OfARunningJobAndThoseThatWaitForItAreLive) {
    in_a_child([] {
        TestJob outer([] {
            TestJob inner([] {
                const Stats stats = of_thread();
                EXPECT_EQ(stats.started, 3U);
                EXPECT_EQ(stats.finished, 0U);
                EXPECT_EQ(stats.live, 3U);
                EXPECT_EQ(stats.paused, 1U);
                EXPECT_EQ(stats.peak, 3U);
            });
            EXPECT_EQ(inner.go(), ASYNC_FINISH);
            EXPECT_EQ(of_thread().live, 2U);
            EXPECT_EQ(of_thread().idle, 1U);
        });
        TestJob paused([] { ASYNC_pause_job(); });
        EXPECT_EQ(paused.go(), ASYNC_PAUSE);
        EXPECT_EQ(outer.go(), ASYNC_FINISH);
        EXPECT_EQ(paused.go(), ASYNC_FINISH);
    });
}

// Starts so many at a time, and finishes them.
void crowd(std::size_t count) {
    std::vector<std::unique_ptr<TestJob>> jobs;
    for (std::size_t i = 0; i < count; ++i) {
        jobs.push_back(std::make_unique<TestJob>([] { ASYNC_pause_job(); }));
        EXPECT_EQ(jobs.back()->go(), ASYNC_PAUSE);
    }
    for (const auto& job : jobs)
        EXPECT_EQ(job->go(), ASYNC_FINISH);
}

TEST(Stats, PeakIsThatOfJobsInFlightNotOfThoseMadeAhead) {
    in_a_child([] {
        EXPECT_EQ(ASYNC_init_thread(0, 50), 1);
        EXPECT_EQ(of_thread().idle, 50U);
        EXPECT_EQ(of_thread().peak, 0U);
        crowd(20);
        EXPECT_EQ(of_thread().peak, 20U);
        crowd(10);
        EXPECT_EQ(ASYNC_init_thread(0, 70), 1);
        crowd(15);
        EXPECT_EQ(of_thread().peak, 20U) << "of those that came to the others";
        EXPECT_EQ(ASYNC_init_thread(10, 1), 1);
        EXPECT_EQ(of_thread().idle, 10U);
        EXPECT_EQ(of_thread().peak, 20U) << "after most were destroyed";
        crowd(10);
        ASYNC_cleanup_thread();
        EXPECT_EQ(of_thread().peak, 20U);
        crowd(25);
        EXPECT_EQ(of_thread().peak, 25U);
    });
}

TEST(Stats, OfTheProcessKeepThoseOfThreadsThatHaveEnded) {
    in_a_child([] {
        crowd(5);
        std::thread([] {
            crowd(30);
            EXPECT_EQ(ASYNC_init_thread(1, 0), 1);
            ASYNC_JOB* left = nullptr;
            int result = 0;
            EXPECT_EQ(ASYNC_start_job(&left, nullptr, &result, pause_once, nullptr, 0),
                      ASYNC_PAUSE);
            TestJob refused([] {});
            EXPECT_EQ(refused.go(), ASYNC_NO_JOBS);
            EXPECT_EQ(of_thread().started, 31U);
            EXPECT_EQ(of_process().started, 36U);
            EXPECT_EQ(of_process().live, 1U);
            EXPECT_EQ(of_process().threads, 2U);
        }).join();
        const Stats stats = of_process();
        EXPECT_EQ(stats.started, 36U);
        EXPECT_EQ(stats.finished, 35U);
        EXPECT_EQ(stats.refused, 1U);
        EXPECT_EQ(stats.live, 0U);
        EXPECT_EQ(stats.left_behind, 1U);
        EXPECT_EQ(stats.left_behind, asyncjob_left_behind());
        EXPECT_EQ(stats.peak, 30U);
        EXPECT_EQ(stats.threads, 1U);
        EXPECT_EQ(stats.idle, 5U);
        EXPECT_EQ(of_thread().started, 5U);
    });
}

TEST(Stats, OfTheProcessAreSoundWhileThreadsRun) {
    in_a_child([] {
        constexpr int threads = 4;
        constexpr std::uint64_t rounds = 300;
        constexpr std::uint64_t at_once = 20;
        std::atomic<int> running = threads;
        std::vector<std::thread> all;
        for (int i = 0; i < threads; ++i) {
            all.emplace_back([&running] {
                for (std::uint64_t round = 0; round < rounds; ++round) {
                    crowd(at_once);
                    if (round % 50 == 0)
                        ASYNC_cleanup_thread();
                }
                --running;
            });
        }
        std::uint64_t looks = 0;
        while (running > 0) {
            const Stats stats = stats_of(ASYNCJOB_STATS_PROCESS | ASYNCJOB_STATS_STACKS);
            EXPECT_LE(stats.live, threads * (at_once + 1));
            EXPECT_LE(stats.peak, at_once);
            EXPECT_LE(stats.finished, threads * (rounds * at_once + 63 * at_once));
            ++looks;
        }
        for (std::thread& thread : all)
            thread.join();
        EXPECT_GT(looks, 0U);
        const Stats stats = of_process();
        EXPECT_EQ(stats.started, threads * rounds * at_once);
        EXPECT_EQ(stats.finished, threads * rounds * at_once);
        EXPECT_EQ(stats.live, 0U);
        EXPECT_EQ(stats.peak, at_once);
    });
}

// A header's serial begins anew with every 63rd job.
TEST(Stats, OfAnotherThreadThatRunsAreNeitherAheadNorBehind) {
    in_a_child([] {
        constexpr std::uint64_t looks = under_tsan || under_asan ? 20'000 : 300'000;
        std::atomic<std::uint64_t> started = 0;
        std::atomic<std::uint64_t> finished = 0;
        std::atomic<bool> enough = false;
        std::thread other([&] {
            while (!enough) {
                ++started;
                ASYNC_JOB* job = nullptr;
                int result = 0;
                EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, return_seven, nullptr, 0),
                          ASYNC_FINISH);
                ++finished;
            }
        });
        while (finished == 0)
            std::this_thread::yield();
        std::uint64_t wrong = 0;
        for (std::uint64_t look = 0; look < looks; ++look) {
            const std::uint64_t least = finished;
            const std::uint64_t seen = of_process().finished;
            const std::uint64_t most = started;
            wrong += seen < least || seen > most ? 1 : 0;
        }
        enough = true;
        other.join();
        EXPECT_EQ(wrong, 0U);
        EXPECT_EQ(of_process().finished, finished);
    });
}

// A thread whose first use of jobs is in the destructor of a key, in a late round of them; `use`
// then. The library's key is there already, so its destructor is the first in each round.
void use_jobs_in_round(int round, void (*use)()) {
    static thread_local int rounds_left;
    static void (*use_then)();
    static pthread_key_t key;
    use_then = use;
    ASSERT_EQ(pthread_key_create(&key,
                                 [](void* value) {
                                     if (--rounds_left == 0)
                                         use_then();
                                     else
                                         pthread_setspecific(key, value);
                                 }),
              0);
    std::thread([round] {
        rounds_left = round;
        pthread_setspecific(key, &rounds_left);
    }).join();
    pthread_key_delete(key);
}

void leave_one_paused() {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, pause_once, nullptr, 0), ASYNC_PAUSE);
}

TEST(Stats, DoNotLookAtThreadsThatUsedJobsInLateDestructors) {
    if (under_tsan)
        GTEST_SKIP() << "the tool is done with a thread before the last round";
    in_a_child([] {
        expect_jobs_work();
        // There is one more round after this, not three.
        use_jobs_in_round(PTHREAD_DESTRUCTOR_ITERATIONS - 1, leave_one_paused);
        EXPECT_EQ(of_process().threads, 1U);
        EXPECT_EQ(of_process().finished, 1U);
    });
    in_a_child([] {
        expect_jobs_work();
        // The library has seen the end of this thread, and sees no more of it.
        static pthread_key_t key;
        ASSERT_EQ(pthread_key_create(&key,
                                     [](void* value) {
                                         auto& rounds_left = *static_cast<int*>(value);
                                         if (--rounds_left > 0)
                                             pthread_setspecific(key, value);
                                         expect_jobs_work();
                                     }),
                  0);
        int rounds = PTHREAD_DESTRUCTOR_ITERATIONS;
        std::thread([&rounds] {
            expect_jobs_work();
            pthread_setspecific(key, &rounds);
        }).join();
        EXPECT_EQ(rounds, 0);
        const Stats stats = of_process();
        EXPECT_EQ(stats.threads, 1U);
        // All are counted but that of the last round, whose end nobody sees.
        EXPECT_EQ(stats.finished, 2U + PTHREAD_DESTRUCTOR_ITERATIONS - 1U);
        EXPECT_EQ(stats.live, 0U);
    });
}

TEST(Stats, S14OfAChildAreThoseOfTheForkingThread) {
    in_a_child([] {
        std::thread([] { crowd(9); }).join();
        crowd(3);
        std::barrier both(2);
        std::thread other([&both] {
            crowd(4);
            both.arrive_and_wait();
            both.arrive_and_wait();
        });
        both.arrive_and_wait();
        EXPECT_EQ(of_process().started, 16U);
        EXPECT_TRUE(passes_in_child([] {
            EXPECT_EQ(of_process().started, 3U);
            EXPECT_EQ(of_process().threads, 1U);
            // The tool ends the child of a process with threads when it makes one, as qemu-user
            // does, and takes the forking thread for another than it was: it sees the two race for
            // what is the thread's.
            if (under_tsan || emulated)
                return;
            crowd(2);
            EXPECT_EQ(of_process().started, 5U);
            std::thread([] { crowd(1); }).join();
            EXPECT_EQ(of_process().started, 6U);
        }));
        both.arrive_and_wait();
        other.join();
        EXPECT_EQ(of_process().started, 16U);
    });
}

TEST(Stats, S13S14WhatWasLeftBehindBeforeAForkIsTheParents) {
    in_a_child([] {
        std::thread(leave_one_paused).join();
        EXPECT_EQ(of_process().left_behind, 1U);
        EXPECT_EQ(asyncjob_left_behind(), 1U);
        EXPECT_TRUE(passes_in_child([] {
            EXPECT_EQ(of_process().left_behind, 0U);
            EXPECT_EQ(asyncjob_left_behind(), 0U);
            EXPECT_EQ(of_process().started, 0U);
            if (under_tsan)
                return;
            std::thread(leave_one_paused).join();
            EXPECT_EQ(of_process().left_behind, 1U);
            EXPECT_EQ(asyncjob_left_behind(), 1U);
        }));
        EXPECT_EQ(asyncjob_left_behind(), 1U);
    });
}

[[gnu::noinline]] void use_stack(std::size_t bytes) {
    volatile char* const frame = static_cast<volatile char*>(__builtin_alloca(bytes));
    for (std::size_t at = 0; at < bytes; at += 512)
        frame[at] = 1;
}

TEST(Stats, StackHighWaterIsThatOfTheJobThatWasDeepest) {
    if (faults_are_watched())
        GTEST_SKIP() << "the tool takes stack itself";
    in_a_child([] {
        expect_jobs_work();
        EXPECT_EQ(of_thread().stack_high_water, 0U) << "not asked for";
        const auto high_water = [] {
            return stats_of(ASYNCJOB_STATS_THREAD | ASYNCJOB_STATS_STACKS).stack_high_water;
        };
        const std::uint64_t least = high_water();
        EXPECT_GT(least, 0U);
        EXPECT_LT(least, 20 * kib);
        TestJob deep([] {
            use_stack(60 * kib);
            ASYNC_pause_job();
        });
        TestJob flat([] { ASYNC_pause_job(); });
        EXPECT_EQ(deep.go(), ASYNC_PAUSE);
        EXPECT_EQ(flat.go(), ASYNC_PAUSE);
        EXPECT_GE(high_water(), 60 * kib);
        EXPECT_LT(high_water(), 60 * kib + least + 8 * kib);
        EXPECT_EQ(stats_of(ASYNCJOB_STATS_PROCESS | ASYNCJOB_STATS_STACKS).stack_high_water,
                  high_water());
        EXPECT_EQ(deep.go(), ASYNC_FINISH);
        EXPECT_EQ(flat.go(), ASYNC_FINISH);
    });
}

TEST(Stats, CheckTheirArguments) {
    Stats stats{};
    stats.started = 99;
    const auto expect_refused = [&stats](Stats* of, std::size_t size, int which, int reason) {
        EXPECT_EQ(asyncjob_stats(of, size, which), 0);
        EXPECT_EQ(asyncjob_last_reason(), reason);
        EXPECT_EQ(stats.started, 99U);
    };
    expect_refused(nullptr, sizeof stats, ASYNCJOB_STATS_THREAD, ASYNCJOB_R_NULL_ARGUMENT);
    expect_refused(&stats, sizeof stats - 1, ASYNCJOB_STATS_THREAD, ASYNCJOB_R_INVALID_STRUCT_SIZE);
    for (const int which : {0, 3, 4, ASYNCJOB_STATS_STACKS, -1})
        expect_refused(&stats, sizeof stats, which, ASYNCJOB_R_INVALID_OPTION);
    struct {
        Stats known;
        long later = -1;
    } later;
    EXPECT_EQ(asyncjob_stats(&later.known, sizeof later, ASYNCJOB_STATS_PROCESS), 1);
    EXPECT_EQ(later.later, 0);
}

}  // namespace
}  // namespace test
