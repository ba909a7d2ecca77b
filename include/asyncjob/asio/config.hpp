// SPDX-License-Identifier: Apache-2.0
// Which Asio asyncjob/asio.hpp is for: the standalone one, or with ASYNCJOB_ASIO_BOOST defined
// Boost's. A program may have both, but not in one source file. Needs Asio 1.18 (Boost 1.74);
// cancelling by slots needs what has them, Asio 1.19 (Boost 1.77).
//
// Next layer down: Asio.
#pragma once

#include <utility>  // which Boost 1.74 forgets

#ifdef ASYNCJOB_ASIO_BOOST
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/version.hpp>
#define ASYNCJOB_ASIO_VERSION BOOST_ASIO_VERSION
#define ASYNCJOB_ASIO_NAMESPACE asio_boost
#define ASYNCJOB_ASIO boost::asio
#define ASYNCJOB_ASIO_HEADER(name) <boost/asio/name>
#else
#include <asio/posix/stream_descriptor.hpp>
#include <asio/version.hpp>
#define ASYNCJOB_ASIO_VERSION ASIO_VERSION
#define ASYNCJOB_ASIO_NAMESPACE asio_standalone
#define ASYNCJOB_ASIO asio
#define ASYNCJOB_ASIO_HEADER(name) <asio/name>
#endif

#if ASYNCJOB_ASIO_VERSION < 101800
#error "asyncjob/asio.hpp needs Asio 1.18 (Boost 1.74) or later"
#endif
#if ASYNCJOB_ASIO_VERSION >= 101900
#define ASYNCJOB_ASIO_HAS_CANCELLATION
#endif

#include ASYNCJOB_ASIO_HEADER(any_io_executor.hpp)
#include ASYNCJOB_ASIO_HEADER(associated_allocator.hpp)
#include ASYNCJOB_ASIO_HEADER(associated_executor.hpp)
#include ASYNCJOB_ASIO_HEADER(async_result.hpp)
#include ASYNCJOB_ASIO_HEADER(dispatch.hpp)
#include ASYNCJOB_ASIO_HEADER(error.hpp)
#include ASYNCJOB_ASIO_HEADER(execution.hpp)
#include ASYNCJOB_ASIO_HEADER(execution_context.hpp)
#include ASYNCJOB_ASIO_HEADER(executor_work_guard.hpp)
#include ASYNCJOB_ASIO_HEADER(io_context.hpp)
#include ASYNCJOB_ASIO_HEADER(post.hpp)
#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
#include ASYNCJOB_ASIO_HEADER(associated_cancellation_slot.hpp)
#include ASYNCJOB_ASIO_HEADER(cancellation_signal.hpp)
#endif

namespace asyncjob {
// Programs may be made of parts with either Asio.
inline namespace ASYNCJOB_ASIO_NAMESPACE {
namespace detail {

namespace net = ::ASYNCJOB_ASIO;
#ifdef ASYNCJOB_ASIO_BOOST
using error_code = ::boost::system::error_code;
using system_error = ::boost::system::system_error;
inline error_code system_code(int number) {
    return {number, ::boost::system::system_category()};
}
#else
using error_code = ::asio::error_code;
using system_error = ::asio::system_error;
inline error_code system_code(int number) {
    return {number, ::asio::system_category()};
}
#endif

}  // namespace detail
}  // namespace ASYNCJOB_ASIO_NAMESPACE
}  // namespace asyncjob
