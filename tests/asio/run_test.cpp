// SPDX-License-Identifier: Apache-2.0
// async_run() and use_job: how jobs on an executor start, wait, end and are cancelled.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <future>
#include <memory_resource>
#include <random>
#include <thread>
#include <vector>

#include "support.hpp"

using test::Counted;
using test::Ending;
using test::Pipe;
using test::run;
using test::run_until;
using namespace std::chrono_literals;
using asyncjob::use_job;
using Tcp = asio::ip::tcp;

namespace {

void sleep_in_job(std::chrono::milliseconds time) {
    asio::steady_timer timer(asyncjob::job_executor(), time);
    timer.async_wait(use_job);
}

// Two sockets that are connected.
struct Connection {
    explicit Connection(asio::io_context& context) : one(context), other(context) {
        Tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
        one.connect(acceptor.local_endpoint());
        acceptor.accept(other);
    }
    Tcp::socket one;
    Tcp::socket other;
};

}  // namespace

TEST(AsyncRun, CompletesWithTheResultOfTheCallable) {
    asio::io_context context;
    std::string text;
    int completions = 0;
    asyncjob::async_run(
        context,
        [] {
            sleep_in_job(1ms);
            return std::string("done");
        },
        [&](const std::exception_ptr& failure, std::string result) {
            EXPECT_EQ(failure, nullptr);
            EXPECT_EQ(asyncjob::this_job::current(), nullptr);
            text = std::move(result);
            ++completions;
        });
    EXPECT_EQ(completions, 0) << "not within the call that begins it";
    run(context);
    EXPECT_EQ(completions, 1);
    EXPECT_EQ(text, "done");
    EXPECT_EQ(test::live_jobs(), 0U);
}

TEST(AsyncRun, CompletesWithTheExceptionOfTheCallable) {
    asio::io_context context;
    Ending ending;
    asyncjob::async_run(
        context, [] { throw std::runtime_error("at once"); }, std::ref(ending));
    std::future<int> later = asyncjob::async_run(
        context.get_executor(),
        []() -> int {
            sleep_in_job(1ms);
            throw std::runtime_error("later");
        },
        asio::use_future);
    std::future<void> well = asyncjob::async_run(
        context, [] { sleep_in_job(1ms); }, asio::use_future);
    run(context);
    EXPECT_EQ(ending.what(), "at once");
    EXPECT_THROW(later.get(), std::runtime_error);
    EXPECT_NO_THROW(well.get());
}

TEST(AsyncRun, RunsWhatCanOnlyBeMovedAndDestroysItInTheJob) {
    asio::io_context context;
    struct InJob {
        ~InJob() { EXPECT_NE(asyncjob::this_job::current(), nullptr); }
    };
    auto held = std::make_unique<InJob>();
    std::unique_ptr<int> result;
    asyncjob::async_run(
        context,
        [held = std::move(held), number = std::make_unique<int>(7)]() mutable {
            sleep_in_job(1ms);
            return std::move(number);
        },
        [&](const std::exception_ptr&, std::unique_ptr<int> value) { result = std::move(value); });
    run(context);
    ASSERT_NE(result, nullptr);
    EXPECT_EQ(*result, 7);
}

TEST(AsyncRun, UsesTheAllocatorAndTheExecutorOfTheHandler) {
    struct Handler {
        using allocator_type = std::pmr::polymorphic_allocator<char>;
        [[nodiscard]] allocator_type get_allocator() const { return {memory}; }
        using executor_type = asio::strand<asio::io_context::executor_type>;
        [[nodiscard]] executor_type get_executor() const { return strand; }
        void operator()(const std::exception_ptr&) const {
            *in_strand = strand.running_in_this_thread();
        }
        std::pmr::memory_resource* memory;
        executor_type strand;
        bool* in_strand;
    };
    struct Memory final : std::pmr::memory_resource {
        void* do_allocate(std::size_t size, std::size_t alignment) override {
            ++allocations;
            ++live;
            return std::pmr::new_delete_resource()->allocate(size, alignment);
        }
        void do_deallocate(void* at, std::size_t size, std::size_t alignment) override {
            --live;
            std::pmr::new_delete_resource()->deallocate(at, size, alignment);
        }
        [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
            return this == &other;
        }
        int allocations = 0;
        int live = 0;
    } memory;
    asio::io_context context;
    bool in_strand = false;
    asyncjob::async_run(
        context, [] { sleep_in_job(1ms); },
        Handler{&memory, asio::make_strand(context), &in_strand});
    EXPECT_GT(memory.allocations, 0);
    run(context);
    EXPECT_TRUE(in_strand);
    EXPECT_EQ(memory.live, 0);
}

