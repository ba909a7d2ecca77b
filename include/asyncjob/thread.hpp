// SPDX-License-Identifier: Apache-2.0
// asyncjob/thread.hpp: what a thread's jobs are like, and how many there may be.
//
// Threads: each call is about the calling one. Next layer down: asyncjob/control.h.
#ifndef ASYNCJOB_THREAD_HPP
#define ASYNCJOB_THREAD_HPP

#include <cstddef>
#include <optional>

#include "control.h"
#include "error.hpp"

namespace asyncjob {
inline namespace cxx1 {

// What lies below a job's stack.
//
// Example: see ThreadPoolOptions.
enum class Guard {
    none = ASYNCJOB_GUARD_NONE,  // another job's stack, maybe
    each = ASYNCJOB_GUARD_EACH,  // memory that nobody may touch; the default
};

// Options of a thread's jobs, for init_thread(). Those without a value stay as they are, at first
// as asyncjob_init_thread(3) says.
//
// Example:
//     asyncjob::ThreadPoolOptions options;
//     options.stack_size = 32 * 1024;
//     options.guard = asyncjob::Guard::each;
//     asyncjob::init_thread(options);
//     assert(asyncjob::thread_options().stack_size == 32 * 1024);
//     asyncjob::cleanup_thread();
struct ThreadPoolOptions {
    std::optional<std::size_t> max_jobs = {};         // at once, idle ones included; 0: no limit
    std::optional<std::size_t> prepared_jobs = {};    // idle ones made at once
    std::optional<std::size_t> stack_size = {};       // bytes that a job's frames may use
    std::optional<std::size_t> idle_high_water = {};  // idle jobs that are kept
    std::optional<Guard> guard = {};
    std::optional<bool> stamp_pauses = {};  // for the ages of asyncjob_dump()
};

namespace detail {

inline asyncjob_thread_options native_thread_options(const char* what) {
    asyncjob_thread_options native{};
    if (asyncjob_get_thread_options(&native, sizeof native) == 0)
        fail(what);
    return native;
}

}  // namespace detail

// The calling thread's options, each with its value.
//
// Example:
//     assert(asyncjob::thread_options().guard == asyncjob::Guard::each);
[[nodiscard]] inline ThreadPoolOptions thread_options() {
    const auto native = detail::native_thread_options("asyncjob::thread_options");
    ThreadPoolOptions options;
    options.max_jobs = native.max_jobs;
    options.prepared_jobs = native.prepared_jobs;
    options.stack_size = native.stack_size;
    options.idle_high_water = native.idle_high_water;
    options.guard = static_cast<Guard>(native.guard);
    options.stamp_pauses = native.stamp_pauses != 0;
    return options;
}

// Sets the calling thread's options, and makes the idle jobs that are missing. While jobs of the
// thread are running or paused, stack_size and guard must stay as they are.
//
// Throws std::system_error, with the options as they were, and Errc::invalid_pool_size
// (prepared_jobs exceeds max_jobs), invalid_stack_size, invalid_option, jobs_in_flight; or why a
// job could not be made: no_memory, no_stack, no_guard, no_addresses, no_mappings,
// stack_too_small, not_capable, init_failed.
//
// Example:
//     asyncjob::init_thread({.max_jobs = 2, .prepared_jobs = 1});
//     auto pauses = [] { asyncjob::pause(); };
//     auto first = asyncjob::make_job(nullptr, pauses);
//     auto second = asyncjob::make_job(nullptr, pauses);
//     auto third = asyncjob::make_job(nullptr, pauses);
//     first.resume();
//     second.resume();
//     try {
//         third.resume();
//     } catch (const std::system_error& error) {
//         assert(error.code() == asyncjob::Errc::pool_is_full);
//     }
//     first.resume();
//     assert(!third.resume());  // there is room again
//     asyncjob::cleanup_thread();
inline void init_thread(const ThreadPoolOptions& options) {
    auto native = detail::native_thread_options("asyncjob::init_thread");
    native.max_jobs = options.max_jobs.value_or(native.max_jobs);
    native.prepared_jobs = options.prepared_jobs.value_or(native.prepared_jobs);
    native.stack_size = options.stack_size.value_or(native.stack_size);
    native.idle_high_water = options.idle_high_water.value_or(native.idle_high_water);
    native.guard = static_cast<int>(options.guard.value_or(static_cast<Guard>(native.guard)));
    native.stamp_pauses = options.stamp_pauses.value_or(native.stamp_pauses != 0) ? 1 : 0;
    if (asyncjob_init_thread(&native) == 0)
        detail::fail("asyncjob::init_thread");
}

// The same with the two options that ASYNC_init_thread() has.
//
// Example:
//     asyncjob::init_thread(100, 10);
//     assert(asyncjob::thread_options().max_jobs == 100);
//     asyncjob::cleanup_thread();
inline void init_thread(std::size_t max_jobs, std::size_t prepared_jobs) {
    if (ASYNC_init_thread(max_jobs, prepared_jobs) == 0)
        detail::fail("asyncjob::init_thread");
}

// Frees the calling thread's idle jobs, and makes its options those of the default. Paused jobs
// are kept. Happens by itself when the thread ends.
//
// Example: see init_thread().
inline void cleanup_thread() noexcept {
    ASYNC_cleanup_thread();
}

}  // namespace cxx1
}  // namespace asyncjob

#endif
