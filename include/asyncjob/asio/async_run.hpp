// SPDX-License-Identifier: Apache-2.0
// asyncjob/asio/async_run.hpp: running a callable as a job, as an asynchronous operation of Asio.
// Part of asyncjob/asio.hpp.
//
// Threads: the executor's. A job can only be resumed by the thread that started it, so the
// executor's context is to be run by one thread.
//
// Next layer down: driver.hpp, service.hpp.
#ifndef ASYNCJOB_ASIO_ASYNC_RUN_HPP
#define ASYNCJOB_ASIO_ASYNC_RUN_HPP

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "../error.hpp"
#include "../this_job.hpp"
#include "../wait_context.hpp"
#include "config.hpp"
#include "driver.hpp"
#include "service.hpp"

namespace asyncjob {
inline namespace ASYNCJOB_ASIO_NAMESPACE {
namespace detail {

// How a callable has ended, and what its completion handler gets.
template <typename R>
struct run_outcome {
    using signature = void(std::exception_ptr, R);

    template <typename Callable>
    void run(Callable& callable) {
        result.emplace(std::invoke(std::move(callable)));
    }
    template <typename Handler>
    void give(Handler&& handler) {
        R value = result.has_value() ? std::move(*result) : R();
        std::forward<Handler>(handler)(std::move(failure), std::move(value));
    }

    std::exception_ptr failure;
    std::optional<R> result;
};
template <>
struct run_outcome<void> {
    using signature = void(std::exception_ptr);

    template <typename Callable>
    void run(Callable& callable) {
        std::invoke(std::move(callable));
    }
    template <typename Handler>
    void give(Handler&& handler) {
        std::forward<Handler>(handler)(std::move(failure));
    }

    std::exception_ptr failure;
};

// A handler with what it gets, for the executor to call.
template <typename Handler, typename Outcome>
class run_completion {
  public:
    using allocator_type = net::associated_allocator_t<Handler>;

    run_completion(Handler handler, Outcome outcome)
        : handler_(std::move(handler)), outcome_(std::move(outcome)) {}

    [[nodiscard]] allocator_type get_allocator() const noexcept {
        return net::get_associated_allocator(handler_);
    }

    void operator()() { outcome_.give(std::move(handler_)); }

  private:
    Handler handler_;
    Outcome outcome_;
};

template <typename Callable, typename Handler, typename Executor>
class run_driver final : public driver {
    using outcome =
        run_outcome<std::remove_cv_t<std::remove_reference_t<std::invoke_result_t<Callable>>>>;
    using handler_executor = net::associated_executor_t<Handler, Executor>;

  public:
    run_driver(const Executor& executor, Callable callable, Handler handler)
        : driver(executor),
          work_(executor),
          callable_(std::in_place, std::move(callable)),
          handler_(std::in_place, std::move(handler)),
          handler_work_(net::get_associated_executor(*handler_, executor)) {}

    ~run_driver() { give_up_claim(); }

    // The operation begins, in the executor's time.
    static void begin(std::shared_ptr<run_driver> self) {
        const Executor executor = self->work_.get_executor();
        self->connect_slot(self);
        net::post(executor, starter{std::move(self)});
    }

    void go_on(std::shared_ptr<driver> self) override {
        if (has_turn())
            return;
        take_turn();
        if (stage_ == stage::done || stage_ == stage::lost) {
            end_turn();
            return;
        }
        queued_.reset();
        if (stage_ == stage::paused && home_ != std::this_thread::get_id()) {
            end_turn();
            turn_away(std::move(self));
            return;
        }
        if (service_ != nullptr)
            service_->stop_waiting(*this);
        advance();
        const bool is_done = stage_ == stage::done;
        end_turn();
        if (is_done)
            complete(std::move(self));
    }

    bool slot_is_free(std::shared_ptr<driver> self) override {
        const std::shared_ptr<driver> held = self;
        if (stage_ == stage::queued)
            go_on(std::move(self));
        return stage_ == stage::queued;
    }

    void turn_away(std::shared_ptr<driver> self) override {
        take_turn();
        const bool is_lost = stage_ == stage::paused;
        if (is_lost) {
            stage_ = stage::lost;
            if (service_ != nullptr)
                service_->stop_waiting(*this);
            fail(foreign_thread());
        }
        end_turn();
        if (is_lost)
            complete(std::move(self));
    }

    void shut_down(std::shared_ptr<driver> self) override {
        ask_to_end();
        is_shut_down_ = true;
        // What waits for an operation goes on when the operation is destroyed.
        const bool is_here = stage_ == stage::paused && home_ == std::this_thread::get_id();
        if (is_here && has_operations())
            return;
        if (is_here && !has_turn()) {
            go_on(std::move(self));
            return;
        }
        queued_.reset();
        if (!has_turn())
            complete(std::move(self));
    }

  private:
    enum class stage { fresh, queued, paused, done, lost };

    struct starter {
        using allocator_type = net::associated_allocator_t<Handler>;
        [[nodiscard]] allocator_type get_allocator() const noexcept {
            return net::get_associated_allocator(*driver->handler_);
        }
        void operator()() { tell(std::move(driver)); }
        std::shared_ptr<run_driver> driver;
    };

    static std::exception_ptr foreign_thread() {
        return std::make_exception_ptr(std::system_error(
            make_error_code(Errc::foreign_thread),
            "asyncjob::async_run: the execution context is run by several threads, and a job "
            "belongs to one; give jobs a context with one thread"));
    }

    static std::exception_ptr aborted() {
        return std::make_exception_ptr(system_error(net::error::operation_aborted));
    }

    // The first failure counts.
    void fail(std::exception_ptr failure) {
        if (outcome_.failure == nullptr)
            outcome_.failure = std::move(failure);
    }

    // Runs the job until it waits or has ended.
    void advance() {
        if (stage_ != stage::paused) {
            if (!start())
                return;
        } else if (may_resume()) {
            resume();
        } else {
            return;
        }
        while (stage_ == stage::paused) {
            if (!is_asked_to_end() && (waits_for_operation() || wait()))
                return;
            if (!may_resume())
                return;
            resume();
        }
    }

    // A job that is to end goes on when its operations have.
    bool may_resume() {
        if (!is_asked_to_end() || !has_operations())
            return true;
        cancel_operations();
        return !has_operations();
    }

    // False when nothing is to be done further now.
    bool start() {
        if (is_asked_to_end()) {
            fail(aborted());
            stage_ = stage::done;
            return false;
        }
        if (!is_claimed_ && (service_ == nullptr || !service_->claim())) {
            fail(foreign_thread());
            stage_ = stage::done;
            return false;
        }
        is_claimed_ = true;
        if (stage_ == stage::fresh && thread_hub::here().has_queue()) {
            wait_for_slot(false);
            return false;
        }
        const bool was_queued = stage_ == stage::queued;
        home_ = std::this_thread::get_id();
        stage_ = stage::paused;
        run_driver* self = this;
        int status = ASYNC_ERR;
        {
            const running here(*this);
            is_running_ = true;
            status =
                ASYNC_start_job(&job_, wait_.native_handle(), &unused_, enter, &self, sizeof self);
            is_running_ = false;
        }
        if (status == ASYNC_NO_JOBS) {
            wait_for_slot(was_queued);
            return false;
        }
        came_back(status);
        return true;
    }

    void wait_for_slot(bool in_front) {
        stage_ = stage::queued;
        queued_ = this->shared_from_this();
        thread_hub::here().wait_for_slot(*this, in_front);
    }

    void resume() {
        int status = ASYNC_ERR;
        {
            const running here(*this);
            is_running_ = true;
            status = is_asked_to_end()
                         ? asyncjob_cancel(&job_, &unused_)
                         : ASYNC_start_job(&job_, nullptr, &unused_, nullptr, nullptr, 0);
            is_running_ = false;
        }
        came_back(status);
    }

    void came_back(int status) {
        if (status == ASYNC_PAUSE)
            return;
        if (status != ASYNC_FINISH)
            fail(std::make_exception_ptr(std::system_error(asyncjob_last_reason(), error_category(),
                                                           "asyncjob::async_run")));
        stage_ = stage::done;
    }

    // The job has paused for what its wait context has, or a wake. False if that cannot be waited
    // for: the job is to end.
    bool wait() {
        const error_code failed = service_ != nullptr ? service_->wait(*this, job_, wait_.fds())
                                                      : error_code(net::error::operation_aborted);
        if (!failed)
            return true;
        fail(std::make_exception_ptr(system_error(failed, "asyncjob::async_run")));
        ask_to_end();
        return false;
    }

    // The job's function.
    static int enter(void* args) {
        run_driver& self = **static_cast<run_driver**>(args);
        std::shared_ptr<driver> held = self.shared_from_this();
        self.own_job_ = ASYNC_get_current_job();
        try {
            expect_own_jobs("asyncjob::async_run");
            self.outcome_.run(*self.callable_);
        } catch (...) {
            self.fail(std::current_exception());
        }
        // What the callable holds ends in the job, as a thread's does.
        self.callable_.reset();
        if (!self.is_running_)
            self.end_elsewhere(std::move(held));
        return 0;
    }

    // The job was ended by others: asyncjob_cancel_all(), say.
    void end_elsewhere(std::shared_ptr<driver> held) {
        const bool is_lost = stage_ == stage::lost;
        stage_ = stage::done;
        if (service_ == nullptr || is_lost) {
            thread_hub::here().keep(std::move(held));
            return;
        }
        service_->stop_waiting(*this);
        net::post(executor(), [held = std::move(held)]() mutable {
            auto& self = static_cast<run_driver&>(*held);
            self.complete(std::move(held));
        });
    }

    // Calls the handler, with nothing of this operation left but what it gets.
    void complete(std::shared_ptr<driver> self) {
        if (!handler_.has_value())
            return;
        disconnect_slot();
        give_up_claim();
        Handler handler = std::move(*handler_);
        handler_.reset();
        auto work = std::move(work_);
        auto handler_work = std::move(handler_work_);
        if (is_shut_down_)
            return;
        outcome ended = std::move(outcome_);
        self.reset();
        net::dispatch(handler_work.get_executor(),
                      run_completion<Handler, outcome>(std::move(handler), std::move(ended)));
    }

    void give_up_claim() {
        if (std::exchange(is_claimed_, false) && service_ != nullptr)
            service_->give_up();
    }

#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
    void connect_slot(const std::shared_ptr<run_driver>& self) {
        slot_ = net::get_associated_cancellation_slot(*handler_);
        if (!slot_.is_connected())
            return;
        slot_.assign([weak = std::weak_ptr<run_driver>(self)](net::cancellation_type_t type) {
            constexpr auto any = net::cancellation_type::terminal | net::cancellation_type::partial;
            std::shared_ptr<run_driver> self = weak.lock();
            if (self == nullptr || (type & any) == net::cancellation_type::none)
                return;
            // The job ends later, not in the time of whoever has said so.
            self->ask_to_end();
            const net::any_io_executor executor = self->executor();
            net::post(executor, [self = std::move(self)]() mutable { tell(std::move(self)); });
        });
    }
    void disconnect_slot() {
        if (slot_.is_connected())
            slot_.clear();
    }

    net::associated_cancellation_slot_t<Handler> slot_;
#else
    void connect_slot(const std::shared_ptr<run_driver>& /*self*/) {}
    void disconnect_slot() {}
#endif

    net::executor_work_guard<Executor> work_;
    std::optional<Callable> callable_;
    std::optional<Handler> handler_;
    net::executor_work_guard<handler_executor> handler_work_;
    WaitContext wait_;
    outcome outcome_;
    ASYNC_JOB* job_ = nullptr;
    int unused_ = 0;
    stage stage_ = stage::fresh;
    std::shared_ptr<driver> queued_;  // this one, while nobody else holds it
    bool is_claimed_ = false;
    bool is_running_ = false;
    bool is_shut_down_ = false;
};

template <typename Executor>
class initiate_run {
  public:
    using executor_type = Executor;

    explicit initiate_run(Executor executor) : executor_(std::move(executor)) {}

    [[nodiscard]] executor_type get_executor() const noexcept { return executor_; }

    template <typename Handler, typename Callable>
    void operator()(Handler&& handler, Callable&& callable) const {
        using operation = run_driver<std::decay_t<Callable>, std::decay_t<Handler>, Executor>;
        const auto allocator = net::get_associated_allocator(handler);
        operation::begin(std::allocate_shared<operation>(allocator, executor_,
                                                         std::forward<Callable>(callable),
                                                         std::forward<Handler>(handler)));
    }

  private:
    Executor executor_;
};

template <typename Callable>
using run_signature = typename run_outcome<std::remove_cv_t<
    std::remove_reference_t<std::invoke_result_t<std::decay_t<Callable>>>>>::signature;

template <typename T>
inline constexpr bool is_executor =
    net::is_executor<T>::value || net::execution::is_executor<T>::value;

}  // namespace detail

// The executor of the async_run() or ssl_stream in whose job the caller is: for timers, sockets
// and other operations of the job's own.
//
// Throws std::system_error with Errc::not_in_job elsewhere, also in jobs that other code runs.
//
// Example:
//     asio::io_context context;
//     asyncjob::async_run(
//         context, [] { assert(asyncjob::job_executor() == asyncjob::job_executor()); },
//         asio::detached);
//     context.run();
[[nodiscard]] inline detail::net::any_io_executor job_executor() {
    const detail::driver* const current = detail::driver::current();
    if (current == nullptr || ASYNC_get_current_job() == nullptr)
        throw std::system_error(make_error_code(Errc::not_in_job), "asyncjob::job_executor");
    return current->executor();
}

// Runs a callable as a job, on the executor: it begins as if posted there. While it is paused the
// executor does other work. It goes on when
// - an operation that it waits for with use_job has completed;
// - or, if it has paused otherwise (asyncjob::pause(), this_job::wait(), code of a provider), when
//   an fd of its wait context (ASYNC_WAIT_CTX_set_wait_fd()) is readable, the job is woken, or
//   its deadline has passed. It may also go on for no reason, as code that pauses has to expect.
// When the thread has as many jobs as it may (init_thread()), the callable waits for its turn.
//
// The token's signature is void(std::exception_ptr, R), without R if the callable returns nothing.
// R is its result, without a reference, and must be default-constructible, for when there is none.
// An exception that leaves the callable is the exception_ptr. The callable is moved, called as an
// rvalue, and destroyed in the job. The token's associated executor, allocator, and cancellation
// slot are used: cancellation of the types terminal and partial cancels the job (Cancelled is
// thrown by pauses, operations of use_job end with operation_aborted), and the result is what
// it then ends with; one that has not begun ends with operation_aborted.
//
// The executor's context is to be run by one thread, as the job can go on there only: what is
// found to be on another one completes with Errc::foreign_thread in a std::system_error. A job
// that had been paused then stays so, until asyncjob_cancel_all() on its own thread. Other
// failures: std::system_error with the reasons of Job::resume() or, when an fd cannot be waited
// for, a system_error of Asio, after the job has been cancelled.
//
// When the context is destroyed, the jobs that are paused in it are cancelled, if that is on their
// thread, and handlers are destroyed without being called.
//
// asyncjob_take_ready() and asyncjob_on_slot_free() of the thread are used while such jobs wait. A
// loop of your own for other jobs of that thread misses their wakes.
//
// Example:
//     asio::io_context context;
//     std::string text;
//     asyncjob::async_run(
//         context.get_executor(),
//         [] {
//             asio::steady_timer timer(asyncjob::job_executor(), std::chrono::milliseconds(1));
//             timer.async_wait(asyncjob::use_job);
//             return std::string("done");
//         },
//         [&](std::exception_ptr failure, std::string result) {
//             assert(failure == nullptr);
//             text = std::move(result);
//         });
//     std::future<int> sum = asyncjob::async_run(context, [] { return 1 + 2; }, asio::use_future);
//     context.run();
//     assert(text == "done" && sum.get() == 3);
template <typename Executor, typename Callable, typename Token>
requires detail::is_executor<Executor>
auto async_run(const Executor& executor, Callable&& callable, Token&& token) {
    return detail::net::async_initiate<Token, detail::run_signature<Callable>>(
        detail::initiate_run<Executor>(executor), token, std::forward<Callable>(callable));
}

// The same with the executor of an execution context.
//
// Example: see the other async_run().
template <typename Context, typename Callable, typename Token>
requires std::is_convertible_v<Context&, detail::net::execution_context&>
auto async_run(Context& context, Callable&& callable, Token&& token) {
    return async_run(context.get_executor(), std::forward<Callable>(callable),
                     std::forward<Token>(token));
}

}  // namespace ASYNCJOB_ASIO_NAMESPACE
}  // namespace asyncjob

#endif