TEST(AsyncRun, GoesOnWhenAnFdOfItsWaitContextIsReadable) {
    asio::io_context context;
    Pipe first;
    Pipe second;
    std::string read;
    Ending ending;
    asyncjob::async_run(
        context,
        [&] {
            test::wait_for(first.in());
            read += first.read();
            test::wait_for(second.in());
            read += second.read();
        },
        std::ref(ending));
    asio::steady_timer timer(context, 2ms);
    timer.async_wait([&](const ErrorCode&) {
        EXPECT_EQ(read, "");
        first.write('a');
        second.write('b');
    });
    run(context);
    EXPECT_EQ(ending.what(), "");
    EXPECT_EQ(read, "ab");
    EXPECT_EQ(fcntl(first.in(), F_GETFL) & O_NONBLOCK, 0) << "its mode is its owner's";
}

TEST(AsyncRun, JobsMayWaitForTheSameFd) {
    asio::io_context context;
    Pipe pipe;
    std::vector<Ending> endings(5);
    for (Ending& ending : endings)
        asyncjob::async_run(
            context, [&] { test::wait_for(pipe.in()); }, std::ref(ending));
    context.poll();
    EXPECT_EQ(test::live_jobs(), 5U);
    pipe.write('a');
    run(context);
    for (const Ending& ending : endings)
        EXPECT_EQ(ending.calls, 1);
}

TEST(AsyncRun, AJobMayCloseItsFdAndAsioMayGetTheNumber) {
    asio::io_context context;
    Ending ending;
    Ending other;
    int number = -1;
    bool accepted = false;
    asyncjob::Handle handle;
    asyncjob::async_run(
        context,
        [&] {
            handle = asyncjob::this_job::handle();
            auto pipe = std::make_unique<Pipe>();
            pipe->write('a');
            ASYNC_WAIT_CTX* const wait = ASYNC_get_wait_ctx(ASYNC_get_current_job());
            ASYNC_WAIT_CTX_set_wait_fd(wait, &handle, pipe->in(), nullptr, nullptr);
            asyncjob::pause();
            ASYNC_WAIT_CTX_clear_fd(wait, &handle);
            number = pipe->in();
            pipe->close_in();
            // Asio's reactor has another file under the fd's number now.
            Tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
            EXPECT_EQ(acceptor.native_handle(), number);
            asyncjob::pause();  // for no fd: the other job wakes this one
            Tcp::socket client(context);
            client.async_connect(acceptor.local_endpoint(), use_job);
            accepted = acceptor.async_accept(use_job).is_open();
        },
        std::ref(ending));
    asyncjob::async_run(
        context,
        [&] {
            sleep_in_job(2ms);
            asyncjob::wake(handle);
        },
        std::ref(other));
    run(context);
    EXPECT_EQ(ending.what(), "");
    EXPECT_TRUE(accepted);
    EXPECT_EQ(other.what(), "");
}

TEST(AsyncRun, AnFdIsNotPolledForAJobThatHasEnded) {
    asio::io_context context;
    Pipe pipe;
    Ending first;
    Ending second;
    pipe.write('a');  // and nobody reads it
    asyncjob::async_run(
        context,
        [&] {
            ASYNC_WAIT_CTX* const wait = ASYNC_get_wait_ctx(ASYNC_get_current_job());
            ASYNC_WAIT_CTX_set_wait_fd(wait, &pipe, pipe.in(), nullptr, nullptr);
            asyncjob::pause();
        },
        std::ref(first));
    run(context);
    EXPECT_EQ(first.calls, 1);
    asyncjob::async_run(
        context,
        [] {
            const auto end = std::chrono::steady_clock::now() + 20ms;
            while (asyncjob::this_job::wait_until(end) != asyncjob::Resumed::timed_out) {
            }
        },
        std::ref(second));
    EXPECT_LT(context.run_for(test::patience), 20U) << "it spins";
    EXPECT_EQ(second.calls, 1);
}

