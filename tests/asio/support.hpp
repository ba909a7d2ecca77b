// SPDX-License-Identifier: Apache-2.0
// What the tests of asyncjob/asio.hpp share. The same sources are built for both kinds of Asio.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#ifdef ASYNCJOB_ASIO_BOOST
#include <boost/asio.hpp>
#else
#include <asio.hpp>
#endif

#include <asyncjob/asio.hpp>
#include <asyncjob/job.hpp>

#ifdef ASYNCJOB_ASIO_BOOST
namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using SystemError = boost::system::system_error;
#else
using ErrorCode = asio::error_code;
using SystemError = asio::system_error;
#endif

namespace test {

using namespace std::chrono_literals;

// For anything that should take less than a second.
constexpr auto patience = 60s;

// Counts how many of them there are: in frames, buffers, handlers.
class Counted {
  public:
    explicit Counted(int& live) : live_(&live) { ++*live_; }
    Counted(const Counted& other) : live_(other.live_) { ++*live_; }
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --*live_; }

  private:
    int* live_;
};

// What an operation ended with.
struct Ending {
    int calls = 0;
    std::exception_ptr failure;

    void operator()(std::exception_ptr with) {
        ++calls;
        failure = std::move(with);
    }

    // "cancelled", an exception's message, or nothing.
    [[nodiscard]] std::string what() const {
        try {
            if (failure != nullptr)
                std::rethrow_exception(failure);
        } catch (const asyncjob::Cancelled&) {
            return "cancelled";
        } catch (const std::system_error& error) {
            return error.code().message();
        } catch (const std::exception& error) {
            return error.what();
        }
        return "";
    }

    // Whether it is an error of Asio.
    [[nodiscard]] bool is(const ErrorCode& code) const {
        try {
            if (failure != nullptr)
                std::rethrow_exception(failure);
        } catch (const SystemError& error) {
            return error.code() == code;
        } catch (...) {
        }
        return false;
    }

    [[nodiscard]] bool is(asyncjob::Errc code) const {
        try {
            if (failure != nullptr)
                std::rethrow_exception(failure);
        } catch (const std::system_error& error) {
            return error.code() == code;
        } catch (...) {
        }
        return false;
    }
};

// The thread's jobs that run or are paused.
inline std::uint64_t live_jobs() {
    asyncjob_stats_t stats{};
    EXPECT_EQ(asyncjob_stats(&stats, sizeof stats, ASYNCJOB_STATS_THREAD), 1);
    return stats.live;
}

// Runs until there is no work, or the test has failed.
inline void run(asio::io_context& context) {
    context.run_for(patience);
    EXPECT_TRUE(context.stopped()) << "there is still work";
    context.restart();
}

// Runs until the condition is true.
inline void run_until(asio::io_context& context, const std::function<bool()>& is_over) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!is_over() && std::chrono::steady_clock::now() < end) {
        if (context.run_for(10ms) == 0 && context.stopped())
            break;
    }
    EXPECT_TRUE(is_over());
}

// A handler by which the operation can be cancelled.
template <typename Handler>
auto cancellable([[maybe_unused]] auto& signal, Handler handler) {
#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
    return asio::bind_cancellation_slot(signal.slot(), std::move(handler));
#else
    return handler;
#endif
}

// Two ends of a pipe.
class Pipe {
  public:
    Pipe() { EXPECT_EQ(::pipe(ends_), 0); }
    ~Pipe() {
        close_in();
        ::close(ends_[1]);
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;

    [[nodiscard]] int in() const { return ends_[0]; }
    void close_in() {
        if (ends_[0] >= 0)
            ::close(ends_[0]);
        ends_[0] = -1;
    }
    void write(char byte) const { EXPECT_EQ(::write(ends_[1], &byte, 1), 1); }
    [[nodiscard]] char read() const {
        char byte = 0;
        EXPECT_EQ(::read(ends_[0], &byte, 1), 1);
        return byte;
    }

  private:
    int ends_[2] = {-1, -1};
};

// A pause in an fd's wait: until it is readable.
inline void wait_for(int fd) {
    ASYNC_WAIT_CTX* const wait = ASYNC_get_wait_ctx(ASYNC_get_current_job());
    EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait, &fd, fd, nullptr, nullptr), 1);
    const struct Clear {
        ~Clear() { ASYNC_WAIT_CTX_clear_fd(wait, key); }
        ASYNC_WAIT_CTX* wait;
        const void* key;
    } clear{wait, &fd};
    pollfd poll{fd, POLLIN, 0};
    while (::poll(&poll, 1, 0) == 0)
        asyncjob::pause();
}

}  // namespace test
