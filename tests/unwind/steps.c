/* SPDX-License-Identifier: Apache-2.0 */
/* A start, a pause, a resume and an end in each way, for steps.py to go through. The registers
   that frames are found by have values that no frame has. */
#include <asyncjob/async.h>
#include <errno.h>

static int pause_once(void* args) {
    (void)args;
    ASYNC_pause_job();
    return 0;
}

/* More often than a job is resumed as a young one. */
static int pause_often(void* args) {
    (void)args;
    for (int i = 0; i < 18; ++i)
        ASYNC_pause_job();
    return 0;
}

static int finish(void* args) {
    (void)args;
    return 0;
}

int main(void) {
    ASYNC_JOB* job = NULL;
    int result = 0;
    ASYNC_start_job(&job, NULL, &result, finish, NULL, 0); /* makes the job */
    ASYNC_start_job(&job, NULL, &result, finish, NULL, 0); /* steps begin here */
    ASYNC_start_job(&job, NULL, &result, pause_once, NULL, 0);
    ASYNC_start_job(&job, NULL, &result, NULL, NULL, 0);
    ASYNC_start_job(&job, NULL, &result, pause_once, NULL, 0);
    errno = 5; /* the two sides' differ */
    ASYNC_start_job(&job, NULL, &result, NULL, NULL, 0);
    ASYNC_start_job(&job, NULL, &result, pause_often, NULL, 0);
    while (job != NULL) {
        errno = errno == 5 ? 6 : 5;
        ASYNC_start_job(&job, NULL, &result, NULL, NULL, 0);
    }
    return 0; /* steps end here */
}
