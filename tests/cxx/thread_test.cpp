// SPDX-License-Identifier: Apache-2.0
// Options of a thread (thread.hpp) and errors (error.hpp) in C++.
#include <array>
#include <utility>

#include "support.hpp"

namespace test {
namespace {

using asyncjob::Errc;

TEST(ThreadPoolOptions, SetWhatHasAValueAndLeaveTheRest) {
    const auto before = asyncjob::thread_options();
    asyncjob::init_thread({.max_jobs = 20, .stack_size = 64 * 1024});
    asyncjob::init_thread({.prepared_jobs = 2, .guard = asyncjob::Guard::none});
    const auto options = asyncjob::thread_options();
    EXPECT_EQ(options.max_jobs, 20U);
    EXPECT_EQ(options.prepared_jobs, 2U);
    EXPECT_EQ(options.stack_size, 64U * 1024);
    EXPECT_EQ(options.idle_high_water, before.idle_high_water);
    EXPECT_EQ(options.guard, asyncjob::Guard::none);
    EXPECT_EQ(options.stamp_pauses, false);
    asyncjob::init_thread({.idle_high_water = 5, .stamp_pauses = true});
    EXPECT_EQ(asyncjob::thread_options().idle_high_water, 5U);
    EXPECT_EQ(asyncjob::thread_options().stamp_pauses, true);
    asyncjob::init_thread({.stamp_pauses = false});
    EXPECT_EQ(asyncjob::thread_options().stamp_pauses, false);
    asyncjob::cleanup_thread();
    EXPECT_EQ(asyncjob::thread_options().max_jobs, before.max_jobs);
    EXPECT_EQ(asyncjob::thread_options().guard, before.guard);
}

TEST(ThreadPoolOptions, ThatAreRefusedChangeNothingAndSayWhy) {
    asyncjob::init_thread({.max_jobs = 20});
    EXPECT_EQ(code_of([] { asyncjob::init_thread({.max_jobs = 1, .prepared_jobs = 2}); }),
              Errc::invalid_pool_size);
    EXPECT_EQ(code_of([] { asyncjob::init_thread({.stack_size = 1}); }), Errc::invalid_stack_size);
    EXPECT_EQ(code_of([] { asyncjob::init_thread({.guard = static_cast<asyncjob::Guard>(7)}); }),
              Errc::invalid_option);
    EXPECT_EQ(code_of([] { asyncjob::init_thread(1, 2); }), Errc::invalid_pool_size);
    auto job = asyncjob::make_job(nullptr, [] { asyncjob::pause(); });
    job.resume();
    EXPECT_EQ(code_of([] { asyncjob::init_thread({.stack_size = 32 * 1024}); }),
              Errc::jobs_in_flight);
    EXPECT_EQ(asyncjob::thread_options().max_jobs, 20U);
    job.resume();
    asyncjob::cleanup_thread();
}

// Each reason of the C headers, by its name there.
TEST(Errc, HasTheReasonsOfTheCHeaders) {
    constexpr std::array<std::pair<Errc, int>, 24> reasons{{
        {Errc::invalid_pool_size, ASYNC_R_INVALID_POOL_SIZE},
        {Errc::init_failed, ASYNC_R_INIT_FAILED},
        {Errc::null_argument, ASYNCJOB_R_NULL_ARGUMENT},
        {Errc::job_not_paused, ASYNCJOB_R_JOB_NOT_PAUSED},
        {Errc::job_running, ASYNCJOB_R_JOB_RUNNING},
        {Errc::foreign_thread, ASYNCJOB_R_FOREIGN_THREAD},
        {Errc::no_memory, ASYNCJOB_R_NO_MEMORY},
        {Errc::no_stack, ASYNCJOB_R_NO_STACK},
        {Errc::no_guard, ASYNCJOB_R_NO_GUARD},
        {Errc::stack_too_small, ASYNCJOB_R_STACK_TOO_SMALL},
        {Errc::not_capable, ASYNCJOB_R_NOT_CAPABLE},
        {Errc::stale_handle, ASYNCJOB_R_STALE_HANDLE},
        {Errc::no_fd, ASYNCJOB_R_NO_FD},
        {Errc::no_key, ASYNCJOB_R_NO_KEY},
        {Errc::not_in_job, ASYNCJOB_R_NOT_IN_JOB},
        {Errc::in_hook, ASYNCJOB_R_IN_HOOK},
        {Errc::pool_is_full, ASYNCJOB_R_POOL_IS_FULL},
        {Errc::no_addresses, ASYNCJOB_R_NO_ADDRESSES},
        {Errc::no_mappings, ASYNCJOB_R_NO_MAPPINGS},
        {Errc::invalid_struct_size, ASYNCJOB_R_INVALID_STRUCT_SIZE},
        {Errc::invalid_stack_size, ASYNCJOB_R_INVALID_STACK_SIZE},
        {Errc::invalid_option, ASYNCJOB_R_INVALID_OPTION},
        {Errc::jobs_in_flight, ASYNCJOB_R_JOBS_IN_FLIGHT},
        {Errc::shadow_stack, ASYNCJOB_R_SHADOW_STACK},
    }};
    for (const auto& [code, reason] : reasons) {
        EXPECT_EQ(std::error_code(code), std::error_code(reason, asyncjob::error_category()));
        if (code != Errc::job_not_paused) {  // the C reason tells what to do with C's handle
            EXPECT_EQ(std::error_code(code).message(), asyncjob_reason_string(reason));
        }
    }
}

TEST(Errc, HasAMessageForEachOfItsOwn) {
    const std::string unknown = asyncjob_reason_string(-1);
    for (const Errc code : {Errc::no_job, Errc::not_finished, Errc::no_result}) {
        EXPECT_NE(std::error_code(code).message(), unknown);
        // And no reason of the library has the same number.
        EXPECT_EQ(asyncjob_reason_string(static_cast<int>(code)), unknown);
    }
    EXPECT_STREQ(asyncjob::error_category().name(), "asyncjob");
}

TEST(Errc, IsEqualToWhatTheSystemCallsIt) {
    EXPECT_EQ(std::error_code(Errc::no_memory), std::errc::not_enough_memory);
    EXPECT_EQ(std::error_code(Errc::no_addresses), std::errc::not_enough_memory);
    EXPECT_EQ(std::error_code(Errc::pool_is_full), std::errc::resource_unavailable_try_again);
    EXPECT_EQ(std::error_code(Errc::not_capable), std::errc::function_not_supported);
    EXPECT_EQ(std::error_code(Errc::no_fd), std::errc::too_many_files_open);
    EXPECT_EQ(std::error_code(Errc::invalid_option), std::errc::invalid_argument);
    EXPECT_NE(std::error_code(Errc::job_running), std::errc::invalid_argument);
    EXPECT_NE(std::error_code(Errc::foreign_thread), Errc::job_running);
}

}  // namespace
}  // namespace test
