// SPDX-License-Identifier: Apache-2.0
// For CPUs without a short way in assembly: all calls go the long one. Contract: short.hpp.
#include "arch/short.hpp"

int ASYNC_start_job(ASYNC_JOB** job, ASYNC_WAIT_CTX* ctx, int* ret, int (*func)(void*), void* args,
                    size_t size) {
    return asyncjob_start_or_resume(job, ctx, ret, func, args, size);
}

int ASYNC_pause_job(void) {
    return asyncjob_pause_long();
}
