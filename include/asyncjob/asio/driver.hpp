// SPDX-License-Identifier: Apache-2.0
// Drivers: what resumes a job when that for which it has paused is over. One runs a job of
// async_run(), another those of a TLS connection. A driver is held by the frames of its job and
// by whoever will tell it to go on.
//
// Threads: those of the driver's executor, one at a time; the job's own thread is one of them. What
// comes by on another is turned away by an error, as only its thread can resume a job.
//
// Next layer down: service.hpp.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../async.h"
#include "../control.h"
#include "config.hpp"

namespace asyncjob {
inline namespace ASYNCJOB_ASIO_NAMESPACE {
namespace detail {

class job_service;
class driver;

// In a job: that it is one of this library, not of libcrypto, whose functions of the same names a
// program gets if it is linked in the wrong order.
inline void expect_own_jobs(const char* what) {
    asyncjob_handle handle{};
    if (asyncjob_can_pause() == 0 && asyncjob_cancelled() == 0 &&
        asyncjob_get_handle(ASYNC_get_current_job(), &handle) == 0)
        throw std::logic_error(std::string(what) +
                               ": ASYNC_start_job() is libcrypto's; link libasyncjob before it");
}

// An operation of Asio that a job waits for (use_job). It stands in the job's frames, which
// cannot go before its handler has been called or destroyed: `over` says so.
class pending_operation {
  public:
    enum class state { waiting, done, dropped };

    pending_operation() = default;
    pending_operation(const pending_operation&) = delete;
    pending_operation& operator=(const pending_operation&) = delete;

    // Asks the operation to end.
    virtual void cancel() = 0;

    [[nodiscard]] bool is_over() const {
        return state_.load(std::memory_order_acquire) != state::waiting;
    }
    [[nodiscard]] bool was_dropped() const {
        return state_.load(std::memory_order_acquire) == state::dropped;
    }

    // Begins and ends its time in the list of its driver; inside the job.
    void link();
    void unlink();

    // Pauses the job until the operation is over.
    void wait();

    // By the handler: the operation is over, and the job goes on.
    void end(state how);

  protected:
    ~pending_operation() = default;

  private:
    friend class driver;
    void wait_in_place();

    std::shared_ptr<driver> owner_;
    asyncjob_handle handle_{};  // of a job that its driver does not resume itself
    std::atomic<state> state_ = state::waiting;
    bool is_drivers_own_ = false;
    bool is_in_place_ = false;
    pending_operation* previous_ = nullptr;
    pending_operation* next_ = nullptr;
};

class driver : public std::enable_shared_from_this<driver> {
  public:
    driver(const driver&) = delete;
    driver& operator=(const driver&) = delete;

    // What the job waited for may have come: on the executor, which runs on the job's thread. The
    // argument is this driver, given away.
    virtual void go_on(std::shared_ptr<driver> self) = 0;

    // The thread has room for a job that was refused. Returns whether it was refused again.
    virtual bool slot_is_free(std::shared_ptr<driver> self) = 0;

    // Its execution context is going: ends the job if that can be, and destroys handlers.
    virtual void shut_down(std::shared_ptr<driver> self) = 0;

    // It was told to go on by a thread that is not the job's, which stays paused there.
    virtual void turn_away(std::shared_ptr<driver> self) = 0;

    [[nodiscard]] const net::any_io_executor& executor() const { return executor_; }

    // Whether somebody wants the job to end: it is to begin nothing new.
    [[nodiscard]] bool is_asked_to_end() const {
        return asked_to_end_.load(std::memory_order_relaxed);
    }

    // The driver in whose job the caller runs, or NULL.
    static driver* current() { return current_ref(); }

    // Runs handlers in place, for a job that was cancelled by somebody who does not know of the
    // operations it waits for. False if this executor's cannot be run so.
    [[nodiscard]] bool poll() {
        const auto* const executor = executor_.target<net::io_context::executor_type>();
        if (executor == nullptr)
            return false;
        auto& context =
            static_cast<net::io_context&>(net::query(*executor, net::execution::context));
        const bool was_stopped = context.stopped();
        if (was_stopped)
            context.restart();
        context.poll_one();
        if (was_stopped)
            context.stop();
        return true;
    }

  protected:
    explicit driver(net::any_io_executor executor);
    ~driver();

    // While it lives, this driver's job runs on the calling thread.
    class running {
      public:
        explicit running(driver& which) : before_(std::exchange(current_ref(), &which)) {}
        ~running() { current_ref() = before_; }
        running(const running&) = delete;
        running& operator=(const running&) = delete;

      private:
        driver* const before_;
    };

    // Whether the calling thread has the turn already: it is told to go on by its own job.
    [[nodiscard]] bool has_turn() const {
        return turn_.load(std::memory_order_relaxed) == std::this_thread::get_id();
    }
    // One thread at a time. The executor sees to that, but for a context with several threads.
    void take_turn() {
        std::thread::id nobody{};
        while (!turn_.compare_exchange_weak(nobody, std::this_thread::get_id(),
                                            std::memory_order_acquire)) {
            nobody = {};
            std::this_thread::yield();
        }
    }
    void end_turn() { turn_.store({}, std::memory_order_release); }

    void ask_to_end() { asked_to_end_.store(true, std::memory_order_relaxed); }

    // Operations that are not over; the job must not be cancelled while there are any.
    [[nodiscard]] bool has_operations() const {
        return unfinished_.load(std::memory_order_acquire) != 0;
    }
    // Whether the job itself waits for one, not one that it has started.
    [[nodiscard]] bool waits_for_operation() const {
        for (const pending_operation* each = operations_; each != nullptr; each = each->next_) {
            if (each->is_drivers_own_ && !each->is_over())
                return true;
        }
        return false;
    }
    void cancel_operations() {
        for (pending_operation* each = operations_; each != nullptr;) {
            pending_operation* const next = each->next_;
            if (!each->is_over())
                each->cancel();
            each = next;
        }
    }

    // The job that it resumes, where it is known.
    ASYNC_JOB* own_job_ = nullptr;
    job_service* service_;  // NULL when the execution context has gone
    std::thread::id home_;  // the thread of its job

  private:
    friend class job_service;
    friend class pending_operation;

    static driver*& current_ref() {
        static constinit thread_local driver* current = nullptr;
        return current;
    }

    net::any_io_executor executor_;
    std::atomic<std::thread::id> turn_{};
    std::atomic<bool> asked_to_end_ = false;
    std::atomic<int> unfinished_ = 0;
    pending_operation* operations_ = nullptr;

    // The service's.
    struct polled {
        int fd;
        bool is_ours;
    };
    driver* previous_ = nullptr;
    driver* next_ = nullptr;
    std::vector<polled> polled_;
    ASYNC_JOB* listed_as_ = nullptr;
    bool is_waiting_ = false;
};

inline void pending_operation::link() {
    ASYNC_JOB* const job = ASYNC_get_current_job();
    if (driver* const current = driver::current(); current != nullptr) {
        owner_ = current->shared_from_this();
        is_drivers_own_ = current->own_job_ == nullptr || current->own_job_ == job;
        next_ = current->operations_;
        if (next_ != nullptr)
            next_->previous_ = this;
        current->operations_ = this;
        current->unfinished_.fetch_add(1, std::memory_order_relaxed);
    }
    if (!is_drivers_own_)
        (void)asyncjob_get_handle(job, &handle_);
}

inline void pending_operation::unlink() {
    if (owner_ == nullptr)
        return;
    (previous_ != nullptr ? previous_->next_ : owner_->operations_) = next_;
    if (next_ != nullptr)
        next_->previous_ = previous_;
}

inline void pending_operation::wait() {
    while (!is_over()) {
        // asyncjob_pause() would take a wake that is meant for what the job does later.
        const bool goes_on =
            is_drivers_own_ ? ASYNC_pause_job() == 1 : asyncjob_pause() != ASYNCJOB_CANCELLED;
        if (!goes_on && !is_over())
            wait_in_place();
    }
}

// Somebody has cancelled the job: no pause lasts any more. But Asio has pointers into its frames.
inline void pending_operation::wait_in_place() {
    constexpr int most_milliseconds = 10'000;
    is_in_place_ = true;
    cancel();
    for (int waited = 0; !is_over();) {
        if (owner_ != nullptr && owner_->poll() && is_over())
            break;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        if (++waited == most_milliseconds) {
            std::fputs(
                "asyncjob: a job was cancelled by asyncjob_cancel() or asyncjob_cancel_all() "
                "while it waits for an operation of Asio (use_job) that does not end. Cancel it "
                "through the cancellation slot of async_run(), or end the operation first.\n",
                stderr);
            std::abort();
        }
    }
}

inline void pending_operation::end(state how) {
    // Once the state is stored, this object may be gone.
    const std::shared_ptr<driver> owner = owner_;
    const asyncjob_handle handle = handle_;
    const bool must_wake = !is_drivers_own_;
    const bool is_in_place = is_in_place_;
    if (owner != nullptr) {
        if (how == state::dropped)
            owner->ask_to_end();
        owner->unfinished_.fetch_sub(1, std::memory_order_release);
    }
    state_.store(how, std::memory_order_release);
    if (must_wake)
        (void)asyncjob_wake(handle);
    if (owner == nullptr)
        return;
    if (is_in_place)
        net::post(owner->executor(), [owner]() mutable {
            driver* const which = owner.get();
            which->go_on(std::move(owner));
        });
    else
        owner->go_on(owner);
}

}  // namespace detail
}  // namespace ASYNCJOB_ASIO_NAMESPACE
}  // namespace asyncjob
