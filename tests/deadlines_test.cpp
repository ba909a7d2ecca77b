// SPDX-License-Identifier: Apache-2.0
// asyncjob_pause_until(): which deadlines are listed when, and that the fd becomes readable then.
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <ctime>
#include <limits>
#include <thread>

#include "ready.hpp"

namespace test {
namespace {

using Jobs = std::vector<ASYNC_JOB*>;

// Nanoseconds.
using Time = long long;
constexpr Time ms = 1'000'000;
constexpr Time second = 1000 * ms;
constexpr Time hour = 3600 * second;

// Until deadlines that are to pass: longer than what a test does before, on a busy machine and
// under memcheck too. A job whose deadline has passed would not pause.
constexpr Time soon = emulated ? 3 * second : second / 2;

Time now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * second + time.tv_nsec;
}
timespec at(Time time) {
    return {static_cast<time_t>(time / second), static_cast<long>(time % second)};
}
void sleep_until(Time time) {
    const timespec until = at(time);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
    }
}

// A job that waits until a time, and what that meant.
class Waiter {
  public:
    explicit Waiter(Time until)
        : job_([this, until] {
              const timespec deadline = at(until);
              meaning = asyncjob_pause_until(&deadline);
          }) {
        EXPECT_EQ(job_.go(), ASYNC_PAUSE);
    }
    ~Waiter() {
        if (job_.handle != nullptr)
            go();
    }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    void go() { EXPECT_EQ(job_.go(), ASYNC_FINISH); }
    void cancel() { EXPECT_EQ(asyncjob_cancel(&job_.handle, &job_.result), ASYNC_FINISH); }
    [[nodiscard]] ASYNC_JOB* name() const { return job_.handle; }
    int meaning = -7;

  private:
    TestJob job_;
};

TEST(Deadline, MakesTheFdReadableWhenItHasPassedAndNotBefore) {
    const int fd = asyncjob_ready_fd();
    const Time until = now() + soon;
    Waiter waiter(until);
    ASSERT_TRUE(is_readable(fd, long_enough));
    EXPECT_GE(now(), until);
    EXPECT_EQ(take_ready(), Jobs{waiter.name()});
    EXPECT_FALSE(is_readable(fd));
    EXPECT_EQ(take_ready(), Jobs{}) << "once";
    waiter.go();
    EXPECT_EQ(waiter.meaning, ASYNCJOB_TIMED_OUT);
}

TEST(Deadline, JobsAreListedInTheOrderOfTheirDeadlines) {
    const int fd = asyncjob_ready_fd();
    const Time begin = now() + soon;
    const Waiter third(begin + 3 * ms);
    const Waiter first(begin + 1 * ms);
    const Waiter late(begin + hour);
    const Waiter second(begin + 2 * ms);
    sleep_until(begin + 4 * ms);
    ASSERT_TRUE(is_readable(fd, long_enough));
    EXPECT_EQ(take_ready(), (Jobs{first.name(), second.name(), third.name()}));
    EXPECT_FALSE(is_readable(fd));
}

TEST(Deadline, AnEarlierOneThatComesLaterIsNotMissed) {
    const int fd = asyncjob_ready_fd();
    const Waiter late(now() + hour);
    const Waiter early(now() + soon);
    ASSERT_TRUE(is_readable(fd, long_enough));
    EXPECT_EQ(take_ready(), Jobs{early.name()});
    const Waiter next(now() + soon);
    ASSERT_TRUE(is_readable(fd, long_enough));
    EXPECT_EQ(take_ready(), Jobs{next.name()});
}

// The timer is left as it is when its deadline ends early: one look too many.
TEST(Deadline, ThatEndedEarlyDoesNotHideTheNext) {
    const int fd = asyncjob_ready_fd();
    const Time begin = now();
    {
        Waiter early(begin + soon);
        const Waiter next(begin + 2 * soon);
        early.go();
        EXPECT_EQ(early.meaning, ASYNCJOB_RESUMED);
        Jobs ready;
        for (int looks = 0; ready.empty() && looks < 2; ++looks) {
            ASSERT_TRUE(is_readable(fd, long_enough));
            ready = take_ready();
        }
        EXPECT_EQ(ready, Jobs{next.name()});
        EXPECT_GE(now(), begin + 2 * soon);
    }
    EXPECT_FALSE(is_readable(fd));
}

