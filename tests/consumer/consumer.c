/* SPDX-License-Identifier: Apache-2.0 */
/* The least that a user in C does: start, pause, resume, finish. */
#include <asyncjob/async.h>
#include <asyncjob/control.h>
#include <stdio.h>

static int add_up(void* args) {
    const int* numbers = (const int*)args;
    ASYNC_pause_job();
    return numbers[0] + numbers[1];
}

int main(void) {
    const int numbers[2] = {40, 2};
    ASYNC_JOB* job = NULL;
    int result = 0;
    int pauses = 0;
    int status;
    while ((status = ASYNC_start_job(&job, NULL, &result, add_up, (void*)numbers,
                                     sizeof(numbers))) == ASYNC_PAUSE)
        ++pauses;
    if (status != ASYNC_FINISH || pauses != 1 || result != 42) {
        fprintf(stderr, "%s\n", asyncjob_reason_string(asyncjob_last_reason()));
        return 1;
    }
    puts("consumer: 42");
    return 0;
}