TEST(AsyncRun, AFileIsReadableAndOneThatIsNotOpenIsTheJobsToFind) {
    asio::io_context context;
    std::FILE* const file = std::tmpfile();
    ASSERT_NE(file, nullptr);
    int resumes = 0;
    Ending ending;
    asyncjob::async_run(
        context,
        [&] {
            ASYNC_WAIT_CTX* const wait = ASYNC_get_wait_ctx(ASYNC_get_current_job());
            for (const int fd : {fileno(file), 1'000'000}) {
                ASYNC_WAIT_CTX_set_wait_fd(wait, &resumes, fd, nullptr, nullptr);
                asyncjob::pause();
                ++resumes;
                ASYNC_WAIT_CTX_clear_fd(wait, &resumes);
            }
        },
        std::ref(ending));
    run(context);
    EXPECT_EQ(resumes, 2);
    EXPECT_EQ(ending.what(), "");
    std::fclose(file);
}

TEST(AsyncRun, GoesOnWhenItIsWoken) {
    asio::io_context context;
    constexpr int jobs = 100;
    std::vector<asyncjob::Handle> handles;
    std::vector<Ending> endings(jobs);
    int woken = 0;
    for (Ending& ending : endings)
        asyncjob::async_run(
            context,
            [&] {
                handles.push_back(asyncjob::this_job::handle());
                if (asyncjob::this_job::wait() == asyncjob::Resumed::woken)
                    ++woken;
            },
            std::ref(ending));
    context.poll();
    ASSERT_EQ(handles.size(), static_cast<std::size_t>(jobs));
    std::thread waker([&] {
        for (const asyncjob::Handle& handle : handles)
            EXPECT_TRUE(asyncjob::wake(handle));
    });
    run(context);
    waker.join();
    EXPECT_EQ(woken, jobs);
}

TEST(AsyncRun, GoesOnWhenItsDeadlineHasPassed) {
    asio::io_context context;
    Ending ending;
    asyncjob::async_run(
        context,
        [] {
            EXPECT_EQ(asyncjob::this_job::wait_until(std::chrono::steady_clock::now() + 2ms),
                      asyncjob::Resumed::timed_out);
        },
        std::ref(ending));
    run(context);
    EXPECT_EQ(ending.calls, 1);
    EXPECT_EQ(ending.what(), "");
}

TEST(AsyncRun, TwoContextsOfAThreadHearOfTheirWakes) {
    asio::io_context one;
    asio::io_context other;
    std::vector<asyncjob::Handle> handles;
    std::array<Ending, 2> endings;
    const auto wait = [&] {
        handles.push_back(asyncjob::this_job::handle());
        while (asyncjob::this_job::wait() != asyncjob::Resumed::woken) {
        }
    };
    asyncjob::async_run(one, wait, std::ref(endings[0]));
    asyncjob::async_run(other, wait, std::ref(endings[1]));
    one.poll();
    other.poll();
    for (const asyncjob::Handle& handle : handles)
        asyncjob::wake(handle);
    // Whichever looks first sees both.
    run(one);
    run(other);
    EXPECT_EQ(endings[0].calls, 1);
    EXPECT_EQ(endings[1].calls, 1);
}

TEST(AsyncRun, AFullPoolIsWaitedFor) {
    asyncjob::init_thread(3, 0);
    asio::io_context context;
    std::vector<Ending> endings(50);
    for (Ending& ending : endings)
        asyncjob::async_run(
            context,
            [] {
                EXPECT_LE(test::live_jobs(), 3U);
                sleep_in_job(1ms);
            },
            std::ref(ending));
    run(context);
    for (const Ending& ending : endings) {
        EXPECT_EQ(ending.calls, 1);
        EXPECT_EQ(ending.what(), "");
    }
    asyncjob::cleanup_thread();
}

