// SPDX-License-Identifier: Apache-2.0
// asyncjob/this_job.hpp: what code inside a job calls: it pauses, waits, keeps values of the job's
// own. All of it also works in a job that C code started with ASYNC_start_job(); such a job must
// catch Cancelled itself, as no exception may leave its function.
//
// Threads: each call is about the calling thread's current job. Next layer down:
// asyncjob/control.h.
#ifndef ASYNCJOB_THIS_JOB_HPP
#define ASYNCJOB_THIS_JOB_HPP

#include <algorithm>
#include <chrono>
#include <ctime>
#include <exception>
#include <memory>
#include <type_traits>

#include "control.h"
#include "error.hpp"
#include "wake.hpp"

namespace asyncjob {
inline namespace cxx1 {

// What pause() throws in a job that was cancelled, so that its frames unwind. It is no
// std::exception, so that code which handles those lets it pass; who catches it with `catch (...)`
// should throw it on. It is one type in all libraries of a process, those that hide their names
// too.
//
// Example:
//     bool is_cancelled = false;
//     auto job = asyncjob::make_job(nullptr, [&] {
//         try {
//             asyncjob::pause();
//         } catch (const asyncjob::Cancelled&) {
//             is_cancelled = true;
//             throw;
//         }
//     });
//     job.resume();
//     job.cancel();
//     assert(is_cancelled);
class __attribute__((visibility("default"))) Cancelled {};

namespace detail {

// Not while an exception is in flight: this is called by a destructor then, from which another
// must not leave.
[[gnu::cold, gnu::noinline]] inline void throw_cancelled() {
    if (std::uncaught_exceptions() == 0)
        throw Cancelled();
}

}  // namespace detail

// Pauses the current job: gives the thread back to the code that started or resumed it, and goes
// on when it is resumed again. Outside a job, and while pausing is blocked, it returns at once.
//
// Throws Cancelled when the job was cancelled, meanwhile or before, blocked or not: a job that has
// swallowed it gets it again from its next pause. While an exception is in flight it does not
// throw and returns at once instead, so that a destructor that pauses does not end the program
// while frames unwind. Elsewhere in destructors and other functions that must not throw, use
// try_pause().
//
// Example:
//     int steps = 0;
//     auto job = asyncjob::make_job(nullptr, [&] {
//         ++steps;
//         asyncjob::pause();
//         ++steps;
//     });
//     assert(!job.resume() && steps == 1);
//     assert(job.resume() && steps == 2);
inline void pause() {
    if (ASYNC_pause_job() == 0) [[unlikely]]
        detail::throw_cancelled();
}

// Pauses as pause() does, for code that must not throw: returns false, at once, when the job was
// cancelled, and true otherwise.
//
// Example:
//     struct Closes {
//         ~Closes() {
//             while (!is_closed && asyncjob::try_pause()) {
//             }
//         }
//         bool& is_closed;
//     };
//     bool is_closed = false;
//     auto job = asyncjob::make_job(nullptr, [&] { Closes closes{is_closed}; });
//     assert(!job.resume() && !job.resume());
//     is_closed = true;
//     assert(job.resume());
[[nodiscard]] inline bool try_pause() noexcept {
    return ASYNC_pause_job() != 0;
}

// Blocks pausing in the current job while it lives: pauses return at once. They nest. Does nothing
// outside a job. For code that holds what must not be held across a pause, a mutex say.
//
// Example:
//     std::mutex mutex;
//     auto job = asyncjob::make_job(nullptr, [&] {
//         const std::lock_guard lock(mutex);
//         const asyncjob::BlockPause block;
//         asyncjob::pause();  // in some function that is called here
//     });
//     assert(job.resume());
class [[nodiscard]] BlockPause {
  public:
    BlockPause() noexcept { ASYNC_block_pause(); }
    ~BlockPause() { ASYNC_unblock_pause(); }
    BlockPause(const BlockPause&) = delete;
    BlockPause& operator=(const BlockPause&) = delete;
};

// What a wait meant.
//
// Example: see this_job::wait().
enum class Resumed {
    cancelled = ASYNCJOB_CANCELLED,    // and an exception is in flight: else Cancelled is thrown
    resumed = ASYNCJOB_RESUMED,        // by Job::resume(), without a wake
    woken = ASYNCJOB_WOKEN,            // by wake()
    timed_out = ASYNCJOB_TIMED_OUT,    // the deadline has passed, without a wake
    blocked = ASYNCJOB_BLOCKED,        // it has not paused: BlockPause
    not_in_job = ASYNCJOB_NOT_IN_JOB,  // it has not paused: there is no job
};

namespace detail {

inline Resumed resumed(int meaning) {
    if (meaning == ASYNCJOB_CANCELLED) [[unlikely]]
        throw_cancelled();
    return static_cast<Resumed>(meaning);
}

// What nanoseconds cannot count becomes the nearest that they can, and no time is negative. The
// comparison is of doubles, as a number of hours may exceed what any other unit can count.
template <typename Rep, typename Period>
std::chrono::nanoseconds in_nanoseconds(std::chrono::duration<Rep, Period> time) {
    using std::chrono::nanoseconds;
    if (time <= time.zero())
        return nanoseconds::zero();
    if (std::chrono::duration<double>(time) >= std::chrono::duration<double>(nanoseconds::max()))
        return nanoseconds::max();
    return std::chrono::ceil<nanoseconds>(time);
}

// A job-local value of a type and a tag. Its key is made once, and kept for good; libraries that
// hide their names share it, too.
template <typename T, typename Tag>
struct __attribute__((visibility("default"))) Local {
    static void destroy(void* value) noexcept { delete static_cast<T*>(value); }

    static asyncjob_key key() {
        static const asyncjob_key made = [] {
            asyncjob_key fresh = 0;
            if (asyncjob_key_create(&fresh, destroy) == 0)
                fail("asyncjob::this_job::local");
            return fresh;
        }();
        return made;
    }

    [[gnu::cold, gnu::noinline]] static T* make() {
        if (ASYNC_get_current_job() == nullptr)
            fail(Errc::not_in_job, "asyncjob::this_job::local");
        auto value = std::make_unique<T>();
        if (asyncjob_set_local(key(), value.get()) == 0)
            fail("asyncjob::this_job::local");
        return value.release();
    }
};

}  // namespace detail

// About the job that the calling code is in.
namespace this_job {

// The current job as C knows it; NULL outside jobs.
//
// Example:
//     assert(asyncjob::this_job::current() == nullptr);
//     auto job = asyncjob::make_job(nullptr, [] { return asyncjob::this_job::current(); });
//     job.resume();
//     assert(job.result() != nullptr);
[[nodiscard]] inline ASYNC_JOB* current() noexcept {
    return ASYNC_get_current_job();
}

// What other threads wake the current job by.
//
// Throws std::system_error with Errc::not_in_job outside jobs, or Errc::no_memory.
//
// Example:
//     auto job = asyncjob::make_job(nullptr, [] {
//         std::thread worker([handle = asyncjob::this_job::handle()] { asyncjob::wake(handle); });
//         while (asyncjob::this_job::wait() != asyncjob::Resumed::woken) {
//         }
//         worker.join();
//     });
//     pollfd ready{asyncjob::ready_fd(), POLLIN, 0};
//     while (!job.resume())
//         poll(&ready, 1, -1);
[[nodiscard]] inline Handle handle() {
    return detail::handle_of(current(), Errc::not_in_job, "asyncjob::this_job::handle");
}

// Whether the current job was cancelled, for code that would otherwise retry or begin something
// new.
//
// Example:
//     bool was_cancelled = false;
//     auto job = asyncjob::make_job(nullptr, [&] {
//         (void)asyncjob::try_pause();
//         was_cancelled = asyncjob::this_job::cancelled();
//     });
//     job.resume();
//     job.cancel();
//     assert(was_cancelled);
[[nodiscard]] inline bool cancelled() noexcept {
    return asyncjob_cancelled() != 0;
}

// Whether pause() would pause: in a job that is not blocked and was not cancelled.
//
// Example:
//     assert(!asyncjob::this_job::can_pause());
[[nodiscard]] inline bool can_pause() noexcept {
    return asyncjob_can_pause() != 0;
}

// Pauses as pause() does, and tells what the pause meant. Returns Resumed::woken at once if the
// job was woken since its last wait. Throws Cancelled as pause() does.
//
// Example:
//     auto job = asyncjob::make_job(nullptr, [] { return asyncjob::this_job::wait(); });
//     job.resume();
//     job.resume();
//     assert(job.result() == asyncjob::Resumed::resumed);
inline Resumed wait() {
    return detail::resumed(asyncjob_pause());
}

// The same with a deadline: when it has passed, ready_fd() becomes readable and take_ready() lists
// the job. At once Resumed::timed_out if it has passed already.
//
// Throws Cancelled as pause() does; std::system_error with Errc::no_memory.
//
// Example:
//     auto job = asyncjob::make_job(nullptr, [] {
//         return asyncjob::this_job::wait_until(std::chrono::steady_clock::now());
//     });
//     assert(job.resume() && job.result() == asyncjob::Resumed::timed_out);
template <typename Duration>
Resumed wait_until(std::chrono::time_point<std::chrono::steady_clock, Duration> deadline) {
    // steady_clock is CLOCK_MONOTONIC, whose times are not negative.
    const auto time = detail::in_nanoseconds(deadline.time_since_epoch());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    timespec at{};
    at.tv_sec = static_cast<std::time_t>(seconds.count());
    at.tv_nsec = static_cast<long>((time - seconds).count());
    const int meaning = asyncjob_pause_until(&at);
    if (meaning == ASYNCJOB_PAUSE_FAILED)
        detail::fail("asyncjob::this_job::wait_until");
    return detail::resumed(meaning);
}

// The same with the time from now.
//
// Example:
//     auto job = asyncjob::make_job(nullptr, [] {
//         return asyncjob::this_job::wait_for(std::chrono::milliseconds(1));
//     });
//     pollfd ready{asyncjob::ready_fd(), POLLIN, 0};
//     ASYNC_JOB* jobs[1];
//     assert(!job.resume());
//     while (asyncjob::take_ready(jobs) == 0)
//         poll(&ready, 1, -1);
//     assert(jobs[0] == job.native_handle());
//     assert(job.resume() && job.result() == asyncjob::Resumed::timed_out);
template <typename Rep, typename Period>
Resumed wait_for(std::chrono::duration<Rep, Period> time) {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::nanoseconds longest = std::chrono::steady_clock::time_point::max() - now;
    return wait_until(now + std::min(detail::in_nanoseconds(time), longest));
}

// The current job's value of this type: made by T() when the job first asks, destroyed when the
// job ends, cancelled or not, off its stack and with pausing blocked. A Tag tells several of a
// type apart. At most ASYNCJOB_KEYS_MAX types can be in use in a process.
//
// Throws std::system_error with Errc::not_in_job outside jobs, no_key or no_memory; and what T()
// throws.
//
// Example:
//     struct Span {
//         std::string name = "none";
//     };
//     auto job = asyncjob::make_job(nullptr, [] {
//         asyncjob::this_job::local<Span>().name = "parse";
//         asyncjob::pause();
//         return asyncjob::this_job::local<Span>().name;
//     });
//     job.resume();
//     job.resume();
//     assert(job.result() == "parse");
template <typename T, typename Tag = void>
[[nodiscard]] T& local() {
    static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T>,
                  "asyncjob::this_job::local<T>(): T must be the type of an object, not const");
    using Local = detail::Local<T, Tag>;
    void* const value = asyncjob_get_local(Local::key());
    return *(value != nullptr ? static_cast<T*>(value) : Local::make());
}

}  // namespace this_job
}  // namespace cxx1
}  // namespace asyncjob

#endif
