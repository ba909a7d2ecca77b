// SPDX-License-Identifier: Apache-2.0
// asyncjob/job.hpp: jobs as C++ authors expect them, header-only over the C headers. This file has
// Job, and includes the others: error.hpp, this_job.hpp, thread.hpp, wait_context.hpp, wake.hpp.
//
// A Job runs a callable on a stack of its own. resume() goes into it, asyncjob::pause() inside
// comes out again, and the next resume() goes on behind the pause. The result of the callable is
// the result() of the Job; an exception of the callable leaves through resume(). Exceptions that
// are handled or in flight belong to the side that they are on: a job may be resumed in a catch
// block or while frames unwind, and may pause there.
//
// C++20 and exceptions; RTTI is not needed. The program is linked with libasyncjob.
//
// Threads: a Job belongs to the thread of its first resume(), where it is to be resumed and
// destroyed; before that and when it is done it may be moved to any.
//
// Next layer down: asyncjob/async.h, asyncjob/control.h.
#ifndef ASYNCJOB_JOB_HPP
#define ASYNCJOB_JOB_HPP

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "async.h"
#include "control.h"
#include "error.hpp"
#include "this_job.hpp"
#include "thread.hpp"
#include "wait_context.hpp"
#include "wake.hpp"

namespace asyncjob {
inline namespace cxx1 {

namespace detail {

enum class Stage : unsigned char {
    fresh,    // not started
    started,  // running or paused
    has_result,
    has_exception,  // it has not left yet
    was_cancelled,  // the exception is Cancelled
    is_empty,       // what there was has been taken
};

// What a Job owns, of which the job's frames know the address: so it stays where it is. Here is
// all that does not depend on the callable's type.
class Core {
  public:
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    // True when the job has finished. NULL is the handle of a job that has not paused yet and of
    // one that has finished: the rest of the ways a resume goes wrong is the library's to find.
    bool resume() {
        if (handle_ == nullptr) [[unlikely]]
            return start();
        const int status = ASYNC_start_job(&handle_, nullptr, &unused_, nullptr, nullptr, 0);
        return status != ASYNC_PAUSE && came_back(status);
    }

    // Ends the job, unless it is done. An exception other than Cancelled leaves.
    void cancel() {
        if (stage_ == Stage::fresh) {
            exception_ = std::make_exception_ptr(Cancelled());
            stage_ = Stage::was_cancelled;
        }
        if (stage_ != Stage::started)
            return;
        run_to_end("asyncjob::Job::cancel");
        if (stage_ == Stage::has_exception)
            throw_exception();
    }

    // Also in the place of an exception, this throws.
    void expect_result() {
        switch (stage_) {
            case Stage::has_result:
                stage_ = Stage::is_empty;
                return;
            case Stage::has_exception:
            case Stage::was_cancelled:
                throw_exception();
            case Stage::is_empty:
                fail(Errc::no_result, "asyncjob::Job::result");
            case Stage::fresh:
            case Stage::started:
                break;
        }
        fail(Errc::not_finished, "asyncjob::Job::result");
    }

    [[nodiscard]] bool is_done() const noexcept { return stage_ > Stage::started; }

    // NULL while there is no job, and until the first pause.
    [[nodiscard]] ASYNC_JOB* handle() const noexcept {
        return stage_ == Stage::started ? handle_ : nullptr;
    }

    // What a Job does with what it owns. A job that cannot be cancelled here ends the program: its
    // frames use what would be freed.
    struct Release {
        void operator()(Core* core) const noexcept {
            try {
                if (core->stage_ == Stage::started)
                    core->run_to_end("asyncjob::Job, destroyed before its job has finished");
            } catch (...) {
                std::terminate();  // which says what was thrown
            }
            core->destroy_(core);
        }
    };

  protected:
    using Enter = int (*)(void*);
    using Destroy = void (*)(Core*) noexcept;

    Core(ASYNC_WAIT_CTX* wait, Enter enter, Destroy destroy) noexcept
        : wait_(wait), enter_(enter), destroy_(destroy) {}
    ~Core() = default;

    // In the job: how its callable ended. finish() says so to others, when nothing is left to do
    // that might pause.
    template <typename Body>
    Stage run(Body&& body) noexcept {
        try {
            body();
            return Stage::has_result;
        } catch (const Cancelled&) {
            exception_ = std::current_exception();
            return Stage::was_cancelled;
        } catch (...) {
            exception_ = std::current_exception();
            return Stage::has_exception;
        }
    }
    void finish(Stage stage) noexcept { stage_ = stage; }

  private:
    [[gnu::noinline]] bool start() {
        if (stage_ != Stage::fresh)
            fail(is_done() ? Errc::job_not_paused : Errc::job_running, "asyncjob::Job::resume");
        stage_ = Stage::started;
        void* self = this;
        const int status = ASYNC_start_job(&handle_, wait_, &unused_, enter_, &self, sizeof self);
        if (status == ASYNC_ERR || status == ASYNC_NO_JOBS)
            stage_ = Stage::fresh;
        return status != ASYNC_PAUSE && came_back(status);
    }

    [[gnu::noinline]] bool came_back(int status) {
        if (status != ASYNC_FINISH)
            fail("asyncjob::Job::resume");
        if (exception_ != nullptr)
            throw_exception();
        return true;
    }

    void run_to_end(const char* what) {
        if (handle_ == nullptr)
            fail(Errc::job_running, what);
        if (asyncjob_cancel(&handle_, &unused_) != ASYNC_FINISH)
            fail(what);
    }

    [[noreturn]] void throw_exception() {
        stage_ = Stage::is_empty;
        std::rethrow_exception(std::exchange(exception_, nullptr));
    }

    ASYNC_JOB* handle_ = nullptr;
    ASYNC_WAIT_CTX* wait_;
    int unused_ = 0;  // where the library puts the result of C's function
    Stage stage_ = Stage::fresh;
    Enter enter_;
    Destroy destroy_;
    std::exception_ptr exception_;
};

// A callable whose result becomes an R without a cast. (Not all libraries hold that R, if it cannot
// be moved, becomes itself.)
template <typename Callable, typename R>
concept Returns = std::is_invocable_v<std::decay_t<Callable>> &&
    (std::is_same_v<std::invoke_result_t<std::decay_t<Callable>>, R> ||
     std::is_invocable_r_v<R, std::decay_t<Callable>>);

// Where the result of a job is put: it need be neither movable nor default-constructible.
template <typename R>
class Result {
  public:
    Result() = default;
    ~Result() {
        if (value_ != nullptr)
            std::destroy_at(value_);
    }
    Result(const Result&) = delete;
    Result& operator=(const Result&) = delete;

    template <typename Callable>
    void make(Callable&& callable) {
        const auto call = [&]() -> R { return std::invoke(std::forward<Callable>(callable)); };
        value_ = ::new (static_cast<void*>(place_)) Value(call());
    }

    R take() { return std::move(*value_); }

  private:
    using Value = std::remove_cv_t<R>;
    alignas(Value) std::byte place_[sizeof(Value)];
    Value* value_ = nullptr;
};

template <typename R>
class Result<R&> {
  public:
    template <typename Callable>
    void make(Callable&& callable) {
        R& result = std::invoke(std::forward<Callable>(callable));
        address_ = std::addressof(result);
    }

    R& take() { return *address_; }

  private:
    R* address_ = nullptr;
};

template <>
class Result<void> {
  public:
    template <typename Callable>
    void make(Callable&& callable) {
        static_cast<void>(std::invoke(std::forward<Callable>(callable)));
    }

    void take() {}
};

template <typename R>
class CoreOfResult : public Core {
  public:
    using Core::Core;

    R result() {
        expect_result();
        return result_.take();
    }

  protected:
    ~CoreOfResult() = default;

    Result<R> result_;
};

template <typename R, typename Callable>
class CoreOfCallable final : public CoreOfResult<R> {
  public:
    template <typename From>
    CoreOfCallable(ASYNC_WAIT_CTX* wait, From&& callable)
        : CoreOfResult<R>(wait, enter, destroy),
          callable_(std::in_place, std::forward<From>(callable)) {}

  private:
    // The job's function. What the callable holds ends with it, in the job, as a thread's does.
    static int enter(void* args) {
        Core* const core = static_cast<Core*>(*static_cast<void**>(args));
        CoreOfCallable& self = *static_cast<CoreOfCallable*>(core);
        const Stage stage = self.run([&] { self.result_.make(std::move(*self.callable_)); });
        self.callable_.reset();
        self.finish(stage);
        return 0;
    }

    static void destroy(Core* core) noexcept { delete static_cast<CoreOfCallable*>(core); }

    std::optional<Callable> callable_;
};

}  // namespace detail

// A callable that runs as a job, and its result. Move-only; moving it does not disturb the job. It
// has one allocation, which holds the callable and the result.
//
// Destroying a Job cancels it, if it is paused: its frames unwind, their destructors run, and it
// returns when they have; an exception that the callable ends with then is dropped. A callable
// that was never started is destroyed without being called. What cannot be cancelled where it is
// destroyed (it runs, or belongs to another thread) ends the program by std::terminate(), as a
// std::thread that was not joined does.
//
// Example:
//     asyncjob::WaitContext wait;
//     asyncjob::Job<int> job(wait, [text = std::make_unique<std::string>("abc")] {
//         asyncjob::pause();
//         return static_cast<int>(text->size());
//     });
//     while (!job.resume()) {
//         // Here a loop would wait for wait.fds() or asyncjob::ready_fd().
//     }
//     assert(job.result() == 3);
template <typename R>
class Job {
    static_assert(!std::is_rvalue_reference_v<R>,
                  "asyncjob::Job<R>: R must be no rvalue reference");

  public:
    // Has no job, as one that was moved from.
    Job() noexcept = default;

    // Takes the callable, which resume() will run for the first time. Any that can be moved will
    // do; one that is passed as an rvalue is not copied. It is called as an rvalue, without
    // arguments, and destroyed in the job when it has ended.
    //
    // The context is for what the job waits for, and must outlive it.
    //
    // Throws std::bad_alloc, and what the callable's constructor throws.
    template <detail::Returns<R> Callable>
    Job(WaitContext& wait, Callable&& callable)
        : Job(wait.native_handle(), std::forward<Callable>(callable)) {}

    // The same with C's context, which may be NULL for a job that others know to resume.
    template <detail::Returns<R> Callable>
    Job(ASYNC_WAIT_CTX* wait, Callable&& callable)
        : core_(new detail::CoreOfCallable<R, std::decay_t<Callable>>(
              wait, std::forward<Callable>(callable))) {}

    // Starts the job, or goes on with it, until it pauses or ends. Returns true when it has
    // finished. An exception that leaves the callable leaves this call, and the job is done then.
    //
    // It may be called inside a job, in a catch block, and by destructors while frames unwind.
    //
    // Throws std::system_error, and nothing has been run, with Errc::
    // - no_job: this was moved from;
    // - job_not_paused: the job is done;
    // - job_running: this is called inside the job, or in one that it has started;
    // - foreign_thread: it was started by another thread;
    // - in_hook: this is called by a switch hook;
    // - at the first resume, after which it may be tried again: pool_is_full, when the thread has
    //   as many jobs as it may; no_memory, no_stack, no_guard, no_addresses, no_mappings,
    //   stack_too_small, not_capable, init_failed.
    //
    // Example:
    //     auto job = asyncjob::make_job(nullptr, []() -> int {
    //         asyncjob::pause();
    //         throw std::runtime_error("no answer");
    //     });
    //     assert(!job.resume());
    //     try {
    //         job.resume();
    //     } catch (const std::runtime_error& error) {
    //         assert(error.what() == std::string("no answer"));
    //     }
    //     assert(job.done());
    bool resume() { return core("asyncjob::Job::resume").resume(); }

    // Whether there is nothing left to resume: the job has finished, by whichever way, was
    // cancelled, or this is empty. In the job itself: no.
    //
    // Example:
    //     auto job = asyncjob::make_job(nullptr, [] {});
    //     assert(!job.done());
    //     job.resume();
    //     assert(job.done());
    [[nodiscard]] bool done() const noexcept { return core_ == nullptr || core_->is_done(); }

    // What the callable returned, moved out: once.
    //
    // Throws Cancelled if the job was cancelled and ended with that; an exception of the callable
    // that has not left through resume() or cancel(), as asyncjob_cancel_all() ended the job;
    // std::system_error with Errc::no_job, not_finished or no_result.
    //
    // Example:
    //     auto job = asyncjob::make_job(nullptr, [] { return std::make_unique<int>(7); });
    //     job.resume();
    //     const std::unique_ptr<int> seven = job.result();
    //     assert(*seven == 7);
    R result() {
        (void)core("asyncjob::Job::result");
        return core_->result();
    }

    // Cancels the job, if it is not done: pause() throws Cancelled in it, and this returns when
    // its frames have unwound. A job that was not started never will be. If the callable returns
    // in spite of it, there is a result(); an exception of its own leaves this call.
    //
    // Throws std::system_error, with the job as it was, and Errc::no_job, job_running,
    // foreign_thread or in_hook.
    //
    // Example:
    //     auto job = asyncjob::make_job(nullptr, [] {
    //         try {
    //             asyncjob::pause();
    //         } catch (const asyncjob::Cancelled&) {
    //             return -1;
    //         }
    //         return 0;
    //     });
    //     job.resume();
    //     job.cancel();
    //     assert(job.done() && job.result() == -1);
    void cancel() { core("asyncjob::Job::cancel").cancel(); }

    // What other threads wake the job by, while it is paused. (In the job itself see
    // this_job::handle().)
    //
    // Throws std::system_error with Errc::no_job, job_not_paused (not started, or done),
    // foreign_thread or no_memory.
    //
    // Example: see wake().
    [[nodiscard]] Handle handle() const {
        constexpr const char* what = "asyncjob::Job::handle";
        return detail::handle_of(core(what).handle(), Errc::job_not_paused, what);
    }

    // The job as C knows it and take_ready() lists it, from its first pause to its end; else NULL.
    // Resume it by this class alone.
    //
    // Example: see wake().
    [[nodiscard]] ASYNC_JOB* native_handle() const noexcept {
        return core_ != nullptr ? core_->handle() : nullptr;
    }

    // Whether it has a job, done or not.
    explicit operator bool() const noexcept { return core_ != nullptr; }

  private:
    [[nodiscard]] detail::Core& core(const char* member) const {
        if (core_ == nullptr) [[unlikely]]
            detail::fail(Errc::no_job, member);
        return *core_;
    }

    std::unique_ptr<detail::CoreOfResult<R>, detail::Core::Release> core_;
};

template <typename Callable>
Job(WaitContext&, Callable&&) -> Job<std::invoke_result_t<std::decay_t<Callable>>>;
template <typename Callable>
Job(ASYNC_WAIT_CTX*, Callable&&) -> Job<std::invoke_result_t<std::decay_t<Callable>>>;

// Makes a Job of a callable, as Job's constructor does: R is what the callable returns. The
// context is a WaitContext, or C's, or nullptr.
//
// Example:
//     asyncjob::WaitContext wait;
//     auto job = asyncjob::make_job(wait, [] { return 2.5; });
//     assert(job.resume() && job.result() == 2.5);
template <typename Callable>
[[nodiscard]] auto make_job(WaitContext& wait, Callable&& callable) {
    return Job(wait, std::forward<Callable>(callable));
}
template <typename Callable>
[[nodiscard]] auto make_job(ASYNC_WAIT_CTX* wait, Callable&& callable) {
    return Job(wait, std::forward<Callable>(callable));
}

}  // namespace cxx1
}  // namespace asyncjob

#endif