TEST(AsyncRun, WhatWaitsForAFullPoolIsDestroyedWithItsContext) {
    asyncjob::init_thread(1, 0);
    int handlers = 0;
    asio::io_context other;
    Ending last;
    {
        asio::io_context context;
        for (int i = 0; i < 3; ++i)
            asyncjob::async_run(
                context, [] { sleep_in_job(10min); },
                [counted = Counted(handlers)](const std::exception_ptr&) { FAIL(); });
        context.poll();
        asyncjob::async_run(
            other, [] {}, std::ref(last));
        other.poll();
        EXPECT_EQ(handlers, 3);
    }
    EXPECT_EQ(handlers, 0);
    run(other);
    EXPECT_EQ(last.calls, 1) << "its turn must not go with those before it";
    EXPECT_EQ(last.what(), "");
    asyncjob::cleanup_thread();
}

TEST(AsyncRun, AnExceptionOfAHandlerLeavesTheOthersAlone) {
    asio::io_context context;
    constexpr int jobs = 20;
    std::vector<asyncjob::Handle> handles;
    int completed = 0;
    for (int i = 0; i < jobs; ++i)
        asyncjob::async_run(
            context,
            [&] {
                handles.push_back(asyncjob::this_job::handle());
                (void)asyncjob::this_job::wait();
            },
            [&](const std::exception_ptr&) {
                ++completed;
                throw std::runtime_error("of the handler");
            });
    context.poll();
    for (const asyncjob::Handle& handle : handles)
        asyncjob::wake(handle);
    // Asio may make one of several.
    for (bool has_thrown = true; has_thrown;) {
        try {
            run(context);
            has_thrown = false;
        } catch (const std::exception&) {
        }
    }
    EXPECT_EQ(completed, jobs);
}

// What a job can be waiting for, for the ways in which it ends.
enum class Waiting { operation, socket, fd, wake, nested };

std::string name_of(const testing::TestParamInfo<Waiting>& waiting) {
    constexpr std::array names{"Operation", "Socket", "Fd", "Wake", "Nested"};
    return names.at(static_cast<std::size_t>(waiting.param));
}

class EndOf : public testing::TestWithParam<Waiting> {
  protected:
    // Waits in vain, with something in the frames.
    void wait(asio::io_context& context) {
        const Counted in_frames(frames);
        switch (GetParam()) {
            case Waiting::operation:
                sleep_in_job(10min);
                break;
            case Waiting::socket: {
                Connection connection(context);
                std::array<char, 64> buffer{};
                connection.one.async_read_some(asio::buffer(buffer), use_job);
                break;
            }
            case Waiting::fd:
                test::wait_for(pipe.in());
                break;
            case Waiting::wake:
                for (;;)
                    (void)asyncjob::this_job::wait();
            case Waiting::nested: {
                // A job of the job's own, that waits for an operation.
                auto job = asyncjob::make_job(nullptr, [] { sleep_in_job(10min); });
                while (!job.resume())
                    asyncjob::pause();
                break;
            }
        }
    }

    Pipe pipe;
    int frames = 0;
};

TEST_P(EndOf, AWaitingJobComesWithItsContext) {
    int handlers = 0;
    {
        asio::io_context context;
        asyncjob::async_run(
            context, [&] { wait(context); },
            [counted = Counted(handlers)](const std::exception_ptr&) { FAIL(); });
        context.poll();
        EXPECT_EQ(frames, 1);
        EXPECT_EQ(handlers, 1);
    }
    EXPECT_EQ(frames, 0);
    EXPECT_EQ(handlers, 0);
    EXPECT_EQ(test::live_jobs(), 0U);
}

// By somebody who does not know what it waits for.
TEST_P(EndOf, AWaitingJobComesByCancellingAll) {
#ifndef ASYNCJOB_ASIO_HAS_CANCELLATION
    if (GetParam() != Waiting::fd && GetParam() != Waiting::wake)
        GTEST_SKIP() << "this Asio cannot cancel an operation";
#endif
    asio::io_context context;
    Ending ending;
    asyncjob::async_run(
        context, [&] { wait(context); }, std::ref(ending));
    context.poll();
    EXPECT_EQ(frames, 1);
    EXPECT_GE(asyncjob_cancel_all(), 1U);
    EXPECT_EQ(frames, 0);
    run(context);
    EXPECT_EQ(ending.calls, 1);
    EXPECT_NE(ending.what(), "");
}

