/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello_job: one job that pauses until a pipe has something to read, and the loop that
 * resumes it. Build: cc hello_job.c -lasyncjob
 */
#include <asyncjob/async.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

/* The job: blocking-style code. It asks, pauses until there is an answer, and goes on. */
static int greet(void* args) {
    const int pipe_out = *(int*)args;
    ASYNC_WAIT_CTX* wait = ASYNC_get_wait_ctx(ASYNC_get_current_job());
    char name[16] = "";
    printf("job:  who is there? I wait.\n");
    ASYNC_WAIT_CTX_set_wait_fd(wait, args, pipe_out, NULL, NULL); /* resume me when readable */
    ASYNC_pause_job();                                            /* back to main() */
    ASYNC_WAIT_CTX_clear_fd(wait, args);
    const int length = (int)read(pipe_out, name, sizeof name - 1);
    printf("job:  hello, %s!\n", name);
    return length;
}

int main(void) {
    int ends[2];
    ASYNC_WAIT_CTX* wait = ASYNC_WAIT_CTX_new();
    if (wait == NULL || pipe(ends) != 0)
        return 1;

    ASYNC_JOB* job = NULL; /* NULL starts a job; a pause stores its handle here */
    int result = 0;
    int status = ASYNC_start_job(&job, wait, &result, greet, &ends[0], sizeof ends[0]);
    while (status == ASYNC_PAUSE) {
        printf("main: the job paused; this thread is free for other work.\n");
        if (write(ends[1], "world", 5) != 5)
            return 1;

        struct pollfd ready = {.events = POLLIN};
        size_t count = 1;
        ASYNC_WAIT_CTX_get_all_fds(wait, &ready.fd, &count); /* what the job waits for */
        poll(&ready, 1, -1);
        status = ASYNC_start_job(&job, wait, &result, NULL, NULL, 0); /* resume it */
    }

    printf("main: %s, the job returned %d.\n", status == ASYNC_FINISH ? "finished" : "failed",
           result);
    ASYNC_WAIT_CTX_free(wait);
    close(ends[0]);
    close(ends[1]);
    return status == ASYNC_FINISH ? 0 : 1;
}
