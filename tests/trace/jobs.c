/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does with jobs what its arguments say, in pairs of a word and a number, so that trace_test.py
 * knows what the trace has to have:
 *   simple N      N jobs that do not pause          args N      the same, with arguments
 *   finish N      N jobs that pause once            pauses N    a job that pauses N times
 *   cancel N      N jobs, cancelled in their pause  leave N     leaves N jobs paused
 *   nest N        N jobs, each in the one before, the last one paused once by all of them
 *   wake N        N jobs that another thread wakes
 *   threads N     N threads, all there at once, with `finish 3` each
 *   one-by-one N  N threads, one after another, with `finish 1` each
 *   busy N        N threads that go on with jobs while the process exits
 *   share-fp 1    control words are shared from here on
 *   fork N        a child that does `finish N` and exits; it is waited for
 *   fork-in-job 1 a job that forks, in which the child does `simple 1` and exits when it has paused
 *                 and gone on
 *   fork-in-loader 1  a thread that, when stdin has a byte, loads the library of TRACE_PLUGIN, in
 *                 whose constructor it says "in", waits for another byte, and forks
 *   exit-in-job 1, _exit 1, abort 1   how it ends
 */
#define _GNU_SOURCE
#include <asyncjob/async.h>
#include <asyncjob/control.h>
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 1000

static void expect_at(int line, long got, long wanted) {
    if (got != wanted) {
        fprintf(stderr, "jobs.c:%d: %ld instead of %ld\n", line, got, wanted);
        _exit(9);
    }
}
#define EXPECT(got, wanted) expect_at(__LINE__, got, wanted)

/* Not static, so that the functions have names. */
int simple_job(void* args) {
    (void)args;
    return 7;
}

int pausing_job(void* args) {
    (void)args;
    return 40 + ASYNC_pause_job();
}

int long_job(void* args) {
    for (long left = *(long*)args; left > 0; --left)
        ASYNC_pause_job();
    return 3;
}

int nested_job(void* args) {
    long left = *(long*)args - 1;
    ASYNC_JOB* inner = NULL;
    int result = 0;
    if (left == 0)
        return pausing_job(NULL);
    EXPECT(ASYNC_start_job(&inner, NULL, &result, nested_job, &left, sizeof left), ASYNC_PAUSE);
    ASYNC_pause_job();
    EXPECT(ASYNC_start_job(&inner, NULL, &result, NULL, NULL, 0), ASYNC_FINISH);
    return result;
}

static void simple(long count, void* args, size_t size) {
    ASYNC_JOB* job = NULL;
    int result = 0;
    while (count-- > 0) {
        EXPECT(ASYNC_start_job(&job, NULL, &result, simple_job, args, size), ASYNC_FINISH);
        EXPECT(result, 7);
    }
}

int exiting_job(void* args) {
    (void)args;
    exit(0);
}

int forking_job(void* args) {
    int status = 0;
    (void)args;
    const pid_t child = fork();
    if (child == 0)
        simple(1, NULL, 0);
    ASYNC_pause_job();
    if (child == 0)
        exit(0);
    EXPECT(waitpid(child, &status, 0) == child && status == 0, 1);
    return 1;
}

int waiting_job(void* args) {
    (void)args;
    return asyncjob_pause() == ASYNCJOB_WOKEN;
}

static void start(ASYNC_JOB** job, int (*function)(void*)) {
    int result = 0;
    *job = NULL;
    EXPECT(ASYNC_start_job(job, NULL, &result, function, NULL, 0), ASYNC_PAUSE);
}

static void go_on(ASYNC_JOB** job, int status, int expected) {
    int result = 0;
    EXPECT(ASYNC_start_job(job, NULL, &result, NULL, NULL, 0), status);
    if (status == ASYNC_FINISH)
        EXPECT(result, expected);
}

static void leave(ASYNC_JOB** jobs, long count) {
    for (long i = 0; i < count; ++i)
        start(&jobs[i], pausing_job);
}

static void finish(long count) {
    ASYNC_JOB* jobs[MOST];
    leave(jobs, count);
    for (long i = 0; i < count; ++i)
        go_on(&jobs[i], ASYNC_FINISH, 41);
}

static void cancel(long count) {
    ASYNC_JOB* jobs[MOST];
    int result = 0;
    leave(jobs, count);
    for (long i = 0; i < count; ++i)
        EXPECT(asyncjob_cancel(&jobs[i], &result) == ASYNC_FINISH && result == 40, 1);
}

static void with_count(int (*function)(void*), long count, long resumes) {
    ASYNC_JOB* job = NULL;
    int result = 0;
    EXPECT(ASYNC_start_job(&job, NULL, &result, function, &count, sizeof count), ASYNC_PAUSE);
    while (--resumes > 0)
        go_on(&job, ASYNC_PAUSE, 0);
    EXPECT(ASYNC_start_job(&job, NULL, &result, NULL, NULL, 0), ASYNC_FINISH);
}

struct Wakes {
    asyncjob_handle handles[MOST];
    long count;
};

static void* wake_all(void* arg) {
    const struct Wakes* wakes = arg;
    pthread_setname_np(pthread_self(), "waker \"1\"");
    for (long i = 0; i < wakes->count; ++i)
        EXPECT(asyncjob_wake(wakes->handles[i]), 1);
    return NULL;
}