#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
TEST_P(EndOf, AWaitingJobComesByItsSlot) {
    asio::io_context context;
    asio::cancellation_signal signal;
    Ending ending;
    asyncjob::async_run(
        context, [&] { wait(context); }, test::cancellable(signal, std::ref(ending)));
    context.poll();
    EXPECT_EQ(frames, 1);
    signal.emit(asio::cancellation_type::total);
    context.poll();
    EXPECT_EQ(frames, 1) << "a job cannot promise to have done nothing";
    signal.emit(asio::cancellation_type::terminal);
    EXPECT_EQ(frames, 1) << "not within the call";
    run(context);
    EXPECT_EQ(frames, 0);
    EXPECT_EQ(ending.calls, 1);
    if (GetParam() == Waiting::operation || GetParam() == Waiting::socket)
        EXPECT_TRUE(ending.is(asio::error::operation_aborted)) << ending.what();
    else
        EXPECT_EQ(ending.what(), "cancelled");
    EXPECT_EQ(test::live_jobs(), 0U);
}
#endif

INSTANTIATE_TEST_SUITE_P(AsyncRun, EndOf,
                         testing::Values(Waiting::operation, Waiting::socket, Waiting::fd,
                                         Waiting::wake, Waiting::nested),
                         name_of);

#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
TEST(AsyncRun, CancelledBeforeItBeginsItDoesNotBegin) {
    asyncjob::init_thread(1, 0);
    asio::io_context context;
    asio::cancellation_signal before;
    asio::cancellation_signal queued;
    std::array<Ending, 3> endings;
    asyncjob::async_run(
        context, [] { FAIL(); }, test::cancellable(before, std::ref(endings[0])));
    before.emit(asio::cancellation_type::terminal);
    asyncjob::async_run(
        context, [] { sleep_in_job(5ms); }, std::ref(endings[1]));
    asyncjob::async_run(
        context, [] { FAIL(); }, test::cancellable(queued, std::ref(endings[2])));
    context.poll();
    queued.emit(asio::cancellation_type::terminal);
    run(context);
    EXPECT_TRUE(endings[0].is(asio::error::operation_aborted));
    EXPECT_EQ(endings[1].what(), "");
    EXPECT_TRUE(endings[2].is(asio::error::operation_aborted));
    asyncjob::cleanup_thread();
}

TEST(AsyncRun, AJobThatCancelsItselfEndsAtItsNextWait) {
    asio::io_context context;
    for (const bool by_pause : {true, false}) {
        asio::cancellation_signal signal;
        Ending ending;
        bool went_on = false;
        asyncjob::async_run(
            context,
            [&] {
                signal.emit(asio::cancellation_type::partial);
                went_on = true;
                if (by_pause)
                    asyncjob::pause();
                else
                    sleep_in_job(10min);
                FAIL();
            },
            test::cancellable(signal, std::ref(ending)));
        run(context);
        EXPECT_TRUE(went_on);
        EXPECT_EQ(ending.calls, 1);
        EXPECT_NE(ending.what(), "");
    }
}

TEST(AsyncRun, AJobMayHaveAResultThoughItWasCancelled) {
    asio::io_context context;
    asio::cancellation_signal signal;
    int result = 0;
    asyncjob::async_run(
        context,
        [] {
            ErrorCode error;
            asio::steady_timer timer(asyncjob::job_executor(), 10min);
            timer.async_wait(use_job(error));
            EXPECT_EQ(error, asio::error::operation_aborted);
            // It cannot wait any more.
            timer.expires_after(10min);
            timer.async_wait(use_job(error));
            EXPECT_EQ(error, asio::error::operation_aborted);
            EXPECT_THROW(timer.async_wait(use_job), SystemError);
            return 7;
        },
        test::cancellable(signal, [&](const std::exception_ptr& failure, int value) {
            EXPECT_EQ(failure, nullptr);
            result = value;
        }));
    context.poll();
    signal.emit(asio::cancellation_type::terminal);
    run(context);
    EXPECT_EQ(result, 7);
}

