// SPDX-License-Identifier: Apache-2.0
// asyncjob/error.hpp: how the C++ interface fails: by std::system_error, whose codes are the
// library's reasons (ASYNC_R_* and ASYNCJOB_R_* of the C headers) and a few of its own.
//
// Threads: any. Next layer down: asyncjob/control.h.
#ifndef ASYNCJOB_ERROR_HPP
#define ASYNCJOB_ERROR_HPP

#if __cplusplus < 201709L
#error "asyncjob's C++ headers need C++20: compile with -std=c++20"
#endif

#include <cstddef>
#include <new>
#include <string>
#include <system_error>
#include <type_traits>

#include "control.h"

namespace asyncjob {
// What is compiled into a program from these headers has names that no other version of them has,
// and that the insides of libasyncjob.a do not have.
inline namespace cxx1 {

// What can go wrong, to be compared with a std::error_code. Each is the reason of the same name in
// asyncjob/control.h or asyncjob/async.h, but for the last three, which only Job's members give.
//
// Example:
//     asyncjob::Job<int> job;
//     try {
//         job.resume();
//     } catch (const std::system_error& error) {
//         assert(error.code() == asyncjob::Errc::no_job);
//     }
enum class Errc {
    invalid_pool_size = ASYNC_R_INVALID_POOL_SIZE,
    init_failed = ASYNC_R_INIT_FAILED,
    null_argument = ASYNCJOB_R_NULL_ARGUMENT,
    job_not_paused = ASYNCJOB_R_JOB_NOT_PAUSED,
    job_running = ASYNCJOB_R_JOB_RUNNING,
    foreign_thread = ASYNCJOB_R_FOREIGN_THREAD,
    no_memory = ASYNCJOB_R_NO_MEMORY,
    no_stack = ASYNCJOB_R_NO_STACK,
    no_guard = ASYNCJOB_R_NO_GUARD,
    stack_too_small = ASYNCJOB_R_STACK_TOO_SMALL,
    not_capable = ASYNCJOB_R_NOT_CAPABLE,
    stale_handle = ASYNCJOB_R_STALE_HANDLE,
    no_fd = ASYNCJOB_R_NO_FD,
    no_key = ASYNCJOB_R_NO_KEY,
    not_in_job = ASYNCJOB_R_NOT_IN_JOB,
    in_hook = ASYNCJOB_R_IN_HOOK,
    pool_is_full = ASYNCJOB_R_POOL_IS_FULL,
    no_addresses = ASYNCJOB_R_NO_ADDRESSES,
    no_mappings = ASYNCJOB_R_NO_MAPPINGS,
    invalid_struct_size = ASYNCJOB_R_INVALID_STRUCT_SIZE,
    invalid_stack_size = ASYNCJOB_R_INVALID_STACK_SIZE,
    invalid_option = ASYNCJOB_R_INVALID_OPTION,
    jobs_in_flight = ASYNCJOB_R_JOBS_IN_FLIGHT,
    shadow_stack = ASYNCJOB_R_SHADOW_STACK,
    no_job = 10001,        // an empty Job: moved from, or never given a callable
    not_finished = 10002,  // the result of a job that is not done
    no_result = 10003,     // it was taken, or an exception left in its place
};

namespace detail {

class ErrorCategory final : public std::error_category {
  public:
    [[nodiscard]] const char* name() const noexcept override { return "asyncjob"; }

    [[nodiscard]] std::string message(int code) const override {
        switch (static_cast<Errc>(code)) {
            case Errc::job_not_paused:
                return "the job is not paused: it has finished, or has not been started";
            case Errc::no_job:
                return "this Job is empty: it was moved from, or never given a callable";
            case Errc::not_finished:
                return "the job has not finished: resume it until it is done";
            case Errc::no_result:
                return "the job has no result to give: it was taken before, or an exception left "
                       "in its place";
            default:
                return asyncjob_reason_string(code);
        }
    }

    [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
        switch (static_cast<Errc>(code)) {
            case Errc::no_memory:
            case Errc::no_stack:
            case Errc::no_addresses:
            case Errc::no_mappings:
                return std::errc::not_enough_memory;
            case Errc::pool_is_full:
                return std::errc::resource_unavailable_try_again;
            case Errc::not_capable:
                return std::errc::function_not_supported;
            case Errc::no_fd:
                return std::errc::too_many_files_open;
            case Errc::invalid_pool_size:
            case Errc::invalid_stack_size:
            case Errc::invalid_option:
            case Errc::null_argument:
                return std::errc::invalid_argument;
            default:
                return {code, *this};
        }
    }
};

}  // namespace detail

// The category of the codes, by the name "asyncjob", the same in all libraries of a process. Some
// codes are equal to a condition of the system, such as std::errc::not_enough_memory and, when a
// thread has as many jobs as it may, std::errc::resource_unavailable_try_again.
//
// Example:
//     const std::error_code code(ASYNCJOB_R_NO_MEMORY, asyncjob::error_category());
//     assert(code == asyncjob::Errc::no_memory && code == std::errc::not_enough_memory);
[[nodiscard, gnu::visibility("default")]] inline const std::error_category&
error_category() noexcept {
    // Never destroyed: it is good while static objects are.
    alignas(detail::ErrorCategory) static std::byte place[sizeof(detail::ErrorCategory)];
    static const auto* const category = ::new (static_cast<void*>(place)) detail::ErrorCategory();
    return *category;
}

// Lets a std::error_code be made of an Errc.
//
// Example:
//     const std::error_code code = asyncjob::Errc::foreign_thread;
//     assert(code.value() == ASYNCJOB_R_FOREIGN_THREAD);
//     assert(code == asyncjob::make_error_code(asyncjob::Errc::foreign_thread));
[[nodiscard]] inline std::error_code make_error_code(Errc code) noexcept {
    return {static_cast<int>(code), error_category()};
}

namespace detail {

[[noreturn, gnu::cold, gnu::noinline]] inline void fail(Errc code, const char* what) {
    throw std::system_error(make_error_code(code), what);
}

// After a call of the library that has failed.
[[noreturn, gnu::cold, gnu::noinline]] inline void fail(const char* what) {
    throw std::system_error(asyncjob_last_reason(), error_category(), what);
}

}  // namespace detail
}  // namespace cxx1
}  // namespace asyncjob

template <>
struct std::is_error_code_enum<asyncjob::Errc> : std::true_type {};

#endif
