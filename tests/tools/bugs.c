/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One real bug, named by the first argument, in a job that has paused and been resumed, or in
 * what surrounds jobs. A tool that watches this program must report it and name the functions on
 * the way; see CMakeLists.txt for which must report which.
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asyncjob/async.h"
#include "asyncjob/control.h"

#define NOINLINE __attribute__((noinline))
/* The same pointer, of which the compiler knows nothing. */
#define LAUNDER(pointer)                        \
    __extension__({                             \
        volatile char* laundered = (pointer);   \
        __asm__ volatile("" : "+r"(laundered)); \
        laundered;                              \
    })

static volatile int sink;
static volatile int one = 1;

static void fail(const char* what) {
    fprintf(stderr, "bugs: %s failed\n", what);
    exit(3);
}

static void pause_job(void) {
    if (ASYNC_pause_job() != 1)
        fail("ASYNC_pause_job");
}

/* Each has a name of its own in a report. */
typedef void (*Bug)(const unsigned char* args);

static NOINLINE void use_after_free(const unsigned char* args) {
    (void)args;
    volatile char* memory = malloc(32);
    volatile char* freed = LAUNDER(memory);
    free((void*)memory);
    pause_job();
    sink = freed[one];
}

static NOINLINE void write_past_frame(const unsigned char* args) {
    (void)args;
    volatile char array[32];
    volatile char* frame = LAUNDER(array);
    pause_job();
    frame[32 * one] = 1;
}

static NOINLINE void write_past_memory(const unsigned char* args) {
    (void)args;
    volatile char* memory = LAUNDER(malloc(32));
    pause_job();
    memory[32 * one] = 1;
    free((void*)memory);
}

static volatile char* escaped;
static NOINLINE void let_escape(volatile void* at) {
    escaped = at;
}
static NOINLINE void leave_frame(void) {
    volatile char array[32];
    array[0] = 1;
    let_escape(array);
    pause_job();
}
static NOINLINE void use_after_return(const unsigned char* args) {
    (void)args;
    leave_frame();
    pause_job();
    sink = escaped[0];
}

static NOINLINE void use_after_scope(const unsigned char* args) {
    (void)args;
    {
        volatile char array[32];
        array[0] = 1;
        let_escape(array);
        pause_job();
    }
    pause_job();
    sink = escaped[0];
}

/* Only the job's frame has had it; `held` is a function's parameter there. */
static NOINLINE void hold(char* memory) {
    memset(memory, 1, 32);
    pause_job();
    sink = memory[one];
}
static NOINLINE void lose(const unsigned char* args) {
    (void)args;
    hold(malloc(32));
}
static NOINLINE void scrub(void) {
    volatile char frame[4096];
    for (size_t at = 0; at < sizeof frame; ++at)
        frame[at] = 0;
}

static NOINLINE void overflow_sum(const unsigned char* args) {
    (void)args;
    volatile int sum = INT_MAX;
    pause_job();
    sum += one;
    sink = sum;
}

static NOINLINE void branch_on_frame(const unsigned char* args) {
    (void)args;
    volatile int frame[4];
    frame[0] = 1;
    pause_job();
    if (frame[one] != 0)
        sink = 1;
}

static NOINLINE void branch_on_args(const unsigned char* args) {
    pause_job();
    if (args[one] != 0)
        sink = 1;
}

static NOINLINE char* take(void) {
    return malloc(32);
}
static NOINLINE void branch_on_memory(const unsigned char* args) {
    (void)args;
    pause_job();
    volatile char* memory = take();
    if (memory[one] != 0)
        sink = 1;
    free((void*)memory);
}

static int shared;
static pthread_barrier_t both;
static NOINLINE void write_shared(void) {
    ++shared;
}
static void* other_thread(void* arg) {
    (void)arg;
    write_shared();
    pthread_barrier_wait(&both);
    return NULL;
}
static NOINLINE void race_with_thread(const unsigned char* args) {
    (void)args;
    pause_job();
    pthread_t thread;
    pthread_barrier_init(&both, NULL, 2);
    if (pthread_create(&thread, NULL, other_thread, NULL) != 0)
        fail("pthread_create");
    write_shared();
    pause_job();
    pthread_barrier_wait(&both);
    pthread_join(thread, NULL);
}

static void nothing(const unsigned char* args) {
    (void)args;
}

static Bug bug;

static int inner_job(void* args) {
    (void)args;
    pause_job();
    return 0;
}

