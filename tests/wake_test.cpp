// SPDX-License-Identifier: Apache-2.0
// Handles, wakes, the fd and the list of ready jobs, from one thread and from many. What a pause
// meant is pause_meaning_test's, deadlines are deadlines_test's.
#include <sys/epoll.h>
#include <sys/select.h>

#include <array>
#include <mutex>
#include <set>
#include <thread>

#include "ready.hpp"

namespace test {
namespace {

using Jobs = std::vector<ASYNC_JOB*>;

// Wakes in this thread's name from another, which has ended when this returns.
void wake_from_another_thread(asyncjob_handle handle) {
    std::thread([handle] { EXPECT_EQ(asyncjob_wake(handle), 1); }).join();
}

TEST(Wake, ListsTheJobAndMakesTheFdReadableUntilItIsTaken) {
    WaitingJobs jobs(2);
    const int fd = asyncjob_ready_fd();
    ASSERT_GE(fd, 0);
    EXPECT_EQ(asyncjob_ready_fd(), fd);
    EXPECT_FALSE(is_readable(fd));
    EXPECT_EQ(take_ready(), Jobs{});
    wake_from_another_thread(jobs.handles[1]);
    EXPECT_TRUE(is_readable(fd));
    EXPECT_TRUE(is_readable(fd));
    EXPECT_EQ(take_ready(), Jobs{jobs[1]});
    EXPECT_FALSE(is_readable(fd));
    EXPECT_EQ(take_ready(), Jobs{});
    EXPECT_EQ(jobs.go(1), ASYNC_PAUSE);
    EXPECT_EQ(jobs.meanings[1], std::vector<int>{ASYNCJOB_WOKEN});
    EXPECT_FALSE(is_readable(fd));
}

TEST(Wake, TheFdWorksWithEpollAndSelectToo) {
    WaitingJobs jobs(1);
    const int fd = asyncjob_ready_fd();
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(epoll_wait(epoll, &event, 1, 0), 0);
        wake_from_another_thread(jobs.handles[0]);
        EXPECT_EQ(epoll_wait(epoll, &event, 1, 0), 1);
        fd_set set;
        FD_ZERO(&set);
        FD_SET(fd, &set);
        timeval none{};
        EXPECT_EQ(select(fd + 1, &set, nullptr, nullptr, &none), 1);
        EXPECT_EQ(take_ready(), Jobs{jobs[0]});
        EXPECT_EQ(jobs.go(0), ASYNC_PAUSE);
    }
    close(epoll);
}

TEST(Wake, OfAJobThatIsWokenAlreadyIsASuccessWithoutEffect) {
    WaitingJobs jobs(1);
    for (int i = 0; i < 5; ++i)
        jobs.wake(0);
    EXPECT_EQ(take_ready(), Jobs{jobs[0]});
    EXPECT_EQ(take_ready(), Jobs{});
    EXPECT_EQ(jobs.go(0), ASYNC_PAUSE);
    EXPECT_EQ(jobs.meanings[0], std::vector<int>{ASYNCJOB_WOKEN});
    EXPECT_EQ(take_ready(), Jobs{});
}

TEST(Wake, JobsAreListedInTheOrderOfTheWakes) {
    WaitingJobs jobs(5);
    Jobs expected;
    for (const std::size_t at : {3U, 0U, 4U, 1U}) {
        jobs.wake(at);
        expected.push_back(jobs[at]);
    }
    EXPECT_EQ(take_ready(2), (Jobs{expected[0], expected[1]}));
    jobs.wake(2);
    EXPECT_EQ(take_ready(), (Jobs{expected[2], expected[3], jobs[2]}));
}

TEST(Wake, OntoANonEmptyListMakesNoSystemCall) {
    constexpr std::size_t count = 100;
    WaitingJobs jobs(count);
    const int fd = asyncjob_ready_fd();
    const FdInfo event(fd, "eventfd");
    EXPECT_EQ(event.event_count(), 0);
    for (std::size_t i = 0; i < count / 2; ++i)
        jobs.wake(i);
    EXPECT_EQ(event.event_count(), 1);
    // What is left over counts as well.
    EXPECT_EQ(take_ready(7).size(), 7U);
    for (std::size_t i = count / 2; i < count; ++i)
        jobs.wake(i);
    EXPECT_EQ(event.event_count(), 1);
    EXPECT_EQ(take_ready(count).size(), count - 7);
    EXPECT_EQ(event.event_count(), 0);
    jobs.wake(0);
    EXPECT_EQ(event.event_count(), 1);
}

TEST(Wake, BeforeTheFdIsAskedForIsSeenByItFromTheBeginning) {
    std::thread([] {
        WaitingJobs jobs(1);
        jobs.wake(0);
        const int fd = asyncjob_ready_fd();
        EXPECT_TRUE(is_readable(fd));
        EXPECT_EQ(take_ready(), Jobs{jobs[0]});
        EXPECT_FALSE(is_readable(fd));
    }).join();
}

TEST(Wake, TheListNeedsNoFd) {
    std::thread([] {
        WaitingJobs jobs(3);
        jobs.wake(2);
        jobs.wake(1);
        EXPECT_EQ(take_ready(1), Jobs{jobs[2]});
        EXPECT_EQ(take_ready(), Jobs{jobs[1]});
    }).join();
}

TEST(ReadyFd, IsToBeHadBeforeTheFirstJobAndBelongsToTheThread) {
    const int fd = asyncjob_ready_fd();
    std::thread([fd] {
        const int own = asyncjob_ready_fd();
        EXPECT_GE(own, 0);
        EXPECT_NE(own, fd);
        WaitingJobs jobs(1);
        jobs.wake(0);
        EXPECT_FALSE(is_readable(fd));
        EXPECT_TRUE(is_readable(own));
    }).join();
}

TEST(ReadyFd, ManyThreadsOneAfterAnotherNeedNoMoreThanOne) {
    const auto open_fds = [] {
        int count = 0;
        for (int fd = 0; fd < 1000; ++fd)
            count += fcntl(fd, F_GETFD) >= 0;
        return count;
    };
    const auto use = [] {
        std::thread([] {
            const int fd = asyncjob_ready_fd();
            EXPECT_FALSE(is_readable(fd));
            TestJob job([] { EXPECT_EQ(asyncjob_wake(handle_of(ASYNC_get_current_job())), 1); });
            EXPECT_EQ(job.go(), ASYNC_FINISH);
            EXPECT_TRUE(is_readable(fd)) << "nobody takes it, the next thread neither";
        }).join();
    };
    use();
    const int before = open_fds();
    for (int i = 0; i < 20; ++i)
        use();
    EXPECT_EQ(open_fds(), before);
}

TEST(TakeReady, AsLongAsThereAreMoreThanMaxTheFdStaysReadable) {
    WaitingJobs jobs(10);
    const int fd = asyncjob_ready_fd();
    for (std::size_t i = 0; i < 10; ++i)
        jobs.wake(i);
    std::set<ASYNC_JOB*> taken;
    for (int i = 0; i < 3; ++i) {
        const Jobs some = take_ready(3);
        EXPECT_EQ(some.size(), 3U);
        taken.insert(some.begin(), some.end());
        EXPECT_TRUE(is_readable(fd));
        EXPECT_EQ(asyncjob_take_ready(nullptr, 0), 0U);
        EXPECT_TRUE(is_readable(fd));
    }
    taken.insert(take_ready(1).front());
    EXPECT_EQ(taken.size(), 10U);
    EXPECT_TRUE(take_ready(1).empty());
    EXPECT_FALSE(is_readable(fd));
}

TEST(TakeReady, LeavesOutWhatWasResumedOrHasEndedSinceTheWake) {
    WaitingJobs jobs(4);
    const int fd = asyncjob_ready_fd();
    for (std::size_t i = 0; i < 4; ++i)
        jobs.wake(i);
    EXPECT_EQ(jobs.go(0), ASYNC_PAUSE);
    EXPECT_EQ(jobs.finish(1), ASYNC_FINISH);
    ASYNC_JOB* handle = jobs[2];
    EXPECT_EQ(take_ready(), (Jobs{handle, jobs[3]}));
    EXPECT_FALSE(is_readable(fd));
    EXPECT_EQ(jobs.meanings[0], std::vector<int>{ASYNCJOB_WOKEN});
}

TEST(TakeReady, ListsAJobOnceForEachPause) {
    TestJob job([] {
        EXPECT_EQ(ASYNC_pause_job(), 1);
        EXPECT_EQ(ASYNC_pause_job(), 1);
    });
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    const asyncjob_handle handle = handle_of(job.handle);
    EXPECT_EQ(asyncjob_wake(handle), 1);
    EXPECT_EQ(take_ready(), Jobs{job.handle});
    EXPECT_EQ(asyncjob_wake(handle), 1);
    EXPECT_EQ(take_ready(), Jobs{}) << "it is in the application's hands already";
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(take_ready(), Jobs{});
    EXPECT_EQ(asyncjob_wake(handle), 1);
    EXPECT_EQ(take_ready(), Jobs{job.handle});
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

TEST(TakeReady, InAThreadWithoutJobsIsEmpty) {
    std::thread([] { EXPECT_EQ(take_ready(), Jobs{}); }).join();
}

TEST(Handle, IsTheSameForAJobAndAnotherForTheNext) {
    std::set<std::pair<void*, std::uint64_t>> seen;
    for (int i = 0; i < 200; ++i) {
        TestJob job([&] {
            const asyncjob_handle own = handle_of(ASYNC_get_current_job());
            EXPECT_TRUE(seen.insert({own.slot, own.generation}).second);
            ASYNC_pause_job();
            const asyncjob_handle again = handle_of(ASYNC_get_current_job());
            EXPECT_EQ(again.slot, own.slot);
            EXPECT_EQ(again.generation, own.generation);
        });
        ASSERT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_FALSE(
            seen.insert({handle_of(job.handle).slot, handle_of(job.handle).generation}).second);
        ASSERT_EQ(job.go(), ASYNC_FINISH);
    }
    EXPECT_EQ(seen.size(), 200U);
}

// The serial in a name comes again with the 64th job of a header, which is idle then.
TEST(StaleHandle, IsNotToBeHadOfAnIdleJob) {
    TestJob paused([] { ASYNC_pause_job(); });
    ASSERT_EQ(paused.go(), ASYNC_PAUSE);
    ASYNC_JOB* const old = paused.handle;
    ASSERT_EQ(paused.go(), ASYNC_FINISH);
    for (int i = 0; i < 200; ++i) {
        asyncjob_handle handle{};
        EXPECT_EQ(asyncjob_get_handle(old, &handle), 0) << i;
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_JOB_NOT_PAUSED);
        TestJob another([] { ASYNC_pause_job(); });
        ASSERT_EQ(another.go(), ASYNC_PAUSE);
        ASSERT_EQ(another.go(), ASYNC_FINISH);
    }
}

TEST(StaleHandle, IsRefusedAndWakesNoLaterJobOfTheSlot) {
    std::vector<asyncjob_handle> stale;
    for (int i = 0; i < 300; ++i) {
        WaitingJobs jobs(1);
        for (const asyncjob_handle handle : stale) {
            EXPECT_EQ(asyncjob_wake(handle), 0);
            EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_STALE_HANDLE);
        }
        EXPECT_EQ(take_ready(), Jobs{});
        jobs.wake(0);
        EXPECT_EQ(take_ready(), Jobs{jobs[0]});
        stale.push_back(jobs.handles[0]);
        if (i % 2 == 0)
            jobs.wake(0);  // and the next job's slot is another, as this one is in the list
    }
    std::set<void*> slots;
    for (const asyncjob_handle handle : stale)
        slots.insert(handle.slot);
    EXPECT_LT(slots.size(), 10U) << "slots are used again";
}

