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
 *   fork-only N    has a child exit that does nothing with jobs, and waits for it
 *   fork-resume N  has a child resume a paused job N times and exit, and waits for it
 *   chdir DIR  goes to another folder
 *   title TEXT     overwrites its name, as setproctitle() does
 *   exit-in-job N  exits in a job with a stack of N bytes
 *   exit-in-lock N, exit-in-stats N  exits in a signal handler that comes before the N-th
 *              unlocking of a mutex, in the start of a job or in asyncjob_stats()
 *   _exit N, abort N   end without exit()
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
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

static void do_nothing(long count) {
    (void)count;
}

/* Whose job pauses once for each of its resumes, and then once more. */
static int pause_often(void* count) {
    long left = *(long*)count;
    while (left-- >= 0)
        ASYNC_pause_job();
    return 0;
}
static ASYNC_JOB* paused;
static void resume(long count) {
    int result = 0;
    while (count-- > 0)
        expect(ASYNC_start_job(&paused, NULL, &result, NULL, NULL, 0), ASYNC_PAUSE);
}
static void pause_once_more(long count) {
    int result = 0;
    expect(ASYNC_start_job(&paused, NULL, &result, pause_often, &count, sizeof count), ASYNC_PAUSE);
}

static int exit_now(void* args) {
    (void)args;
    exit(0);
}

static void exit_in_job(long stack) {
    ASYNC_JOB* job = NULL;
    int result = 0;
    asyncjob_thread_options options;
    expect(asyncjob_options_default(&options, sizeof options), 1);
    options.stack_size = (size_t)stack;
    expect(asyncjob_init_thread(&options), 1);
    (void)ASYNC_start_job(&job, NULL, &result, exit_now, NULL, 0);
}

static long unlocks_left;

/* Binds before libc's, for the library. */
int pthread_mutex_unlock(pthread_mutex_t* mutex) {
    static int (*next)(pthread_mutex_t*);
    if (next == NULL)
        *(void**)&next = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    if (unlocks_left > 0 && --unlocks_left == 0)
        raise(SIGUSR1);
    return next(mutex);
}

static void exit_on_signal(int number) {
    (void)number;
    exit(0);
}

static void exit_in_lock(long unlocks) {
    signal(SIGUSR1, exit_on_signal);
    unlocks_left = unlocks;
    finish(1);
}

static void exit_in_stats(long unlocks) {
    asyncjob_stats_t stats;
    signal(SIGUSR1, exit_on_signal);
    unlocks_left = unlocks;
    (void)asyncjob_stats(&stats, sizeof stats, ASYNCJOB_STATS_PROCESS);
}

static void in_child(void (*what)(long), long count) {
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        what(count);
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
            in_child(finish, count);
        else if (strcmp(what, "fork-only") == 0)
            in_child(do_nothing, count);
        else if (strcmp(what, "fork-resume") == 0) {
            pause_once_more(count);
            in_child(resume, count);
        } else if (strcmp(what, "title") == 0)
            memcpy(argv[0], argv[at + 1], strlen(argv[at + 1]));
        else if (strcmp(what, "exit-in-job") == 0)
            exit_in_job(count);
        else if (strcmp(what, "exit-in-lock") == 0)
            exit_in_lock(count);
        else if (strcmp(what, "exit-in-stats") == 0)
            exit_in_stats(count);
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