/* Some pauses, and a nested job, before the bug. */
static NOINLINE int job_with_bug(void* args) {
    ASYNC_JOB* inner = NULL;
    int ret = 0;
    for (int rounds = 0; rounds < 3; ++rounds) {
        pause_job();
        if (ASYNC_start_job(&inner, NULL, &ret, inner_job, NULL, 0) == ASYNC_ERR)
            fail("ASYNC_start_job");
    }
    while (inner != NULL)
        (void)ASYNC_start_job(&inner, NULL, &ret, inner_job, NULL, 0);
    bug(args);
    return sink - sink;
}

static NOINLINE int undefined_result(void* args) {
    (void)args;
    int result[2];
    let_escape(result);
    pause_job();
    return result[one];
}

static NOINLINE int go_from(int depth, ASYNC_JOB** job, int* ret, int (*function)(void*),
                            void* args) {
    const int status = depth == 0 ? ASYNC_start_job(job, NULL, ret, function, args, 2)
                                  : go_from(depth - 1, job, ret, function, args);
    sink = depth;
    return status;
}

/* Starts and resumes from frames that are gone at the next resume, and with a scrubbed stack. One
   byte of the arguments has a value. */
static int run(int (*function)(void*)) {
    unsigned char* args = malloc(2);
    args[0] = 1;
    ASYNC_JOB* job = NULL;
    int ret = 0;
    int status = ASYNC_PAUSE;
    for (int round = 0; status == ASYNC_PAUSE; ++round) {
        status = go_from(round % 2 == 0 ? 20 : 0, &job, &ret, function, args);
        scrub();
    }
    if (status != ASYNC_FINISH)
        fail("ASYNC_start_job");
    free(args);
    return ret;
}

static NOINLINE void branch_on_result(void) {
    if (run(undefined_result) != 0)
        sink = 1;
}

/* What is left of the starter's frames after many ends of jobs. */
static NOINLINE void race_outside(void) {
    bug = nothing;
    for (int count = 0; count < 200; ++count)
        (void)run(job_with_bug);
    pthread_t thread;
    pthread_barrier_init(&both, NULL, 2);
    if (pthread_create(&thread, NULL, other_thread, NULL) != 0)
        fail("pthread_create");
    write_shared();
    pthread_barrier_wait(&both);
    pthread_join(thread, NULL);
}
static NOINLINE void starter_of_jobs(void) {
    race_outside();
    sink = 1;
}

/* A thread that ends with a paused job, which alone has the memory. */
static NOINLINE int left_job(void* args) {
    (void)args;
    hold(malloc(32));
    return 0;
}
static void* leave_behind(void* arg) {
    (void)arg;
    ASYNC_JOB* job = NULL;
    int ret = 0;
    if (ASYNC_start_job(&job, NULL, &ret, left_job, NULL, 0) != ASYNC_PAUSE)
        fail("ASYNC_start_job");
    return NULL;
}
static NOINLINE void left_behind(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, leave_behind, NULL) != 0)
        fail("pthread_create");
    pthread_join(thread, NULL);
}

static const struct {
    const char* name;
    Bug in_job;
    void (*outside)(void);
} bugs[] = {
    {"use_after_free", use_after_free, NULL},       {"write_past_frame", write_past_frame, NULL},
    {"write_past_memory", write_past_memory, NULL}, {"use_after_return", use_after_return, NULL},
    {"use_after_scope", use_after_scope, NULL},     {"lose", lose, NULL},
    {"overflow_sum", overflow_sum, NULL},           {"branch_on_frame", branch_on_frame, NULL},
    {"branch_on_args", branch_on_args, NULL},       {"branch_on_memory", branch_on_memory, NULL},
    {"branch_on_result", NULL, branch_on_result},   {"race_with_thread", race_with_thread, NULL},
    {"race_outside", NULL, starter_of_jobs},        {"left_behind", NULL, left_behind},
};

int main(int argc, char** argv) {
    for (size_t at = 0; argc == 2 && at < sizeof bugs / sizeof *bugs; ++at) {
        if (strcmp(argv[1], bugs[at].name) != 0)
            continue;
        bug = bugs[at].in_job;
        if (bug != NULL)
            (void)run(job_with_bug);
        else
            bugs[at].outside();
        return 0;
    }
    fprintf(stderr, "usage: bugs NAME, see bugs.c\n");
    return 2;
}