TEST(StaleHandle, OfAJobThatWasCancelled) {
    WaitingJobs jobs(1);
    jobs.wake(0);
    ASYNC_JOB* job = jobs[0];
    (void)job;
    TestJob cancelled([] { EXPECT_EQ(asyncjob_pause(), ASYNCJOB_CANCELLED); });
    ASSERT_EQ(cancelled.go(), ASYNC_PAUSE);
    const asyncjob_handle handle = handle_of(cancelled.handle);
    EXPECT_EQ(asyncjob_wake(handle), 1);
    EXPECT_EQ(asyncjob_cancel(&cancelled.handle, &cancelled.result), ASYNC_FINISH);
    EXPECT_EQ(asyncjob_wake(handle), 0);
    EXPECT_EQ(take_ready(), Jobs{jobs[0]});
}

TEST(WakeOfARunningJob, IsHeardOfByItsNextPauseOfEitherKind) {
    TestJob job([] {
        const asyncjob_handle own = handle_of(ASYNC_get_current_job());
        EXPECT_EQ(asyncjob_wake(own), 1);
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_WOKEN) << "at once";
        wake_from_another_thread(own);
        EXPECT_EQ(ASYNC_pause_job(), 1);
        EXPECT_EQ(asyncjob_pause(), ASYNCJOB_RESUMED);
    });
    const int fd = asyncjob_ready_fd();
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_TRUE(is_readable(fd));
    EXPECT_EQ(take_ready(), Jobs{job.handle});
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(take_ready(), Jobs{});
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

