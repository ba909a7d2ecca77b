/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What asyncjob_test.py has gdb look at: jobs paused at once and deep in calls, one that has
 * paused more often, one on another thread, one that waits for a job it has entered, and that
 * one, running. All are as they shall be when stop_here() is reached.
 *
 * jobs [abort] [main] [unguarded]: dies there; in main() itself, when there are only paused jobs, a
 * signal stops or ends it; stacks without guards, whose memory gcore can read.
 */
#include <asyncjob/async.h>
#include <asyncjob/control.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APART __attribute__((noinline))

static void check(int holds, const char* what) {
    if (!holds) {
        fprintf(stderr, "jobs: %s\n", what);
        exit(1);
    }
}

static int aborts, traps_in_main, is_unguarded;

static void set_up_thread(void) {
    asyncjob_thread_options options;
    check(asyncjob_options_default(&options, sizeof options) == 1, "no options");
    options.guard = !is_unguarded;
    check(asyncjob_init_thread(&options) == 1, "the options are refused");
}

APART static int deepest(int value) {
    ASYNC_pause_job();
    return value + 1;
}

APART static int deeper(int value) {
    return deepest(value * 2) + 1;
}

APART static int deep(int value) {
    return deeper(value * 3) + 1;
}

static int deep_job(void* arg) {
    (void)arg;
    return deep(7);
}

static int often_job(void* arg) {
    (void)arg;
    for (int i = 0; i < 100; ++i)
        ASYNC_pause_job();
    return 0;
}

/* By the long way: the library's own frames are between. */
APART static int wait_for_long(void) {
    asyncjob_pause();
    return 1;
}

static int elsewhere_job(void* arg) {
    (void)arg;
    return wait_for_long();
}

APART static void stop_here(void) {
    if (aborts)
        abort();
    __asm__ volatile("");
}

static int inner_job(void* arg) {
    (void)arg;
    stop_here();
    return 5;
}

APART static int enter_inner(void) {
    ASYNC_JOB* inner = NULL;
    int result = 0;
    check(ASYNC_start_job(&inner, NULL, &result, inner_job, NULL, 0) == ASYNC_FINISH, "inner");
    return result + 1;
}

static int outer_job(void* arg) {
    (void)arg;
    return enter_inner();
}

struct Elsewhere {
    pthread_barrier_t paused;
    pthread_barrier_t seen;
};

static void* elsewhere(void* arg) {
    struct Elsewhere* state = arg;
    set_up_thread();
    ASYNC_JOB* job = NULL;
    int result = 0;
    check(ASYNC_start_job(&job, NULL, &result, elsewhere_job, NULL, 0) == ASYNC_PAUSE, "elsewhere");
    pthread_barrier_wait(&state->paused);
    pthread_barrier_wait(&state->seen);
    check(
        ASYNC_start_job(&job, NULL, &result, elsewhere_job, NULL, 0) == ASYNC_FINISH && result == 1,
        "the end of elsewhere");
    return NULL;
}

int main(int count, char** arguments) {
    for (int i = 1; i < count; ++i) {
        aborts |= strcmp(arguments[i], "abort") == 0;
        traps_in_main |= strcmp(arguments[i], "main") == 0;
        is_unguarded |= strcmp(arguments[i], "unguarded") == 0;
    }
    set_up_thread();
    struct Elsewhere state;
    pthread_barrier_init(&state.paused, NULL, 2);
    pthread_barrier_init(&state.seen, NULL, 2);
    pthread_t thread;
    check(pthread_create(&thread, NULL, elsewhere, &state) == 0, "no thread");
    pthread_barrier_wait(&state.paused);

    ASYNC_JOB* deep_one = NULL;
    ASYNC_JOB* often = NULL;
    ASYNC_JOB* outer = NULL;
    int result = 0;
    check(ASYNC_start_job(&deep_one, NULL, &result, deep_job, NULL, 0) == ASYNC_PAUSE, "deep");
    for (int i = 0; i < 50; ++i)
        check(ASYNC_start_job(&often, NULL, &result, often_job, NULL, 0) == ASYNC_PAUSE, "often");
    check(ASYNC_start_job(&outer, NULL, &result, outer_job, NULL, 0) == ASYNC_FINISH && result == 6,
          "outer");

    if (traps_in_main)
        __asm__ volatile("int3");

    /* That gdb has looked must not have changed anything. */
    check(ASYNC_start_job(&deep_one, NULL, &result, deep_job, NULL, 0) == ASYNC_FINISH &&
              result == 45,
          "the end of deep");
    while (ASYNC_start_job(&often, NULL, &result, often_job, NULL, 0) == ASYNC_PAUSE)
        continue;
    pthread_barrier_wait(&state.seen);
    pthread_join(thread, NULL);
    puts("all jobs have ended as they should");
    return 0;
}