TEST(Deadline, AsLongAsThereAreMoreThanMaxTheFdStaysReadable) {
    const int fd = asyncjob_ready_fd();
    const Time until = now() + soon;
    const Waiter first(until);
    const Waiter second(until + 1);
    const Waiter third(until + 2);
    sleep_until(until + 2);
    ASSERT_TRUE(is_readable(fd, long_enough));
    EXPECT_EQ(take_ready(1), Jobs{first.name()});
    EXPECT_TRUE(is_readable(fd));
    EXPECT_EQ(take_ready(1), Jobs{second.name()});
    EXPECT_TRUE(is_readable(fd));
    EXPECT_EQ(take_ready(1), Jobs{third.name()});
    EXPECT_FALSE(is_readable(fd));
}

TEST(Deadline, ThatHasPassedReturnsAtOnceUnlessTheJobWasWoken) {
    TestJob job([] {
        for (const Time time : {Time{0}, Time{1}, now() - 1, now()}) {
            const timespec passed = at(time);
            EXPECT_EQ(asyncjob_pause_until(&passed), ASYNCJOB_TIMED_OUT);
        }
        const timespec negative{-5, 0};
        EXPECT_EQ(asyncjob_pause_until(&negative), ASYNCJOB_TIMED_OUT);
        EXPECT_EQ(asyncjob_wake(handle_of(ASYNC_get_current_job())), 1);
        EXPECT_EQ(asyncjob_pause_until(&negative), ASYNCJOB_WOKEN);
        ASYNC_block_pause();
        EXPECT_EQ(asyncjob_pause_until(&negative), ASYNCJOB_BLOCKED);
    });
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(take_ready(), Jobs{});
}

TEST(Deadline, OfAWakeAndADeadlineTheWakeCountsAndTheJobIsListedOnce) {
    const Time until = now() + soon;
    Waiter woken(until);
    Waiter other(until);
    EXPECT_EQ(asyncjob_wake(handle_of(woken.name())), 1);
    sleep_until(until);
    EXPECT_EQ(take_ready(), (Jobs{woken.name(), other.name()}));
    EXPECT_EQ(asyncjob_wake(handle_of(other.name())), 1);
    EXPECT_EQ(take_ready(), Jobs{});
    woken.go();
    other.go();
    EXPECT_EQ(woken.meaning, ASYNCJOB_WOKEN);
    EXPECT_EQ(other.meaning, ASYNCJOB_WOKEN) << "it came before the resume";
}

TEST(Deadline, EndsWithItsPause) {
    const Time until = now() + soon;
    WaitingJobs jobs(1);
    TestJob again([&] {
        const timespec deadline = at(until);
        EXPECT_EQ(asyncjob_pause_until(&deadline), ASYNCJOB_RESUMED);
        EXPECT_EQ(ASYNC_pause_job(), 1);
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_RESUMED);
    });
    ASSERT_EQ(again.go(), ASYNC_PAUSE);
    ASSERT_EQ(again.go(), ASYNC_PAUSE);
    Waiter cancelled(until);
    cancelled.cancel();
    EXPECT_EQ(cancelled.meaning, ASYNCJOB_CANCELLED);
    sleep_until(until);
    EXPECT_EQ(take_ready(), Jobs{});
    ASSERT_EQ(again.go(), ASYNC_PAUSE);
    EXPECT_EQ(take_ready(), Jobs{});
    EXPECT_EQ(again.go(), ASYNC_FINISH);
    EXPECT_FALSE(is_readable(asyncjob_ready_fd()));
}

TEST(Deadline, ThatPassesBeforeAResumeIsATimeOutWhoeverResumes) {
    const Time until = now() + soon;
    Waiter waiter(until);
    sleep_until(until);
    waiter.go();
    EXPECT_EQ(waiter.meaning, ASYNCJOB_TIMED_OUT);
}

