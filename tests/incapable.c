/* SPDX-License-Identifier: Apache-2.0 */
/*
 * S9 on a platform without any way to switch stacks: the calls
 * link, say so, and the wait contexts work all the same.
 */
#include <asyncjob/async.h>
#include <asyncjob/control.h>
#include <stdio.h>

static int never_run(void* args) {
    (void)args;
    return 1;
}

#define EXPECT(condition)                                                   \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            return 1;                                                       \
        }                                                                   \
    } while (0)

int main(void) {
    ASYNC_JOB* job = NULL;
    int result = 7;
    OSSL_ASYNC_FD fd = OSSL_BAD_ASYNC_FD;

    EXPECT(ASYNC_is_capable() == 0);
    EXPECT(ASYNC_start_job(&job, NULL, &result, never_run, NULL, 0) == ASYNC_ERR);
    EXPECT(asyncjob_last_reason() == ASYNCJOB_R_NOT_CAPABLE);
    EXPECT(job == NULL && result == 7);
    EXPECT(ASYNC_init_thread(1, 1) == 0);
    EXPECT(ASYNC_pause_job() == 1);
    EXPECT(ASYNC_get_current_job() == NULL);
    EXPECT(asyncjob_share_fp_mode(1) == -1);
    ASYNC_cleanup_thread();

    ASYNC_WAIT_CTX* wait = ASYNC_WAIT_CTX_new();
    EXPECT(wait != NULL);
    EXPECT(ASYNC_WAIT_CTX_set_wait_fd(wait, &fd, 3, NULL, NULL) == 1);
    EXPECT(ASYNC_WAIT_CTX_get_fd(wait, &fd, &fd, NULL) == 1 && fd == 3);
    ASYNC_WAIT_CTX_free(wait);
    puts("incapable: every call answers as it should");
    return 0;
}