// A loop inside a job: what it cannot take must neither keep its fd readable nor be lost.
TEST(WakeOfARunningJob, ThatLooksForReadyJobsItselfIsListedWhenItPauses) {
    WaitingJobs others(1);
    TestJob loop([&] {
        const int fd = asyncjob_ready_fd();
        const asyncjob_handle own = handle_of(ASYNC_get_current_job());
        EXPECT_EQ(asyncjob_wake(own), 1);
        others.wake(0);
        EXPECT_TRUE(is_readable(fd));
        EXPECT_EQ(take_ready(), Jobs{others[0]});
        EXPECT_FALSE(is_readable(fd));
        EXPECT_EQ(asyncjob_wake(own), 1);
        EXPECT_FALSE(is_readable(fd));
        EXPECT_EQ(ASYNC_pause_job(), 1);
        EXPECT_EQ(asyncjob_wake(own), 1);
        EXPECT_EQ(take_ready(), Jobs{});
    });
    ASSERT_EQ(loop.go(), ASYNC_PAUSE);
    EXPECT_TRUE(is_readable(asyncjob_ready_fd()));
    EXPECT_EQ(take_ready(), Jobs{loop.handle});
    EXPECT_FALSE(is_readable(asyncjob_ready_fd()));
    EXPECT_EQ(loop.go(), ASYNC_FINISH) << "its end forgets the second wake";
    EXPECT_EQ(take_ready(), Jobs{});
    WaitingJobs later(2);
    later.wake(1);
    EXPECT_EQ(take_ready(), Jobs{later[1]});
}

