// SPDX-License-Identifier: Apache-2.0
// asyncjob/asio/use_job.hpp: a completion token for code inside a job, which pauses the job until
// the operation has completed. Part of asyncjob/asio.hpp.
//
// Threads: the job's own. The handler that completes the operation runs on the executor of
// whatever runs the job: async_run(), an ssl_stream. In a job that other code runs, the job is
// woken (asyncjob_wake()) instead, by whichever thread completes the operation.
//
// Next layer down: driver.hpp.
#ifndef ASYNCJOB_ASIO_USE_JOB_HPP
#define ASYNCJOB_ASIO_USE_JOB_HPP

#include <exception>
#include <optional>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

#include "../error.hpp"
#include "config.hpp"
#include "driver.hpp"
#include ASYNCJOB_ASIO_HEADER(system_executor.hpp)

namespace asyncjob {
inline namespace ASYNCJOB_ASIO_NAMESPACE {

namespace detail {
struct use_job_error;
}  // namespace detail

// The type of use_job: see there.
//
// Example:
//     asio::error_code error;
//     const asyncjob::use_job_t token = asyncjob::use_job(error);
//     asio::io_context context;
//     asio::post(context, [] {});
//     asio::steady_timer timer(context);
//     timer.async_wait(token);
//     assert(error == asio::error::operation_not_supported);  // as this is no job
class use_job_t {
  public:
    constexpr use_job_t() noexcept = default;

    // With an error_code, errors are put there instead of being thrown: for code that must not
    // throw, such as callbacks that C calls. It is cleared when there is none.
    //
    // Example: see use_job.
    [[nodiscard]] constexpr use_job_t operator()(detail::error_code& error) const noexcept {
        return use_job_t(&error);
    }

  private:
    friend struct detail::use_job_error;

    constexpr explicit use_job_t(detail::error_code* error) noexcept : error_(error) {}

    detail::error_code* error_ = nullptr;
};

// Completes an asynchronous operation by pausing the job that starts it until it is over. The call
// returns what the handler would get: nothing, a value, or a tuple of several; an error_code in
// front is thrown as a system_error of Asio if it is one, and an exception_ptr is thrown.
//
// The job's frames stay until the handler has been called or destroyed, so what the operation
// refers to may stand there. When the job is cancelled meanwhile, through the slot of async_run()
// or as its ssl_stream is closed, the operation is cancelled and the job goes on when it has
// ended, mostly with operation_aborted. In a job that is to end, no operation begins: it fails
// with operation_aborted at once. (With Asio before 1.19, Boost before 1.77, which cannot
// cancel a single operation, the job goes on when the operation ends by itself.)
//
// A job that somebody cancels straight by asyncjob_cancel() or asyncjob_cancel_all() must not
// wait, and its frames must not go: so it cancels the operation and runs the handlers of its
// io_context in place until the operation has ended. Where the job's executor is another kind,
// the process is aborted with a message if that takes more than ten seconds.
//
// Throws std::system_error, and starts nothing, with Errc::not_in_job outside a job, and
// std::errc::resource_deadlock_would_occur while pausing is blocked (BlockPause). With an
// error_code these are asio::error::operation_not_supported and asio::error::try_again. Where an
// operation has not begun and its result is of a type without a default constructor, such as a
// socket, the error is thrown all the same.
//
// Example:
//     asio::io_context context;
//     asyncjob::async_run(
//         context,
//         [&] {
//             asio::steady_timer timer(context, std::chrono::milliseconds(1));
//             timer.async_wait(asyncjob::use_job);
//
//             asio::ip::tcp::socket socket(context);
//             asio::error_code error;
//             std::string text(16, ' ');
//             const std::size_t size =
//                 socket.async_read_some(asio::buffer(text), asyncjob::use_job(error));
//             assert(error == asio::error::bad_descriptor && size == 0);
//         },
//         [](std::exception_ptr failure) { assert(failure == nullptr); });
//     context.run();
inline constexpr use_job_t use_job{};

namespace detail {

struct use_job_error {
    static error_code* of(use_job_t token) { return token.error_; }
};

template <typename... Args>
class job_operation final : public pending_operation {
  public:
    void cancel() override {
#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
        signal_.emit(net::cancellation_type::terminal);
#endif
    }

    [[nodiscard]] net::any_io_executor executor() const {
        const driver* const current = driver::current();
        // Wherever the operation completes: this is for jobs that are woken.
        return current != nullptr ? current->executor()
                                  : net::any_io_executor(net::system_executor());
    }

#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
    [[nodiscard]] net::cancellation_slot slot() {
        return signal_.slot();
    }
#endif

    std::optional<std::tuple<Args...>> values;

  private:
#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
    net::cancellation_signal signal_;
#endif
};

template <typename... Args>
class job_handler {
  public:
    using executor_type = net::any_io_executor;

    explicit job_handler(job_operation<Args...>& operation)
        : operation_(&operation), executor_(operation.executor()) {}

    template <typename... Values>
    void operator()(Values&&... values) {
        operation_->values.emplace(std::forward<Values>(values)...);
        operation_.release()->end(pending_operation::state::done);
    }

    [[nodiscard]] executor_type get_executor() const noexcept { return executor_; }

#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
    using cancellation_slot_type = net::cancellation_slot;
    [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept {
        return operation_ != nullptr ? operation_->slot() : cancellation_slot_type();
    }
#endif

  private:
    struct dropped {
        void operator()(pending_operation* operation) const {
            operation->end(pending_operation::state::dropped);
        }
    };

    std::unique_ptr<job_operation<Args...>, dropped> operation_;
    net::any_io_executor executor_;
};

// What becomes of the values that a handler gets.
template <typename... Args>
struct job_values {
    static constexpr bool has_error = false;
    using rest = std::tuple<Args...>;
};
template <typename... Args>
struct job_values<error_code, Args...> {
    static constexpr bool has_error = true;
    using rest = std::tuple<Args...>;
};
template <typename... Args>
struct job_values<std::exception_ptr, Args...> {
    static constexpr bool has_error = true;
    using rest = std::tuple<Args...>;
};

template <typename Tuple>
struct job_result {
    using type = Tuple;
};
template <>
struct job_result<std::tuple<>> {
    using type = void;
};
template <typename T>
struct job_result<std::tuple<T>> {
    using type = T;
};

[[noreturn]] inline void throw_error(const error_code& error) {
    throw system_error(error);
}

inline void give_error(error_code* to, const error_code& error) {
    if (to != nullptr)
        *to = error;
    else if (error)
        throw_error(error);
}

inline void give_error(error_code* to, const std::exception_ptr& failure) {
    if (to != nullptr)
        *to = {};
    if (failure == nullptr)
        return;
    if (to == nullptr)
        std::rethrow_exception(failure);
    try {
        std::rethrow_exception(failure);
    } catch (const system_error& error) {
        *to = error.code();
    }
}

// Whether an operation may begin; says why not.
inline bool may_wait(error_code* to) {
    if (ASYNC_get_current_job() == nullptr) {
        if (to == nullptr)
            throw std::system_error(make_error_code(Errc::not_in_job), "asyncjob::use_job");
        *to = net::error::operation_not_supported;
        return false;
    }
    const driver* const current = driver::current();
    if (asyncjob_cancelled() != 0 || (current != nullptr && current->is_asked_to_end())) {
        give_error(to, error_code(net::error::operation_aborted));
        return false;
    }
    if (asyncjob_can_pause() == 0) {
        if (to == nullptr)
            throw std::system_error(
                std::make_error_code(std::errc::resource_deadlock_would_occur),
                "asyncjob::use_job, which cannot wait while pausing is blocked");
        *to = net::error::try_again;
        return false;
    }
    return true;
}

// Keeps an operation on its driver's list while it is waited for.
class linked {
  public:
    explicit linked(pending_operation& operation) : operation_(operation) { operation.link(); }
    ~linked() { operation_.unlink(); }
    linked(const linked&) = delete;
    linked& operator=(const linked&) = delete;

  private:
    pending_operation& operation_;
};

template <typename... Args>
class job_result_of {
    using values = job_values<Args...>;

  public:
    using return_type = typename job_result<typename values::rest>::type;

    template <typename Initiation, typename... InitArgs>
    static return_type initiate(Initiation&& initiation, use_job_t token, InitArgs&&... args) {
        error_code* const error = use_job_error::of(token);
        if (!may_wait(error))
            return none(error);
        job_operation<Args...> operation;
        const linked on_list(operation);
        std::forward<Initiation>(initiation)(job_handler<Args...>(operation),
                                             std::forward<InitArgs>(args)...);
        operation.wait();
        if (operation.was_dropped()) {
            give_error(error, error_code(net::error::operation_aborted));
            return none(error);
        }
        return take(error, *operation.values);
    }

  private:
    static return_type take(error_code* error, std::tuple<Args...>& all) {
        constexpr std::size_t first = values::has_error ? 1 : 0;
        if constexpr (values::has_error)
            give_error(error, std::get<0>(all));
        else if (error != nullptr)
            *error = {};
        if constexpr (sizeof...(Args) == first)
            return;
        else if constexpr (sizeof...(Args) == first + 1)
            return std::move(std::get<first>(all));
        else if constexpr (first == 0)
            return std::move(all);
        else
            return std::apply([](auto&, auto&... rest) { return return_type(std::move(rest)...); },
                              all);
    }

    // What to return where an error has been put and there is nothing else.
    static return_type none([[maybe_unused]] const error_code* error) {
        if constexpr (std::is_void_v<return_type>)
            return;
        else if constexpr (std::is_default_constructible_v<return_type>)
            return return_type();
        else
            throw_error(*error);
    }
};

}  // namespace detail
}  // namespace ASYNCJOB_ASIO_NAMESPACE
}  // namespace asyncjob

// For Asio, which finds here what becomes of the token.
template <typename R, typename... Args>
class ASYNCJOB_ASIO::async_result<asyncjob::use_job_t, R(Args...)>
    : public asyncjob::ASYNCJOB_ASIO_NAMESPACE::detail::job_result_of<std::decay_t<Args>...> {};

#endif
