// SPDX-License-Identifier: Apache-2.0
// Why a call failed: the result type of everything inside the library that can fail. Only
// capi.cpp and thread_state.cpp turn one into a raised error, through host.hpp.
//
// The numbers are the public codes of <openssl/asyncerr.h> and asyncjob/control.h.
#pragma once

#include "api.hpp"

namespace asyncjob {

enum class [[nodiscard]] Reason : int{
    none = 0,
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
    invalid_status = ASYNCJOB_R_INVALID_STATUS,
    stacks_in_use = ASYNCJOB_R_STACKS_IN_USE,
    stale_handle = ASYNCJOB_R_STALE_HANDLE,
    invalid_deadline = ASYNCJOB_R_INVALID_DEADLINE,
    no_fd = ASYNCJOB_R_NO_FD,
    no_key = ASYNCJOB_R_NO_KEY,
    invalid_key = ASYNCJOB_R_INVALID_KEY,
    not_in_job = ASYNCJOB_R_NOT_IN_JOB,
    in_job = ASYNCJOB_R_IN_JOB,
    in_hook = ASYNCJOB_R_IN_HOOK,
    no_hooks = ASYNCJOB_R_NO_HOOKS,
    pool_is_full = ASYNCJOB_R_POOL_IS_FULL,
    no_addresses = ASYNCJOB_R_NO_ADDRESSES,
    no_mappings = ASYNCJOB_R_NO_MAPPINGS,
    invalid_struct_size = ASYNCJOB_R_INVALID_STRUCT_SIZE,
    invalid_stack_size = ASYNCJOB_R_INVALID_STACK_SIZE,
    invalid_option = ASYNCJOB_R_INVALID_OPTION,
    jobs_in_flight = ASYNCJOB_R_JOBS_IN_FLIGHT,
    shadow_stack = ASYNCJOB_R_SHADOW_STACK,
};

}  // namespace asyncjob