TEST(WakeInsideAJob, WakesAnotherOne) {
    WaitingJobs jobs(1);
    TestJob waker([&] { jobs.wake(0); });
    EXPECT_EQ(waker.go(), ASYNC_FINISH);
    EXPECT_EQ(take_ready(), Jobs{jobs[0]});
}

TEST(WakeErrno, IsLeftAloneByWakeAndTakeReady) {
    WaitingJobs jobs(1);
    (void)asyncjob_ready_fd();
    errno = 77;
    jobs.wake(0);
    EXPECT_EQ(errno, 77);
    EXPECT_EQ(asyncjob_take_ready(nullptr, 0), 0U);
    (void)take_ready();
    EXPECT_EQ(errno, 77);
}

TEST(WakeFork, TheChildHasAnFdOfItsOwnAndTheParentKeepsItsWakes) {
    WaitingJobs jobs(3);
    const int fd = asyncjob_ready_fd();
    const FdInfo event(fd, "eventfd");
    jobs.wake(0);
    EXPECT_TRUE(passes_in_child([&] {
        EXPECT_LT(fcntl(fd, F_GETFD), 0) << "it is closed";
        jobs.wake(1);
        const int own = asyncjob_ready_fd();
        EXPECT_TRUE(is_readable(own));
        EXPECT_EQ(take_ready(), (Jobs{jobs[0], jobs[1]}));
        EXPECT_FALSE(is_readable(own));
        jobs.wake(2);
        EXPECT_TRUE(is_readable(own));
        EXPECT_EQ(take_ready(), Jobs{jobs[2]});
    }));
    EXPECT_EQ(event.event_count(), 1);
    EXPECT_TRUE(is_readable(fd));
    EXPECT_EQ(take_ready(), Jobs{jobs[0]});
    EXPECT_FALSE(is_readable(fd));
}

// Many threads.

constexpr std::size_t waker_count = 4;

