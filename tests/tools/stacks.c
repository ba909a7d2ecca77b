/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that was a job's stack and is used for something else, without a bug: a tool that
 * watches this program must have nothing to report, as it was told that the stack is gone.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "asyncjob/async.h"

#define NOINLINE __attribute__((noinline))

enum { job_stack = 128 * 1024, above_job = 256 * 1024, arena_size = 4096 * 1024 };
static _Alignas(4096) char arena[arena_size];

static void want(int condition, const char* what) {
    if (condition)
        return;
    fprintf(stderr, "stacks: not so: %s\n", what);
    exit(3);
}

static void* give_stack(size_t* size) {
    *size = job_stack;
    return arena + arena_size - above_job - job_stack;
}
static void take_stack(void* stack) {
    (void)stack;
}

/* Leaves frames in a way that no tool takes for a jump over them. */
static ucontext_t out;
static NOINLINE int leave_from(int depth) {
    volatile char frame[4096];
    memset((void*)frame, depth, sizeof frame);
    __asm__ volatile("" : : "r"(frame) : "memory");
    if (depth == 0) {
        setcontext(&out);
        return 0;
    }
    return leave_from(depth - 1) + frame[0];
}
static int leaving_job(void* args) {
    (void)args;
    volatile int is_back = 0;
    getcontext(&out);
    if (!is_back) {
        is_back = 1;
        return leave_from(5);
    }
    return 7;
}

static NOINLINE int descend(int depth) {
    volatile char frame[4096];
    memset((void*)frame, depth, sizeof frame);
    return frame[depth] + (depth > 0 ? descend(depth - 1) : 0);
}
static void* descend_twice(void* arg) {
    (void)arg;
    want(descend(100) == descend(100), "two sums");
    return NULL;
}

/* A context of the program's own, of which no tool is told, is entered twice. */
static ucontext_t outside, own;
static void descend_in_context(void) {
    for (;;) {
        want(descend(100) == descend(100), "two sums in a context");
        want(swapcontext(&own, &outside) == 0, "the way out of the context");
    }
}
static void enter_context(void) {
    want(getcontext(&own) == 0, "a context");
    own.uc_stack.ss_sp = arena;
    own.uc_stack.ss_size = arena_size;
    makecontext(&own, descend_in_context, 0);
    for (int count = 0; count < 2; ++count)
        want(swapcontext(&outside, &own) == 0, "the way into the context");
}

static void enter_thread(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    want(pthread_attr_init(&attributes) == 0 &&
             pthread_attr_setstack(&attributes, arena, arena_size) == 0 &&
             pthread_create(&thread, &attributes, descend_twice, NULL) == 0 &&
             pthread_join(thread, NULL) == 0,
         "a thread on the memory");
}

/* With an argument in a context of the program's own, else in a thread. */
int main(int argc, char** argv) {
    (void)argv;
    want(ASYNC_set_mem_functions(give_stack, take_stack) == 1, "the functions are set");
    ASYNC_JOB* job = NULL;
    int ret = 0;
    want(ASYNC_start_job(&job, NULL, &ret, leaving_job, NULL, 0) == ASYNC_FINISH && ret == 7,
         "the job's result");
    ASYNC_cleanup_thread();

    memset(arena, 0, sizeof arena);
    if (argc > 1)
        enter_context();
    else
        enter_thread();
    return 0;
}
