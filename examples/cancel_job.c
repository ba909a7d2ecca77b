/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cancel_job: a job that waits for an answer which does not come, and its owner, who gives up on
 * it: the job's own code frees what it holds. Build: cc cancel_job.c -lasyncjob
 */
#include <asyncjob/async.h>
#include <asyncjob/control.h>
#include <stdio.h>
#include <stdlib.h>

static int ask(void* args) {
    const int* answer = *(int**)args;
    char* question = malloc(16);
    if (question == NULL)
        return -1;
    snprintf(question, 16, "who is there?");
    while (*answer == 0) {
        printf("job:  %s I wait.\n", question);
        if (ASYNC_pause_job() == 0)
            break; /* cancelled: further pauses return 0 at once */
    }
    printf("job:  %s\n", asyncjob_cancelled() ? "never mind." : "hello!");
    free(question);
    return *answer;
}

int main(void) {
    static int answer = 0;
    int* args = &answer;
    ASYNC_JOB* job = NULL;
    int result = 0;
    int status = ASYNC_start_job(&job, NULL, &result, ask, &args, sizeof args);
    for (int turn = 0; turn < 2 && status == ASYNC_PAUSE; ++turn)
        status = ASYNC_start_job(&job, NULL, &result, NULL, NULL, 0);
    if (status == ASYNC_PAUSE) {
        printf("main: nobody answers.\n");
        status = asyncjob_cancel(&job, &result);
    }
    printf("main: %s.\n", status == ASYNC_FINISH ? "finished" : "failed");
    return status == ASYNC_FINISH ? 0 : 1;
}