// Runs the thread's loop until `is_done`: resumes what is ready.
template <typename IsDone>
void run_loop(IsDone is_done) {
    const int fd = asyncjob_ready_fd();
    while (!is_done()) {
        if (!is_readable(fd, long_enough)) {
            ADD_FAILURE() << "a wake was lost";
            break;
        }
        std::array<ASYNC_JOB*, 16> ready{};
        const std::size_t count = asyncjob_take_ready(ready.data(), ready.size());
        int result = 0;
        for (std::size_t i = 0; i < count; ++i)
            EXPECT_NE(ASYNC_start_job(&ready[i], nullptr, &result, nullptr, nullptr, 0), ASYNC_ERR);
    }
}

// Every thread posts to every job, and does not post again before the job has seen it: each of
// the million is missed if its wake is.
TEST(WakeFromManyThreads, OfAMillionWakesNoneIsLost) {
    constexpr std::size_t job_count = 32;
    constexpr std::uint64_t rounds = (emulated ? 100'000 : 1'000'000) / job_count / waker_count + 1;
    struct alignas(64) Cell {
        std::atomic<std::uint64_t> posted = 0;
        std::atomic<std::uint64_t> seen = 0;
    };
    std::vector<std::array<Cell, waker_count>> cells(job_count);
    std::vector<asyncjob_handle> handles;
    std::vector<std::unique_ptr<TestJob>> jobs;
    std::size_t running = job_count;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < job_count; ++i) {
        jobs.push_back(std::make_unique<TestJob>([&, i] {
            for (std::uint64_t left = rounds * waker_count; left > 0;) {
                EXPECT_EQ(asyncjob_pause(), ASYNCJOB_WOKEN);
                for (Cell& cell : cells[i]) {
                    const std::uint64_t now = cell.posted.load(std::memory_order_relaxed);
                    const std::uint64_t before = cell.seen.load(std::memory_order_relaxed);
                    left -= now - before;
                    seen += now - before;
                    cell.seen.store(now, std::memory_order_release);
                }
            }
            --running;
        }));
        ASSERT_EQ(jobs.back()->go(), ASYNC_PAUSE);
        handles.push_back(handle_of(jobs.back()->handle));
    }
    std::vector<std::thread> wakers;
    std::atomic<bool> gives_up = false;
    for (std::size_t w = 0; w < waker_count; ++w) {
        wakers.emplace_back([&, w] {
            for (std::uint64_t round = 1; round <= rounds; ++round) {
                for (std::size_t i = 0; i < job_count; ++i) {
                    Cell& cell = cells[i][w];
                    while (cell.seen.load(std::memory_order_acquire) != round - 1 && !gives_up)
                        std::this_thread::yield();
                    cell.posted.store(round, std::memory_order_relaxed);
                    // A job that has seen the last of its posts, without a wake, has ended.
                    if (asyncjob_wake(handles[i]) == 0) {
                        EXPECT_EQ(round, rounds);
                    }
                }
            }
        });
    }
    run_loop([&] { return running == 0; });
    gives_up = true;
    for (std::thread& waker : wakers)
        waker.join();
    EXPECT_EQ(seen, rounds * job_count * waker_count);
    if (HasFailure())
        asyncjob_cancel_all();
    EXPECT_EQ(take_ready(), Jobs{});
}

// What a waker did before, the job sees: its data is not atomic.
TEST(WakeFromManyThreads, TheJobSeesWhatItsWakersDidBefore) {
    constexpr std::size_t rounds = 5'000;
    struct alignas(64) Cell {
        std::uint64_t data = 0;
        std::atomic<bool> is_full = false;
    };
    std::vector<Cell> cells(waker_count);
    std::vector<asyncjob_handle> handles;
    std::vector<std::unique_ptr<TestJob>> jobs;
    std::size_t running = waker_count;
    for (Cell& cell : cells) {
        jobs.push_back(std::make_unique<TestJob>([&] {
            for (std::uint64_t round = 1; round <= rounds; ++round) {
                EXPECT_EQ(asyncjob_pause(), ASYNCJOB_WOKEN);
                EXPECT_EQ(cell.data, round);
                cell.is_full.store(false, std::memory_order_release);
            }
            --running;
        }));
        ASSERT_EQ(jobs.back()->go(), ASYNC_PAUSE);
        handles.push_back(handle_of(jobs.back()->handle));
    }
    std::vector<std::thread> wakers;
    for (std::size_t w = 0; w < waker_count; ++w) {
        wakers.emplace_back([&, w] {
            for (std::uint64_t round = 1; round <= rounds; ++round) {
                while (cells[w].is_full.load(std::memory_order_acquire))
                    std::this_thread::yield();
                cells[w].data = round;
                cells[w].is_full.store(true, std::memory_order_relaxed);
                EXPECT_EQ(asyncjob_wake(handles[w]), 1);
            }
        });
    }
    run_loop([&] { return running == 0; });
    for (std::thread& waker : wakers)
        waker.join();
}

