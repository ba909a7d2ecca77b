// SPDX-License-Identifier: Apache-2.0
// What code inside a job calls (this_job.hpp): pauses, waits, values of the job's own; wakes
// (wake.hpp); and in jobs that C code has started.
#include <poll.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "support.hpp"

namespace test {
namespace {

namespace this_job = asyncjob::this_job;
using asyncjob::BlockPause;
using asyncjob::Cancelled;
using asyncjob::Errc;
using asyncjob::make_job;
using asyncjob::Resumed;
using std::chrono::steady_clock;

constexpr int long_enough = 60'000;  // milliseconds; only a failure waits for so long

bool is_ready(int milliseconds = 0) {
    pollfd ready{asyncjob::ready_fd(), POLLIN, 0};
    return poll(&ready, 1, milliseconds) == 1;
}

std::vector<ASYNC_JOB*> take_ready() {
    std::array<ASYNC_JOB*, 16> jobs{};
    const std::size_t count = asyncjob::take_ready(jobs);
    return {jobs.begin(), jobs.begin() + static_cast<std::ptrdiff_t>(count)};
}

TEST(ThisJob, OutsideJobsNothingPauses) {
    asyncjob::pause();
    EXPECT_TRUE(asyncjob::try_pause());
    const BlockPause block;
    EXPECT_EQ(this_job::wait(), Resumed::not_in_job);
    EXPECT_EQ(this_job::wait_until(steady_clock::time_point::max()), Resumed::not_in_job);
    EXPECT_EQ(this_job::current(), nullptr);
    EXPECT_FALSE(this_job::can_pause());
    EXPECT_FALSE(this_job::cancelled());
    EXPECT_EQ(code_of([] { (void)this_job::handle(); }), Errc::not_in_job);
    EXPECT_EQ(code_of([] { (void)this_job::local<int>(); }), Errc::not_in_job);
}

TEST(BlockPause, BlocksWhileItLivesAndNests) {
    auto job = make_job(nullptr, [] {
        EXPECT_TRUE(this_job::can_pause());
        {
            const BlockPause outer;
            {
                const BlockPause inner;
                asyncjob::pause();
            }
            EXPECT_FALSE(this_job::can_pause());
            EXPECT_TRUE(asyncjob::try_pause());
            EXPECT_EQ(this_job::wait(), Resumed::blocked);
        }
        asyncjob::pause();
    });
    EXPECT_FALSE(job.resume());
    EXPECT_TRUE(job.resume());
}

TEST(BlockPause, EndsWhenAnExceptionLeavesItsScope) {
    auto job = make_job(nullptr, [] {
        EXPECT_EQ(message_of([] {
                      const BlockPause block;
                      throw std::runtime_error("left");
                  }),
                  "left");
        asyncjob::pause();
    });
    EXPECT_FALSE(job.resume());
    EXPECT_TRUE(job.resume());
}

TEST(BlockPause, DoesNotHoldBackCancelled) {
    auto job = make_job(nullptr, [] {
        EXPECT_FALSE(asyncjob::try_pause());
        const BlockPause block;
        asyncjob::pause();
    });
    job.resume();
    job.cancel();
    EXPECT_THROW(job.result(), Cancelled);
}

TEST(Wait, TellsWhatItMeant) {
    auto job = make_job(nullptr, [] {
        std::vector<Resumed> meanings;
        for (int i = 0; i < 3; ++i)
            meanings.push_back(this_job::wait());
        return meanings;
    });
    job.resume();
    const asyncjob::Handle handle = job.handle();
    EXPECT_FALSE(is_ready());
    job.resume();
    std::thread([handle] { EXPECT_TRUE(asyncjob::wake(handle)); }).join();
    EXPECT_TRUE(is_ready());
    EXPECT_EQ(take_ready(), std::vector{job.native_handle()});
    EXPECT_FALSE(job.resume());
    EXPECT_TRUE(asyncjob::wake(handle));
    EXPECT_TRUE(job.resume());
    EXPECT_EQ(job.result(), (std::vector{Resumed::resumed, Resumed::woken, Resumed::woken}));
    EXPECT_FALSE(asyncjob::wake(handle));
    EXPECT_TRUE(take_ready().empty());
}

TEST(Wait, ReturnsAtOnceIfTheJobWasWokenBefore) {
    auto job = make_job(nullptr, [] {
        EXPECT_TRUE(asyncjob::wake(this_job::handle()));
        return this_job::wait();
    });
    EXPECT_TRUE(job.resume());
    EXPECT_EQ(job.result(), Resumed::woken);
}

TEST(Wait, ThrowsCancelledAndDoesNotWhileFramesUnwind) {
    std::vector<Resumed> meanings;
    struct Waits {
        ~Waits() { meanings.push_back(this_job::wait()); }
        std::vector<Resumed>& meanings;
    };
    auto job = make_job(nullptr, [&] {
        const Waits waits{meanings};
        this_job::wait_until(steady_clock::time_point::max());
    });
    job.resume();
    job.cancel();
    EXPECT_THROW(job.result(), Cancelled);
    EXPECT_EQ(meanings, std::vector{Resumed::cancelled});
}

TEST(Wait, ForATimeThatHasPassedDoesNotPause) {
    auto job = make_job(nullptr, [] {
        std::vector<Resumed> meanings;
        meanings.push_back(this_job::wait_for(std::chrono::seconds(-5)));
        meanings.push_back(this_job::wait_for(std::chrono::nanoseconds(0)));
        meanings.push_back(this_job::wait_for(std::chrono::hours::min()));
        meanings.push_back(this_job::wait_until(steady_clock::time_point::min()));
        meanings.push_back(this_job::wait_until(steady_clock::now()));
        return meanings;
    });
    EXPECT_TRUE(job.resume());
    EXPECT_EQ(job.result(), std::vector(5, Resumed::timed_out));
}

TEST(Wait, EndsWithItsTime) {
    using namespace std::chrono_literals;
    auto job = make_job(nullptr, [] {
        const auto begin = steady_clock::now();
        const Resumed meaning = this_job::wait_for(5ms);
        EXPECT_GE(steady_clock::now() - begin, 5ms);
        return meaning;
    });
    auto other = make_job(nullptr, [] {
        return this_job::wait_until(
            std::chrono::time_point_cast<std::chrono::milliseconds>(steady_clock::now()) + 3ms);
    });
    EXPECT_FALSE(job.resume());
    EXPECT_FALSE(other.resume());
    for (int ended = 0; ended < 2 && is_ready(long_enough);) {
        for (const ASYNC_JOB* const ready : take_ready())
            ended += ready == job.native_handle() ? job.resume() : other.resume();
    }
    EXPECT_EQ(job.result(), Resumed::timed_out);
    EXPECT_EQ(other.result(), Resumed::timed_out);
}

TEST(Wait, ForLongerThanClocksCountDoesNotOverflow) {
    auto job = make_job(nullptr, [] {
        std::vector<Resumed> meanings;
        meanings.push_back(this_job::wait_for(std::chrono::hours::max()));
        meanings.push_back(this_job::wait_for(std::chrono::nanoseconds::max()));
        meanings.push_back(this_job::wait_for(std::chrono::duration<double>(1e300)));
        meanings.push_back(
            this_job::wait_until(std::chrono::time_point<steady_clock, std::chrono::hours>::max() -
                                 std::chrono::hours(1)));
        return meanings;
    });
    for (int i = 0; i < 4; ++i)
        EXPECT_FALSE(job.resume());
    EXPECT_TRUE(job.resume());
    EXPECT_EQ(job.result(), std::vector(4, Resumed::resumed));
}

// Handles.

TEST(Handle, OfOneJobAreEqualAndOfNoneWakeNothing) {
    asyncjob::Handle inside;
    auto job = make_job(nullptr, [&] {
        inside = this_job::handle();
        asyncjob::pause();
    });
    auto other = make_job(nullptr, [] { asyncjob::pause(); });
    job.resume();
    other.resume();
    EXPECT_TRUE(inside);
    EXPECT_EQ(job.handle(), inside);
    EXPECT_NE(job.handle(), other.handle());
    const asyncjob::Handle none;
    EXPECT_FALSE(none);
    EXPECT_NE(none, inside);
    EXPECT_EQ(code_of([&] { asyncjob::wake(none); }), Errc::null_argument);
    job.resume();
    EXPECT_FALSE(asyncjob::wake(inside));
}

TEST(Handle, WakesFromManyThreads) {
    constexpr int threads = 4;
    constexpr int rounds = 200;
    std::atomic<int> count = 0;
    auto job = make_job(nullptr, [&] {
        const asyncjob::Handle handle = this_job::handle();
        std::vector<std::thread> wakers;
        for (int i = 0; i < threads; ++i) {
            wakers.emplace_back([&count, handle] {
                for (int round = 0; round < rounds; ++round) {
                    ++count;
                    asyncjob::wake(handle);
                }
            });
        }
        while (count < threads * rounds)
            this_job::wait();
        for (std::thread& waker : wakers)
            waker.join();
    });
    bool is_done = job.resume();
    while (!is_done && is_ready(long_enough)) {
        for (const ASYNC_JOB* const ready : take_ready()) {
            EXPECT_EQ(ready, job.native_handle());
            is_done = job.resume();
        }
    }
    EXPECT_TRUE(is_done);
}

// Values of a job's own.

struct Counter {
    explicit Counter(int start = 100) : value(start) { ++live; }
    ~Counter() { --live; }
    Counter(const Counter&) = delete;
    Counter& operator=(const Counter&) = delete;
    int value;
    static inline int live = 0;
};

TEST(Local, BelongsToTheJobAndEndsWithIt) {
    const auto count = [] {
        for (int i = 0; i < 3; ++i) {
            ++this_job::local<Counter>().value;
            asyncjob::pause();
        }
        return this_job::local<Counter>().value;
    };
    auto first = make_job(nullptr, count);
    auto second = make_job(nullptr, count);
    auto cancelled = make_job(nullptr, count);
    cancelled.resume();
    bool is_done = false;
    while (!is_done) {
        is_done = first.resume();
        EXPECT_EQ(second.resume(), is_done);
        EXPECT_EQ(Counter::live, is_done ? 1 : 3);
    }
    EXPECT_EQ(first.result(), 103);
    EXPECT_EQ(second.result(), 103);
    cancelled.cancel();
    EXPECT_EQ(Counter::live, 0);
}

TEST(Local, IsToldApartByTypeAndTag) {
    auto job = make_job(nullptr, [] {
        struct Tag;
        this_job::local<int>() = 1;
        this_job::local<int, Tag>() = 2;
        this_job::local<long>() = 3;
        asyncjob::pause();
        EXPECT_EQ((this_job::local<int>()), 1);
        EXPECT_EQ((this_job::local<int, Tag>()), 2);
        EXPECT_EQ((this_job::local<long>()), 3);
    });
    job.resume();
    EXPECT_TRUE(job.resume());
    auto next = make_job(nullptr, [] { return this_job::local<int>(); });
    next.resume();
    EXPECT_EQ(next.result(), 0);
}

struct MayThrow {
    MayThrow() {
        if (throws)
            throw std::runtime_error("not made");
    }
    static inline bool throws = true;
    int value = 7;
};

TEST(Local, WhoseConstructorThrowsIsMadeAtTheNextCall) {
    auto job = make_job(nullptr, [] {
        EXPECT_EQ(message_of([] { (void)this_job::local<MayThrow>(); }), "not made");
        MayThrow::throws = false;
        return this_job::local<MayThrow>().value;
    });
    EXPECT_TRUE(job.resume());
    EXPECT_EQ(job.result(), 7);
}

// Jobs of C.

int pause_in_c_job(void* args) {
    int& frames = **static_cast<int**>(args);
    try {
        this_job::local<Counter>().value = 1;
        pause_for_ever(frames);
    } catch (const Cancelled&) {
        return 5;
    }
}

TEST(ThisJob, WorksInJobsThatCHasStarted) {
    int frames = 0;
    int* args = &frames;
    ASYNC_JOB* job = nullptr;
    int result = 0;
    ASSERT_EQ(ASYNC_start_job(&job, nullptr, &result, pause_in_c_job, &args, sizeof args),
              ASYNC_PAUSE);
    EXPECT_EQ(frames, 1);
    EXPECT_EQ(asyncjob_cancel(&job, &result), ASYNC_FINISH);
    EXPECT_EQ(result, 5);
    EXPECT_EQ(frames, 0);
    EXPECT_EQ(Counter::live, 0);
}

}  // namespace
}  // namespace test