TEST(Deadline, TooFarAwayIsNone) {
    TestJob job([] {
        // Where the type of seconds has 32 bits there are no such times but the last.
        for (const Time seconds : {LLONG_MAX, LLONG_MAX / second, LLONG_MAX / second - 1}) {
            constexpr Time most = std::numeric_limits<time_t>::max();
            const timespec far{static_cast<time_t>(std::min(seconds, most)),
                               static_cast<long>(second - 1)};
            EXPECT_EQ(asyncjob_pause_until(&far), ASYNCJOB_RESUMED);
        }
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(take_ready(), Jobs{});
        EXPECT_FALSE(is_readable(asyncjob_ready_fd()));
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
    }
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

TEST(Deadline, BadOnesAreRefusedInAJobAndOutside) {
    const auto refuse = [] {
        EXPECT_EQ(asyncjob_pause_until(nullptr), ASYNCJOB_PAUSE_FAILED);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NULL_ARGUMENT);
        for (const long nanoseconds : {-1L, static_cast<long>(second), LONG_MAX, LONG_MIN}) {
            const timespec bad{5, nanoseconds};
            EXPECT_EQ(asyncjob_pause_until(&bad), ASYNCJOB_PAUSE_FAILED);
            EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_INVALID_DEADLINE);
        }
    };
    refuse();
    TestJob job(refuse);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    const timespec good{5, 0};
    EXPECT_EQ(asyncjob_pause_until(&good), ASYNCJOB_NOT_IN_JOB);
}

TEST(Deadline, IsListedWithoutAnFdAndSeenByOneThatComesLater) {
    std::thread([] {
        Time until = now() + soon;
        const Waiter first(until);
        sleep_until(until);
        EXPECT_EQ(take_ready(), Jobs{first.name()});
        until = now() + soon;
        const Waiter second(until);
        EXPECT_TRUE(is_readable(asyncjob_ready_fd(), long_enough));
        EXPECT_EQ(take_ready(), Jobs{second.name()});
    }).join();
}

TEST(Deadline, OfAThreadThatHasEndedIsForgottenByTheNext) {
    const auto wait = [] {
        const timespec deadline = at(now() + soon);
        (void)asyncjob_pause_until(&deadline);
    };
    TestJob cancelled(wait);
    TestJob behind(wait);
    std::thread([&] {
        EXPECT_GE(asyncjob_ready_fd(), 0);
        EXPECT_EQ(cancelled.go(), ASYNC_PAUSE);
        EXPECT_EQ(asyncjob_cancel_all(), 1U);
        EXPECT_EQ(behind.go(), ASYNC_PAUSE);
    }).join();
    std::thread([] {
        const int fd = asyncjob_ready_fd();
        sleep_until(now() + soon + ms);
        EXPECT_FALSE(is_readable(fd));
        EXPECT_EQ(take_ready(), Jobs{});
    }).join();
}

TEST(Deadline, S14TheChildOfAForkHasATimerOfItsOwn) {
    const int fd = asyncjob_ready_fd();
    const Time until = now() + soon;
    const Waiter waiter(until);
    EXPECT_TRUE(passes_in_child([&] {
        EXPECT_TRUE(is_readable(asyncjob_ready_fd(), long_enough));
        EXPECT_EQ(take_ready(), Jobs{waiter.name()});
    }));
    EXPECT_TRUE(is_readable(fd, long_enough));
    EXPECT_EQ(take_ready(), Jobs{waiter.name()});
}

// A system call for a deadline only when it becomes the earliest.
TEST(Deadline, LaterOnesLeaveTheTimerAlone) {
    const FdInfo timer(asyncjob_ready_fd(), "timerfd");
    const auto left = [&] {
        itimerspec spec{};
        EXPECT_EQ(timerfd_gettime(timer.fd(), &spec), 0);
        return spec.it_value.tv_sec;
    };
    const Waiter first(now() + 4 * hour);
    EXPECT_GE(left(), 3 * 3600);
    // What somebody else sets stays, until there is an earlier one.
    const itimerspec other{{0, 0}, {9 * 3600, 0}};
    EXPECT_EQ(timerfd_settime(timer.fd(), 0, &other, nullptr), 0);
    {
        const Waiter later(now() + 5 * hour);
        EXPECT_EQ(take_ready(), Jobs{});
        EXPECT_GE(left(), 8 * 3600);
    }
    const Waiter earlier(now() + hour);
    EXPECT_LE(left(), 3600);
}

}  // namespace
}  // namespace test