// Two wakers of one job, of which the second mostly finds it woken: its data has to be seen too.
TEST(WakeFromManyThreads, TheJobSeesWhatTheSecondWakerDidToo) {
    for (int i = 0; i < 300; ++i) {
        int first = 0;
        int second = 0;
        std::atomic<int> woken = 0;
        TestJob job([&] {
            EXPECT_EQ(asyncjob_pause(), ASYNCJOB_WOKEN);
            EXPECT_EQ(first + second, 3);
        });
        ASSERT_EQ(job.go(), ASYNC_PAUSE);
        const asyncjob_handle handle = handle_of(job.handle);
        std::thread other([&] {
            while (woken.load(std::memory_order_relaxed) == 0)
                std::this_thread::yield();
            second = 2;
            EXPECT_EQ(asyncjob_wake(handle), 1);
            woken.store(2, std::memory_order_relaxed);
        });
        std::thread one([&] {
            first = 1;
            EXPECT_EQ(asyncjob_wake(handle), 1);
            woken.store(1, std::memory_order_relaxed);
        });
        while (woken.load(std::memory_order_relaxed) != 2)
            std::this_thread::yield();
        EXPECT_EQ(take_ready(), Jobs{job.handle});
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        one.join();
        other.join();
    }
}

// The handles of threads that come and go, of which wakers hear late or never.
TEST(WakeFromManyThreads, AreRefusedWhenTheOwnerHasEnded) {
    constexpr std::size_t count = 8;
    std::array<asyncjob_handle, count> handles{};
    std::mutex mutex;  // of the handles
    const auto handle_at = [&](std::size_t at) {
        const std::lock_guard guard(mutex);
        return handles[at];
    };
    std::atomic<bool> stop = false;
    std::atomic<std::size_t> refused = 0;
    std::vector<std::thread> wakers;
    for (std::size_t w = 0; w < waker_count; ++w) {
        wakers.emplace_back([&] {
            while (!stop) {
                for (std::size_t i = 0; i < count; ++i) {
                    const asyncjob_handle handle = handle_at(i);
                    if (handle.slot != nullptr && asyncjob_wake(handle) == 0)
                        ++refused;
                }
            }
        });
    }
    const std::size_t left_before = asyncjob_left_behind();
    for (int owner = 0; owner < 60; ++owner) {
        std::thread([&, owner] {
            std::vector<std::unique_ptr<TestJob>> jobs;
            for (std::size_t i = 0; i < count; ++i) {
                jobs.push_back(std::make_unique<TestJob>([] {
                    while (asyncjob_pause() != ASYNCJOB_CANCELLED) {
                    }
                }));
                EXPECT_EQ(jobs.back()->go(), ASYNC_PAUSE);
                const asyncjob_handle handle = handle_of(jobs.back()->handle);
                const std::lock_guard guard(mutex);
                handles[i] = handle;
            }
            std::size_t taken = 0;
            if (owner % 2 == 0)
                run_loop([&] { return ++taken > 3; });
            if (owner % 3 != 0)
                asyncjob_cancel_all();  // others leave theirs behind
        }).join();
    }
    stop = true;
    for (std::thread& waker : wakers)
        waker.join();
    EXPECT_GT(refused, 0U);
    EXPECT_EQ(asyncjob_left_behind() - left_before, 20 * count);
    for (const asyncjob_handle handle : handles) {
        EXPECT_EQ(asyncjob_wake(handle), 0);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_STALE_HANDLE);
    }
    // A later thread has what they left behind.
    std::thread([] {
        WaitingJobs jobs(3);
        jobs.wake(1);
        EXPECT_TRUE(is_readable(asyncjob_ready_fd()));
        EXPECT_EQ(take_ready(), Jobs{jobs[1]});
        EXPECT_EQ(take_ready(), Jobs{});
        EXPECT_FALSE(is_readable(asyncjob_ready_fd()));
    }).join();
}

}  // namespace
}  // namespace test
