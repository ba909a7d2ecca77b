// SPDX-License-Identifier: Apache-2.0
// asyncjob/asio/coroutine.hpp: jobs inside C++20 coroutines of Asio, and such coroutines inside
// jobs. Part of asyncjob/asio.hpp; has nothing where Asio has no coroutines
// (ASIO_HAS_CO_AWAIT), as with clang 14 and libstdc++.
//
// Next layer down: async_run.hpp, use_job.hpp.
#ifndef ASYNCJOB_ASIO_COROUTINE_HPP
#define ASYNCJOB_ASIO_COROUTINE_HPP

#include "config.hpp"
#include ASYNCJOB_ASIO_HEADER(awaitable.hpp)

#if defined(ASYNCJOB_ASIO_BOOST) ? defined(BOOST_ASIO_HAS_CO_AWAIT) : defined(ASIO_HAS_CO_AWAIT)
#define ASYNCJOB_ASIO_HAS_CO_AWAIT

#include <exception>
#include <type_traits>
#include <utility>

#include "async_run.hpp"
#include "use_job.hpp"
#include ASYNCJOB_ASIO_HEADER(co_spawn.hpp)
#include ASYNCJOB_ASIO_HEADER(this_coro.hpp)
#include ASYNCJOB_ASIO_HEADER(use_awaitable.hpp)

namespace asyncjob {
inline namespace ASYNCJOB_ASIO_NAMESPACE {
namespace detail {

template <typename Callable>
auto run_in_coroutine(Callable callable)
    -> net::awaitable<std::remove_cv_t<std::remove_reference_t<std::invoke_result_t<Callable>>>> {
    const net::any_io_executor executor = co_await net::this_coro::executor;
    co_return co_await async_run(executor, std::move(callable), net::use_awaitable);
}

}  // namespace detail

// Runs a callable as a job, on the executor of the coroutine that awaits this: async_run() with
// use_awaitable. Gives the callable's result; an exception that leaves it is thrown by co_await.
// Cancelling the coroutine cancels the job.
//
// Example:
//     asio::io_context context;
//     int result = 0;
//     auto coroutine = [&]() -> asio::awaitable<void> {
//         result = co_await asyncjob::run([] {
//             asio::steady_timer timer(asyncjob::job_executor(), std::chrono::milliseconds(1));
//             timer.async_wait(asyncjob::use_job);
//             return 7;
//         });
//     };
//     asio::co_spawn(context, coroutine(), asio::detached);
//     context.run();
//     assert(result == 7);
template <typename Callable>
auto run(Callable&& callable) {
    return detail::run_in_coroutine<std::decay_t<Callable>>(std::forward<Callable>(callable));
}

// Runs a coroutine from inside a job, which pauses until it has ended: on the executor of the job's
// async_run() or ssl_stream. Returns the coroutine's result; an exception that leaves it is
// thrown. What it refers to may stand in the job's frames, and cancelling the job cancels it.
//
// Throws std::system_error with Errc::not_in_job in code that no async_run() or ssl_stream runs,
// and what use_job throws.
//
// Example:
//     asio::io_context context;
//     int result = 0;
//     auto coroutine = []() -> asio::awaitable<int> {
//         asio::steady_timer timer(co_await asio::this_coro::executor);
//         timer.expires_after(std::chrono::milliseconds(1));
//         co_await timer.async_wait(asio::use_awaitable);
//         co_return 7;
//     };
//     asyncjob::async_run(
//         context, [&] { result = asyncjob::await(coroutine()); }, asio::detached);
//     context.run();
//     assert(result == 7);
template <typename T>
T await(detail::net::awaitable<T> coroutine) {
    return detail::net::co_spawn(job_executor(), std::move(coroutine), use_job);
}

}  // namespace ASYNCJOB_ASIO_NAMESPACE
}  // namespace asyncjob

#endif
#endif
