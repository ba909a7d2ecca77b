/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wake_job: jobs of one thread that have their sums done by four others, and one that waits for
 * an answer in vain. The loop polls a single file descriptor. Build:
 * cc -pthread wake_job.c -lasyncjob
 */
#include <asyncjob/async.h>
#include <asyncjob/control.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { worker_count = 4, job_count = 100 };

/* What a job asks of a worker: it stands on the job's stack. */
struct request {
    struct request* next;
    int number;
    long sum; /* of 1 to number */
    atomic_int is_done;
    asyncjob_handle asker;
};

static struct request* queue = NULL;
static int is_closed = 0;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_request = PTHREAD_COND_INITIALIZER;

static void* work(void* unused) {
    pthread_mutex_lock(&lock);
    while (queue != NULL || !is_closed) {
        struct request* request = queue;
        if (request == NULL) {
            pthread_cond_wait(&has_request, &lock);
            continue;
        }
        queue = request->next;
        pthread_mutex_unlock(&lock);
        for (int i = 1; i <= request->number; ++i)
            request->sum += i;
        /* The request is gone as soon as it is done: the handle is good beyond that. */
        const asyncjob_handle asker = request->asker;
        atomic_store(&request->is_done, 1);
        asyncjob_wake(asker);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return unused;
}

/* A job: blocking-style code. */
static int ask(void* args) {
    struct request request = {.number = *(int*)args};
    if (!asyncjob_get_handle(ASYNC_get_current_job(), &request.asker))
        return -1;
    pthread_mutex_lock(&lock);
    request.next = queue;
    queue = &request;
    pthread_cond_signal(&has_request);
    pthread_mutex_unlock(&lock);
    /* The worker writes into this frame, so the job stays until it is done. */
    while (!atomic_load(&request.is_done))
        asyncjob_pause();
    return request.sum == (long)request.number * (request.number + 1) / 2 ? 0 : -1;
}

/* Nobody wakes this one. */
static int wait_in_vain(void* unused) {
    struct timespec deadline;
    (void)unused;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += 1;
    return asyncjob_pause_until(&deadline) == ASYNCJOB_TIMED_OUT ? 0 : -1;
}

int main(void) {
    pthread_t workers[worker_count];
    for (int i = 0; i < worker_count; ++i)
        if (pthread_create(&workers[i], NULL, work, NULL) != 0)
            return 1;

    int finished = 0;
    int wrong = 0;
    for (int i = 0; i <= job_count; ++i) {
        ASYNC_JOB* job = NULL;
        int result = 0;
        const int number = 1000 * i;
        const int status = ASYNC_start_job(&job, NULL, &result, i == 0 ? wait_in_vain : ask,
                                           (void*)&number, sizeof number);
        /* A worker may be so quick that its job has never paused. */
        finished += status == ASYNC_FINISH;
        wrong += status < ASYNC_PAUSE || (status == ASYNC_FINISH && result != 0);
    }

    /* The loop of a server would poll its sockets beside it. */
    struct pollfd ready = {.fd = asyncjob_ready_fd(), .events = POLLIN};
    while (finished <= job_count && wrong == 0 && poll(&ready, 1, 10000) > 0) {
        ASYNC_JOB* jobs[16];
        const size_t count = asyncjob_take_ready(jobs, 16);
        for (size_t i = 0; i < count; ++i) {
            int result = 0;
            const int status = ASYNC_start_job(&jobs[i], NULL, &result, NULL, NULL, 0);
            finished += status == ASYNC_FINISH;
            wrong += status == ASYNC_ERR || (status == ASYNC_FINISH && result != 0);
        }
    }
    printf("main: %d jobs have finished, %d wrong.\n", finished, wrong);

    pthread_mutex_lock(&lock);
    is_closed = 1;
    pthread_cond_broadcast(&has_request);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < worker_count; ++i)
        pthread_join(workers[i], NULL);
    return finished == job_count + 1 && wrong == 0 ? 0 : 1;
}