TEST(UseJob, ACancelledJobKeepsItsFramesUntilTheOperationHasEnded) {
    // Its handler comes later than it is cancelled.
    asio::io_context context;
    asio::io_context slow;
    asio::cancellation_signal signal;
    Ending ending;
    int frames = 0;
    asyncjob::async_run(
        context,
        [&] {
            const Counted in_frames(frames);
            std::string text(16, ' ');
            const auto wait_slowly = [&](auto handler) {
                asio::post(slow, [&text, handler = std::move(handler)]() mutable {
                    text = "written to the frames";
                    std::move(handler)(ErrorCode(asio::error::operation_aborted));
                });
            };
            asio::async_initiate<const asyncjob::use_job_t, void(ErrorCode)>(wait_slowly, use_job);
        },
        test::cancellable(signal, std::ref(ending)));
    context.poll();
    signal.emit(asio::cancellation_type::terminal);
    context.poll();
    EXPECT_EQ(frames, 1);
    EXPECT_EQ(ending.calls, 0);
    slow.run();
    run(context);
    EXPECT_EQ(frames, 0);
    EXPECT_TRUE(ending.is(asio::error::operation_aborted));
}
#endif

TEST(AsyncRun, AContextWithSeveralThreadsIsAnErrorNotACrash) {
    asio::io_context context;
    constexpr int jobs = 200;
    std::atomic<int> well = 0;
    std::atomic<int> refused = 0;
    std::atomic<int> other = 0;
    std::atomic<int> begun = 0;
    std::atomic<int> ended = 0;
    for (int i = 0; i < jobs; ++i)
        asyncjob::async_run(
            context,
            [&, i] {
                ++begun;
                for (int step = 0; step < 3; ++step) {
                    if (i % 2 == 0)
                        sleep_in_job(1ms);
                    else
                        (void)asyncjob::this_job::wait_until(std::chrono::steady_clock::now() +
                                                             1ms);
                }
                ++ended;
            },
            [&](const std::exception_ptr& failure) {
                const Ending ending{1, failure};
                ++(failure == nullptr                          ? well
                   : ending.is(asyncjob::Errc::foreign_thread) ? refused
                                                               : other);
            });
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            context.run_for(test::patience);
            asyncjob_cancel_all();
        });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(well + refused, jobs);
    EXPECT_EQ(other, 0);
    EXPECT_GE(ended, well.load());
    EXPECT_LE(ended, begun.load());
}

TEST(AsyncRun, AThreadMayHaveTheContextAfterAnother) {
    asio::io_context context;
    for (int i = 0; i < 3; ++i) {
        std::thread([&] {
            Ending ending;
            asyncjob::async_run(
                context,
                [] {
                    sleep_in_job(1ms);
                    (void)asyncjob::this_job::wait_until(std::chrono::steady_clock::now() + 1ms);
                },
                std::ref(ending));
            run(context);
            EXPECT_EQ(ending.calls, 1);
            EXPECT_EQ(ending.what(), "");
        }).join();
    }
}

TEST(AsyncRun, RunsOnStrandsAndThreadPools) {
    asio::thread_pool pool(1);
    std::future<int> pooled = asyncjob::async_run(
        pool,
        [] {
            sleep_in_job(1ms);
            (void)asyncjob::this_job::wait_until(std::chrono::steady_clock::now() + 1ms);
            return 7;
        },
        asio::use_future);
    EXPECT_EQ(pooled.get(), 7);
    pool.join();

    asio::io_context context;
    const auto strand = asio::make_strand(context);
    Ending ending;
    Pipe pipe;
    asyncjob::async_run(
        strand,
        [&] {
            sleep_in_job(1ms);
            EXPECT_TRUE(strand.running_in_this_thread());
            pipe.write('a');
            asyncjob::pause();  // for no reason that would come
        },
        std::ref(ending));
    asyncjob::async_run(
        strand,
        [&] {
            test::wait_for(pipe.in());
            EXPECT_TRUE(strand.running_in_this_thread());
        },
        [&](const std::exception_ptr&) { asyncjob_cancel_all(); });
    run(context);
    EXPECT_EQ(ending.what(), "cancelled");
}

