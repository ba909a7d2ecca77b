/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One part of the program that mixes the headers: the same functions compiled against
 * OpenSSL's header, ours, and both in either order, as C and as C++; headers_test.cpp starts
 * jobs in one part that run in another. PART is the part's name, HEADERS one of the numbers.
 */
#define OPENSSLS 1
#define OURS 2
#define OPENSSLS_THEN_OURS 3
#define OURS_THEN_OPENSSLS 4

#if HEADERS == OPENSSLS || HEADERS == OPENSSLS_THEN_OURS
#include <openssl/async.h>
#ifndef OPENSSL_ASYNCERR_H
#error "this is not OpenSSL's header"
#endif
#endif
#if HEADERS != OPENSSLS
#include <asyncjob/async.h>
#endif
#if HEADERS == OURS_THEN_OPENSSLS
#include <openssl/async.h>
#endif
#if (HEADERS == OURS || HEADERS == OURS_THEN_OPENSSLS) && defined(OPENSSL_ASYNCERR_H)
#error "this is not our header"
#endif

#include "parts.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

#ifdef __cplusplus
#define STATIC_ASSERT static_assert
#else
#define STATIC_ASSERT _Static_assert
#endif

STATIC_ASSERT(ASYNC_ERR == 0 && ASYNC_NO_JOBS == 1 && ASYNC_PAUSE == 2 && ASYNC_FINISH == 3,
              "results are part of the ABI");
STATIC_ASSERT(ASYNC_STATUS_UNSUPPORTED == 0 && ASYNC_STATUS_ERR == 1 && ASYNC_STATUS_OK == 2 &&
                  ASYNC_STATUS_EAGAIN == 3,
              "statuses are part of the ABI");
STATIC_ASSERT(OSSL_BAD_ASYNC_FD == -1 && sizeof(OSSL_ASYNC_FD) == sizeof(int),
              "fds are part of the ABI");
STATIC_ASSERT(ASYNC_R_FAILED_TO_SET_POOL == 101 && ASYNC_R_FAILED_TO_SWAP_CONTEXT == 102 &&
                  ASYNC_R_INVALID_POOL_SIZE == 103 && ASYNC_R_INIT_FAILED == 105,
              "reasons are part of the ABI");

static int start(ASYNC_JOB** job, ASYNC_WAIT_CTX* ctx, int* result, int (*function)(void*)) {
    return ASYNC_start_job(job, ctx, result, function, NULL, 0);
}

/* Sets a callback and an fd, pauses, and returns how many of its checks held: 3. */
static int function(void* args) {
    ASYNC_WAIT_CTX* const ctx = ASYNC_get_wait_ctx(ASYNC_get_current_job());
    OSSL_ASYNC_FD fd = OSSL_BAD_ASYNC_FD;
    void* data = NULL;
    int held = args == NULL;
    ASYNC_WAIT_CTX_set_wait_fd(ctx, &fd, 10, &data, NULL);
    held += ASYNC_pause_job();
    held += ASYNC_WAIT_CTX_get_fd(ctx, &fd, &fd, &data) == 1 && fd == 10 &&
            ASYNC_WAIT_CTX_clear_fd(ctx, &fd) == 1;
    return held;
}

#if HEADERS != OPENSSLS
/* What OpenSSL 3.0's header lacks is there behind it too. */
static int has_stack_functions(void) {
    ASYNC_stack_alloc_fn allocate = NULL;
    ASYNC_stack_free_fn release = NULL;
    ASYNC_get_mem_functions(&allocate, &release);
    return allocate != NULL && release != NULL;
}
#else
static int has_stack_functions(void) {
    return 1;
}
#endif

#ifdef __cplusplus
/* Has a C++ name: links only where both sides mean the same types. */
ASYNC_JOB* JOIN(same_types_, PART)(ASYNC_JOB* job, ASYNC_WAIT_CTX*, ASYNC_callback_fn,
                                   OSSL_ASYNC_FD);
ASYNC_JOB* JOIN(same_types_, PART)(ASYNC_JOB* job, ASYNC_WAIT_CTX*, ASYNC_callback_fn,
                                   OSSL_ASYNC_FD) {
    return job;
}

extern "C" const struct Part JOIN(part_, PART);
#endif
const struct Part JOIN(part_, PART) = {PART_NAME, start, function, has_stack_functions};
