/* SPDX-License-Identifier: Apache-2.0
 * S14, S16: a child that was forked during another thread's lookup can look nothing up itself,
 * but keeps the C++ runtime that came by dlopen() before. The program itself has none.
 */
#define _GNU_SOURCE
#include <asyncjob/async.h>
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int holding; /* of lookups in other threads than the first */
static sem_t held;
static pthread_t first_thread;

/* Binds before libc's, for the library under test. */
void* dlopen(const char* name, int mode) {
    void* (*next)(const char*, int) =
        (void* (*)(const char*, int))(size_t)dlsym(RTLD_NEXT, "dlopen");
    if (atomic_load(&holding) && !pthread_equal(pthread_self(), first_thread)) {
        sem_post(&held);
        for (;;)
            pause();
    }
    return next(name, mode);
}

static int (*catch_and_pause)(void*);

static void fail(const char* what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* Two jobs, each paused with an exception of its own; each must find that one again. */
static void expect_exceptions_of_their_own(void) {
    ASYNC_JOB* jobs[2] = {NULL, NULL};
    int results[2] = {0, 0};
    for (int i = 0; i < 2; ++i)
        if (ASYNC_start_job(&jobs[i], NULL, &results[i], catch_and_pause, &i, sizeof(i)) !=
            ASYNC_PAUSE)
            fail("a job does not pause");
    for (int i = 0; i < 2; ++i)
        if (ASYNC_start_job(&jobs[i], NULL, &results[i], NULL, NULL, 0) != ASYNC_FINISH)
            fail("a job does not finish");
    if (results[0] != 0 || results[1] != 1)
        fail("a job found another one's exception");
}

static int do_nothing(void* arg) {
    (void)arg;
    return 0;
}

static void* use_jobs(void* arg) {
    ASYNC_JOB* job = NULL;
    int result = 0;
    ASYNC_start_job(&job, NULL, &result, do_nothing, NULL, 0);
    return arg;
}

static void* use_exceptions(void* arg) {
    expect_exceptions_of_their_own();
    return arg;
}

int main(int argc, char** argv) {
#ifdef ASYNCJOB_TEST_EMULATED
    puts("skipped: under qemu-user the child of a process with threads cannot have threads");
    return 77;
#endif
    alarm(60);
    first_thread = pthread_self();
    sem_init(&held, 0, 0);
    if (argc != 2)
        return 1;
    void* const plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == NULL)
        fail(dlerror());
    catch_and_pause = (int (*)(void*))(size_t)dlsym(plugin, "catch_and_pause");
    expect_exceptions_of_their_own();
    ASYNC_cleanup_thread(); /* the next job is a new one */
    /* Without a new library in the process the other thread would look nothing up. */
    if (dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL) == NULL)
        fail(dlerror());

    pthread_t other;
    atomic_store(&holding, 1);
    if (pthread_create(&other, NULL, use_jobs, NULL) != 0)
        fail("no thread");
    sem_wait(&held);
    const pid_t child = fork();
    if (child == 0) {
        alarm(30);
        atomic_store(&holding, 0);
        expect_exceptions_of_their_own();
        if (pthread_create(&other, NULL, use_exceptions, NULL) != 0)
            fail("no thread");
        pthread_join(other, NULL);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0)
        fail("the child failed");
    _exit(0); /* the other thread waits for ever */
}