TEST(UseJob, GivesValuesAndThrowsErrors) {
    asio::io_context context;
    Connection connection(context);
    Ending ending;
    asyncjob::async_run(
        context,
        [&] {
            EXPECT_EQ(connection.one.async_write_some(asio::buffer("abc", 3), use_job), 3U);
            std::string text(8, ' ');
            text.resize(connection.other.async_read_some(asio::buffer(text), use_job));
            EXPECT_EQ(text, "abc");

            ErrorCode error = asio::error::fault;
            asio::async_write(connection.one, asio::buffer("one line\n", 9), use_job(error));
            EXPECT_FALSE(error);
            text.clear();
            EXPECT_EQ(asio::async_read_until(connection.other, asio::dynamic_buffer(text), '\n',
                                             use_job(error)),
                      9U);
            EXPECT_FALSE(error);
            EXPECT_EQ(text, "one line\n");

            connection.one.close();
            EXPECT_EQ(connection.other.async_read_some(asio::buffer(text), use_job(error)), 0U);
            EXPECT_EQ(error, asio::error::eof);
            try {
                connection.other.async_read_some(asio::buffer(text), use_job);
                FAIL();
            } catch (const SystemError& thrown) {
                EXPECT_EQ(thrown.code(), asio::error::eof);
            }
        },
        std::ref(ending));
    run(context);
    EXPECT_EQ(ending.what(), "");
}

TEST(UseJob, TakesEachKindOfSignature) {
    asio::io_context context;
    Ending ending;
    asyncjob::async_run(
        context,
        [&] {
            const auto executor = asyncjob::job_executor();
            asio::post(executor, use_job);
            const auto two = [&](auto handler) {
                asio::post(executor, [handler = std::move(handler)]() mutable {
                    std::move(handler)(ErrorCode(), std::string("text"), 7);
                });
            };
            const std::tuple<std::string, int> both =
                asio::async_initiate<const asyncjob::use_job_t, void(ErrorCode, std::string, int)>(
                    two, use_job);
            EXPECT_EQ(std::get<0>(both), "text");
            EXPECT_EQ(std::get<1>(both), 7);
            // At once, within the initiation.
            const auto at_once = [](auto handler) { std::move(handler)(std::make_unique<int>(7)); };
            EXPECT_EQ(*(asio::async_initiate<const asyncjob::use_job_t, void(std::unique_ptr<int>)>(
                          at_once, use_job)),
                      7);
            // A job in the job, by its executor.
            EXPECT_EQ(asyncjob::async_run(
                          executor,
                          [] {
                              sleep_in_job(1ms);
                              return 7;
                          },
                          use_job),
                      7);
            EXPECT_THROW(asyncjob::async_run(
                             executor, [] { throw std::runtime_error("inner"); }, use_job),
                         std::runtime_error);
            ErrorCode error;
            asyncjob::async_run(
                executor, [] { throw SystemError(asio::error::eof); }, use_job(error));
            EXPECT_EQ(error, asio::error::eof);
        },
        std::ref(ending));
    run(context);
    EXPECT_EQ(ending.what(), "");
}

TEST(UseJob, FailsWhereItCannotWait) {
    asio::io_context context;
    asio::steady_timer timer(context, 1ms);
    try {
        timer.async_wait(use_job);
        FAIL();
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), asyncjob::Errc::not_in_job);
    }
    ErrorCode error;
    timer.async_wait(use_job(error));
    EXPECT_EQ(error, asio::error::operation_not_supported);
    EXPECT_THROW((void)asyncjob::job_executor(), std::system_error);

    Ending ending;
    asyncjob::async_run(
        context,
        [&] {
            const asyncjob::BlockPause block;
            timer.async_wait(use_job(error));
            EXPECT_EQ(error, asio::error::try_again);
            timer.async_wait(use_job);
        },
        std::ref(ending));
    run(context);
    EXPECT_EQ(ending.what(),
              std::make_error_code(std::errc::resource_deadlock_would_occur).message());
}