static void wake(long count) {
    static struct Wakes wakes;
    ASYNC_JOB* jobs[MOST];
    pthread_t thread;
    long left = count;
    struct pollfd ready = {asyncjob_ready_fd(), POLLIN, 0};
    wakes.count = count;
    for (long i = 0; i < count; ++i) {
        start(&jobs[i], waiting_job);
        EXPECT(asyncjob_get_handle(jobs[i], &wakes.handles[i]), 1);
    }
    EXPECT(pthread_create(&thread, NULL, wake_all, &wakes), 0);
    while (left > 0) {
        ASYNC_JOB* woken[MOST];
        EXPECT(poll(&ready, 1, 60000), 1);
        size_t taken = asyncjob_take_ready(woken, MOST);
        for (left -= (long)taken; taken > 0; --taken)
            for (long i = 0; i < count; ++i)
                if (jobs[i] == woken[taken - 1])
                    go_on(&jobs[i], ASYNC_FINISH, 1);
    }
    EXPECT(pthread_join(thread, NULL), 0);
}

static pthread_barrier_t barrier;

static void* finish_together(void* number) {
    char name[16];
    snprintf(name, sizeof name, "worker-%ld", *(long*)number);
    pthread_setname_np(pthread_self(), name);
    pthread_barrier_wait(&barrier);
    finish(3);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void* finish_alone(void* arg) {
    (void)arg;
    finish(1);
    return NULL;
}

static void* be_busy(void* arg) {
    (void)arg;
    finish(1);
    pthread_barrier_wait(&barrier);
    for (;;)
        finish(3);
    return NULL;
}

static void threads(long count) {
    pthread_t threads[MOST];
    long numbers[MOST];
    pthread_barrier_init(&barrier, NULL, (unsigned)count);
    for (long i = 0; i < count; ++i) {
        numbers[i] = i;
        EXPECT(pthread_create(&threads[i], NULL, finish_together, &numbers[i]), 0);
    }
    for (long i = 0; i < count; ++i)
        EXPECT(pthread_join(threads[i], NULL), 0);
}

static void one_by_one(long count) {
    pthread_t thread;
    while (count-- > 0) {
        EXPECT(pthread_create(&thread, NULL, finish_alone, NULL), 0);
        EXPECT(pthread_join(thread, NULL), 0);
    }
}

static void busy(long count) {
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, (unsigned)count + 1);
    for (long i = 0; i < count; ++i)
        EXPECT(pthread_create(&thread, NULL, be_busy, NULL), 0);
    pthread_barrier_wait(&barrier);
}

static void in_child(long count) {
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        finish(count);
        exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0, 1);
}

static void wait_for_byte(void) {
    char byte;
    EXPECT(read(STDIN_FILENO, &byte, 1), 1);
}

void asyncjob_test_in_constructor(void);
void asyncjob_test_in_constructor(void) {
    int status = 0;
    EXPECT(write(STDOUT_FILENO, "in", 2), 2);
    wait_for_byte();
    const pid_t child = fork();
    if (child == 0)
        _exit(0);
    EXPECT(waitpid(child, &status, 0) == child && status == 0, 1);
}

static void* load_plugin(void* arg) {
    (void)arg;
    wait_for_byte();
    EXPECT(dlopen(getenv("TRACE_PLUGIN"), RTLD_NOW) != NULL, 1);
    return NULL;
}

static void fork_in_loader(void) {
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, load_plugin, NULL), 0);
}

int main(int argc, char** argv) {
    static ASYNC_JOB* left[MOST];
    for (int at = 1; at + 1 < argc; at += 2) {
        const char* const what = argv[at];
        const long count = strtol(argv[at + 1], NULL, 10);
        if (strcmp(what, "simple") == 0)
            simple(count, NULL, 0);
        else if (strcmp(what, "args") == 0)
            simple(count, (void*)&count, sizeof count);
        else if (strcmp(what, "finish") == 0)
            finish(count);
        else if (strcmp(what, "pauses") == 0)
            with_count(long_job, count, count);
        else if (strcmp(what, "cancel") == 0)
            cancel(count);
        else if (strcmp(what, "leave") == 0)
            leave(left, count);
        else if (strcmp(what, "nest") == 0)
            with_count(nested_job, count, 1);
        else if (strcmp(what, "wake") == 0)
            wake(count);
        else if (strcmp(what, "threads") == 0)
            threads(count);
        else if (strcmp(what, "one-by-one") == 0)
            one_by_one(count);
        else if (strcmp(what, "busy") == 0)
            busy(count);
        else if (strcmp(what, "share-fp") == 0)
            asyncjob_share_fp_mode(1);
        else if (strcmp(what, "fork") == 0)
            in_child(count);
        else if (strcmp(what, "fork-in-loader") == 0)
            fork_in_loader();
        else if (strcmp(what, "fork-in-job") == 0) {
            start(&left[0], forking_job);
            go_on(&left[0], ASYNC_FINISH, 1);
        } else if (strcmp(what, "exit-in-job") == 0) {
            start(&left[0], exiting_job);
        } else if (strcmp(what, "_exit") == 0)
            _exit(0);
        else if (strcmp(what, "abort") == 0)
            abort();
        else
            EXPECT(0, 1);
    }
    return 0;
}
