// SPDX-License-Identifier: Apache-2.0
// Jobs inside coroutines, and coroutines inside jobs.
#include "support.hpp"

#ifdef ASYNCJOB_ASIO_HAS_CO_AWAIT
#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
#ifdef ASYNCJOB_ASIO_BOOST
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/deferred.hpp>
#else
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/experimental/deferred.hpp>
#endif
#endif

using test::Counted;
using test::Ending;
using test::run;
using namespace std::chrono_literals;

namespace {

asio::awaitable<int> sleep_in_coroutine(std::chrono::milliseconds time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
    co_return 7;
}

int sleep_in_job(std::chrono::milliseconds time) {
    asio::steady_timer timer(asyncjob::job_executor(), time);
    timer.async_wait(asyncjob::use_job);
    return 7;
}

}  // namespace

TEST(Coroutine, AwaitsAJob) {
    asio::io_context context;
    Ending ending;
    int result = 0;
    const auto coroutine = [&]() -> asio::awaitable<void> {
        result = co_await asyncjob::run([] { return sleep_in_job(1ms); });
        co_await asyncjob::run([&] { result += sleep_in_job(1ms); });
        bool is_caught = false;
        try {
            co_await asyncjob::run([] { throw std::runtime_error("in the job"); });
        } catch (const std::runtime_error&) {
            is_caught = true;
        }
        EXPECT_TRUE(is_caught);
        // With a name: gcc 12 destroys a temporary of an expression with co_await twice.
        auto moves = [number = std::make_unique<int>(7)]() mutable { return std::move(number); };
        auto moved = co_await asyncjob::run(std::move(moves));
        EXPECT_EQ(*moved, 7);
        result += co_await asyncjob::async_run(
            context, [] { return sleep_in_job(1ms); }, asio::use_awaitable);
    };
    asio::co_spawn(context, coroutine(), std::ref(ending));
    run(context);
    EXPECT_EQ(ending.what(), "");
    EXPECT_EQ(result, 21);
}

TEST(Coroutine, IsAwaitedInAJob) {
    asio::io_context context;
    Ending ending;
    asyncjob::async_run(
        context,
        [] {
            EXPECT_EQ(asyncjob::await(sleep_in_coroutine(1ms)), 7);
            std::string in_frames;
            const auto writes = [&]() -> asio::awaitable<void> {
                co_await sleep_in_coroutine(1ms);
                in_frames = "written";
            };
            asyncjob::await(writes());
            EXPECT_EQ(in_frames, "written");
            const auto throws = []() -> asio::awaitable<void> {
                co_await sleep_in_coroutine(1ms);
                throw std::runtime_error("in the coroutine");
            };
            EXPECT_THROW(asyncjob::await(throws()), std::runtime_error);
            // And so on.
            const auto runs = []() -> asio::awaitable<int> {
                co_return co_await asyncjob::run(
                    [] { return asyncjob::await(sleep_in_coroutine(1ms)) + sleep_in_job(1ms); });
            };
            EXPECT_EQ(asyncjob::await(runs()), 14);
        },
        std::ref(ending));
    run(context);
    EXPECT_EQ(ending.what(), "");
    EXPECT_THROW(asyncjob::await(sleep_in_coroutine(1ms)), std::system_error);
}

TEST(Coroutine, EndsWithItsContextAndSoDoesTheJob) {
    int frames = 0;
    {
        asio::io_context context;
        const auto coroutine = [&]() -> asio::awaitable<void> {
            const Counted outer(frames);
            co_await asyncjob::run([&] {
                const Counted in_job(frames);
                const auto inner = [&]() -> asio::awaitable<void> {
                    const Counted in_coroutine(frames);
                    co_await sleep_in_coroutine(10min);
                };
                asyncjob::await(inner());
            });
        };
        asio::co_spawn(context, coroutine(), asio::detached);
        context.poll();
        EXPECT_EQ(frames, 3);
    }
    EXPECT_EQ(frames, 0);
    EXPECT_EQ(test::live_jobs(), 0U);
}

#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
TEST(Coroutine, CancelsTheJobThatItAwaits) {
    using namespace asio::experimental::awaitable_operators;
    asio::io_context context;
    int frames = 0;
    Ending ending;
    const auto coroutine = [&]() -> asio::awaitable<void> {
        // Whichever ends first cancels the other.
        const auto first = co_await (asyncjob::run([&] {
                                         const Counted in_frames(frames);
                                         return asyncjob::await(sleep_in_coroutine(10min));
                                     }) ||
                                     sleep_in_coroutine(2ms));
        EXPECT_EQ(first.index(), 1U);
    };
    asio::co_spawn(context, coroutine(), std::ref(ending));
    run(context);
    EXPECT_EQ(ending.what(), "");
    EXPECT_EQ(frames, 0);
}

TEST(AsyncRun, MayBeDeferred) {
    asio::io_context context;
    int result = 0;
    auto later = asyncjob::async_run(
        context, [] { return sleep_in_job(1ms); }, asio::experimental::deferred);
    run(context);
    EXPECT_EQ(result, 0);
    std::move(later)([&](const std::exception_ptr&, int value) { result = value; });
    run(context);
    EXPECT_EQ(result, 7);
}
#endif
#endif