TEST(UseJob, WakesAJobThatOtherCodeRuns) {
    asio::io_context context;
    Connection connection(context);
    const auto work = asio::make_work_guard(context);
    std::thread server([&] { context.run_for(test::patience); });
    std::string text(8, ' ');
    auto job = asyncjob::make_job(nullptr, [&] {
        asio::async_write(connection.one, asio::buffer("abc", 3), use_job);
        text.resize(asio::async_read(connection.other, asio::buffer(text.data(), 3), use_job));
        ErrorCode error;
        asio::steady_timer timer(context, 1ms);
        timer.async_wait(use_job(error));
        return !error;
    });
    pollfd ready{asyncjob::ready_fd(), POLLIN, 0};
    while (!job.resume()) {
        ASSERT_EQ(poll(&ready, 1, 60'000), 1);
        std::array<ASYNC_JOB*, 4> jobs{};
        (void)asyncjob::take_ready(jobs);
    }
    EXPECT_TRUE(job.result());
    EXPECT_EQ(text, "abc");
    context.stop();
    server.join();
}

TEST(UseJob, AnOperationWhoseHandlerIsDroppedEndsTheJob) {
    asio::io_context context;
    Ending ending;
    asyncjob::async_run(
        context,
        [&] {
            const auto drop = [&](auto handler) {
                asio::post(context, [handler = std::move(handler)] {});
            };
            asio::async_initiate<const asyncjob::use_job_t, void(ErrorCode)>(drop, use_job);
        },
        std::ref(ending));
    run(context);
    EXPECT_TRUE(ending.is(asio::error::operation_aborted)) << ending.what();
}

// Many jobs that wait in all ways, some of them cancelled, with wakes from other threads.
TEST(AsyncRun, ManyJobsAllEndAndNoneIsLeaked) {
    asio::io_context context;
    constexpr int jobs = 3000;
    std::atomic<bool> is_over = false;
    std::mutex mutex;
    std::vector<asyncjob::Handle> handles;
    std::vector<std::thread> wakers;
    for (int i = 0; i < 2; ++i)
        wakers.emplace_back([&] {
            while (!is_over) {
                std::vector<asyncjob::Handle> taken;
                {
                    const std::lock_guard lock(mutex);
                    taken.swap(handles);
                }
                for (const asyncjob::Handle& handle : taken)
                    asyncjob::wake(handle);
                std::this_thread::yield();
            }
        });
    struct One {
#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
        asio::cancellation_signal signal;
#endif
        Ending ending;
    };
    std::vector<One> all(jobs);
    int frames = 0;
    std::minstd_rand random(1);
    for (One& one : all) {
        [[maybe_unused]] const bool is_cancelled = random() % 5 == 0;
        asyncjob::async_run(
            context,
            [&, kinds = random()]() mutable {
                const Counted in_frames(frames);
                const int event = eventfd(1, EFD_CLOEXEC);
                const struct Close {
                    ~Close() { ::close(fd); }
                    int fd;
                } close{event};
                for (int step = 0; step < 4; ++step, kinds /= 3) {
                    if (kinds % 3 == 0) {
                        sleep_in_job(std::chrono::milliseconds(kinds % 4));
                    } else if (kinds % 3 == 1) {
                        ASYNC_WAIT_CTX* const wait = ASYNC_get_wait_ctx(ASYNC_get_current_job());
                        ASYNC_WAIT_CTX_set_wait_fd(wait, &event, event, nullptr, nullptr);
                        const struct Clear {
                            ~Clear() { ASYNC_WAIT_CTX_clear_fd(wait, key); }
                            ASYNC_WAIT_CTX* wait;
                            const void* key;
                        } clear{wait, &event};
                        asyncjob::pause();
                    } else {
                        const asyncjob::Handle handle = asyncjob::this_job::handle();
                        {
                            const std::lock_guard lock(mutex);
                            handles.push_back(handle);
                        }
                        while (asyncjob::this_job::wait() != asyncjob::Resumed::woken) {
                        }
                    }
                }
            },
#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
            test::cancellable(one.signal, std::ref(one.ending)));
        if (is_cancelled)
            asio::post(context, [&] { one.signal.emit(asio::cancellation_type::terminal); });
#else
            std::ref(one.ending));
#endif
    }
    run(context);
    is_over = true;
    for (std::thread& waker : wakers)
        waker.join();
    int failed = 0;
    for (const One& one : all) {
        EXPECT_EQ(one.ending.calls, 1);
        failed += one.ending.failure != nullptr;
    }
    EXPECT_EQ(frames, 0);
    EXPECT_EQ(test::live_jobs(), 0U);
#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
    EXPECT_GT(failed, 0);
#else
    EXPECT_EQ(failed, 0);
#endif
    EXPECT_LT(failed, jobs / 2);
}
