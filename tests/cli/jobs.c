/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does with jobs what its arguments say, in pairs of a word and a number, so that a test knows
 * what the report has to have:
 *   finish N   starts N jobs at once and finishes them
 *   cancel N   the same, but cancels them
 *   leave N    leaves N jobs paused
 *   refuse N   has N starts refused
 *   thread N   has a thread leave N jobs behind
 *   fork N     has a child finish N jobs and exit, and waits for it
 *   chdir DIR  goes to another folder
 *   _exit N, abort N   end without exit()
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asyncjob/async.h>
#include <asyncjob/control.h>

#define MOST 100

static int pause_once(void* args) {
    (void)args;
    return ASYNC_pause_job();
}

static void expect(int status, int expected) {
    if (status != expected) {
        fprintf(stderr, "jobs: status %d, not %d\n", status, expected);
        exit(9);
    }
}

static void start(ASYNC_JOB** jobs, long count) {
    long i = 0;
    int result = 0;
    for (i = 0; i < count; ++i) {
        jobs[i] = NULL;
        expect(ASYNC_start_job(&jobs[i], NULL, &result, pause_once, NULL, 0), ASYNC_PAUSE);
    }
}

static void finish(long count) {
    ASYNC_JOB* jobs[MOST];
    int result = 0;
    start(jobs, count);
    while (count-- > 0)
        expect(ASYNC_start_job(&jobs[count], NULL, &result, NULL, NULL, 0), ASYNC_FINISH);
}

static void cancel(long count) {
    ASYNC_JOB* jobs[MOST];
    int result = 0;
    start(jobs, count);
    while (count-- > 0)
        expect(asyncjob_cancel(&jobs[count], &result), ASYNC_FINISH);
}

static void leave(long count) {
    ASYNC_JOB* jobs[MOST];
    start(jobs, count);
}

static void refuse(long count) {
    ASYNC_JOB* job = NULL;
    int result = 0;
    asyncjob_stats_t stats;
    expect(asyncjob_stats(&stats, sizeof stats, ASYNCJOB_STATS_THREAD), 1);
    ASYNC_cleanup_thread();
    expect(ASYNC_init_thread((size_t)stats.live, 0), 1);
    while (count-- > 0)
        expect(ASYNC_start_job(&job, NULL, &result, pause_once, NULL, 0), ASYNC_NO_JOBS);
}

static void* leave_on_thread(void* count) {
    leave(*(long*)count);
    return NULL;
}

static void on_thread(long count) {
    pthread_t thread;
    expect(pthread_create(&thread, NULL, leave_on_thread, &count), 0);
    expect(pthread_join(thread, NULL), 0);
}

static void in_child(long count) {
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        finish(count);
        exit(0);
    }
    expect(waitpid(child, &status, 0) == child && status == 0, 1);
}

int main(int argc, char** argv) {
    int at = 0;
    for (at = 1; at + 1 < argc; at += 2) {
        const char* const what = argv[at];
        const long count = strtol(argv[at + 1], NULL, 10);
        if (strcmp(what, "finish") == 0)
            finish(count);
        else if (strcmp(what, "cancel") == 0)
            cancel(count);
        else if (strcmp(what, "leave") == 0)
            leave(count);
        else if (strcmp(what, "refuse") == 0)
            refuse(count);
        else if (strcmp(what, "thread") == 0)
            on_thread(count);
        else if (strcmp(what, "fork") == 0)
            in_child(count);
        else if (strcmp(what, "chdir") == 0)
            expect(chdir(argv[at + 1]), 0);
        else if (strcmp(what, "_exit") == 0)
            _exit(0);
        else if (strcmp(what, "abort") == 0)
            abort();
        else
            expect(0, 1);
    }
    return 0;
}
