/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every feature of jobs without a bug: a tool that watches this program must have nothing to
 * report. Each part does what a tool that was not told of a switch, a start or an end would take
 * for a bug.
 */
#include <alloca.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "asyncjob/async.h"
#include "asyncjob/control.h"

#define NOINLINE __attribute__((noinline))
#if defined(__has_feature)
#define HAS_FEATURE(feature) __has_feature(feature)
#else
#define HAS_FEATURE(feature) 0
#endif

#define WANT(condition)                                                        \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "clean.c:%d: not so: %s\n", __LINE__, #condition); \
            exit(3);                                                           \
        }                                                                      \
    } while (0)

/* What a thread leaves behind is lost by contract (S13), and `threads` does so on purpose. */
const char* __lsan_default_suppressions(void);
const char* __lsan_default_suppressions(void) {
    return "leak:StackSource\nleak:left_job\n";
}

/* Frames of arrays, whose addresses escape, so that a tool has to watch them. */
static void watch(volatile void* at) {
    __asm__ volatile("" : : "r"(at) : "memory");
}
static NOINLINE int deep(int depth, jmp_buf* out) {
    volatile char array[200];
    memset((void*)array, depth, sizeof array);
    watch(array);
    if (depth == 0 && out != NULL)
        longjmp(*out, 1);
    const int below = depth > 0 ? deep(depth - 1, out) : 0;
    return array[depth] + below;
}

/* Set: the tool watches this program, but is told nothing by the library, which was built without
   it. Then there are things that it cannot know; see doc/debugging.md. */
static int is_alone;

/* Leaves deep frames by a jump. */
static NOINLINE void jump_out(void) {
    jmp_buf here;
    if (!is_alone && setjmp(here) == 0)
        (void)deep(8, &here);
}

/* A function as of a library that was not built with the tool, on the frames that a jump left. */
#if HAS_FEATURE(address_sanitizer) || defined(__SANITIZE_ADDRESS__)
__attribute__((no_sanitize("address")))
#endif
static NOINLINE void
unwatched(void) {
    char array[3000];
    memset(array, 1, sizeof array);
    watch(array);
}

struct Job {
    ASYNC_JOB* handle;
    int ret;
};

static int go(struct Job* job, int (*function)(void*), void* args, size_t size) {
    return ASYNC_start_job(&job->handle, NULL, &job->ret, function, args, size);
}

static int sum_of(void* args) {
    const unsigned char* bytes = args;
    int sum = 0;
    size_t size;
    memcpy(&size, bytes, sizeof size);
    WANT((uintptr_t)bytes % 16 == 0);
    for (size_t at = sizeof size; at < size; ++at) {
        sum += bytes[at];
        if (at % 1000 == 0)
            WANT(ASYNC_pause_job() == 1);
    }
    return sum;
}

static void arguments(void) {
    static unsigned char bytes[10000];
    static const size_t sizes[] = {9, 500, 16, 64, 65, 1000, 4096, 4097, 10000};
    memset(bytes, 1, sizeof bytes);
    for (int round = 0; round < 3; ++round) {
        for (size_t at = 0; at < sizeof sizes / sizeof *sizes; ++at) {
            struct Job job = {NULL, 0};
            memcpy(bytes, &sizes[at], sizeof *sizes);
            while (go(&job, sum_of, bytes, sizes[at]) == ASYNC_PAUSE) {
            }
            WANT(job.handle == NULL && job.ret == (int)(sizes[at] - sizeof *sizes));
            unwatched();
        }
    }
}

/* Frames on either side, and jumps on either side over them, while the other is suspended. */
static int jumping(void* args) {
    int kept[16];
    (void)args;
    for (int round = 0; round < 16; ++round) {
        kept[round] = round;
        watch(kept);
        jump_out();
        unwatched();
        WANT(deep(4, NULL) == 10);
        WANT(ASYNC_pause_job() == 1);
        for (int at = 0; at <= round; ++at)
            WANT(kept[at] == at);
    }
    return 1;
}
static void jumps(void) {
    struct Job jobs[8];
    memset(jobs, 0, sizeof jobs);
    for (int round = 0; round < 16; ++round) {
        for (int at = 0; at < 8; ++at) {
            WANT(go(&jobs[at], jumping, NULL, 0) == ASYNC_PAUSE);
            jump_out();
            unwatched();
            WANT(deep(8, NULL) == 36);
        }
    }
    for (int at = 0; at < 8; ++at)
        WANT(go(&jobs[at], jumping, NULL, 0) == ASYNC_FINISH && jobs[at].ret == 1);
}

/* The frames of a job that has ended are gone, with what a tool has kept of them. */
static int touching(void* args) {
    (void)args;
    return deep(4, NULL);
}
static long most_memory(void) {
    struct rusage usage;
    WANT(getrusage(RUSAGE_SELF, &usage) == 0);
    return usage.ru_maxrss;
}
static void ends(void) {
    const long allowed = 16 * 1024; /* KiB */
    long before = 0;
    for (int count = 0; count < 10000; ++count) {
        struct Job job = {NULL, 0};
        WANT(go(&job, touching, NULL, 0) == ASYNC_FINISH && job.ret == 10);
        if (count == 100)
            before = most_memory();
    }
    WANT(most_memory() - before < allowed);
}

static int nesting(void* args) {
    int depth;
    memcpy(&depth, args, sizeof depth);
    if (depth == 0) {
        WANT(ASYNC_pause_job() == 1);
        jump_out();
        return 1;
    }
    --depth;
    struct Job inner = {NULL, 0};
    WANT(go(&inner, nesting, &depth, sizeof depth) == ASYNC_PAUSE);
    WANT(ASYNC_pause_job() == 1);
    jump_out();
    WANT(go(&inner, nesting, &depth, sizeof depth) == ASYNC_FINISH);
    return inner.ret + 1;
}

static int until_cancelled(void* args) {
    char* const memory = malloc(100);
    (void)args;
    while (ASYNC_pause_job() == 1)
        unwatched();
    WANT(asyncjob_cancelled());
    free(memory);
    return 7;
}
static void cancels(void) {
    struct Job jobs[20];
    memset(jobs, 0, sizeof jobs);
    for (int at = 0; at < 20; ++at)
        WANT(go(&jobs[at], until_cancelled, NULL, 0) == ASYNC_PAUSE);
    for (int at = 0; at < 10; ++at)
        WANT(asyncjob_cancel(&jobs[at].handle, &jobs[at].ret) == ASYNC_FINISH && jobs[at].ret == 7);
    WANT(asyncjob_cancel_all() == 10);
}

/* The pool gives stacks back, and takes them again. Tools have a limit of threads, in which a
   stack that has gone must not count: there are more of them than that, one after the other. */
static void pools(void) {
    asyncjob_thread_options options;
    WANT(asyncjob_options_default(&options, sizeof options) == 1);
    options.idle_high_water = 0;
    options.stack_size = 64 * 1024;
    WANT(asyncjob_init_thread(&options) == 1);
    for (int round = 0; round < 100; ++round) {
        enum { crowd = 100 };
        struct Job jobs[crowd];
        memset(jobs, 0, sizeof jobs);
        const int depth = 0;
        for (int at = 0; at < crowd; ++at)
            WANT(go(&jobs[at], nesting, (void*)&depth, sizeof depth) == ASYNC_PAUSE);
        for (int at = 0; at < crowd; ++at)
            WANT(go(&jobs[at], nesting, NULL, 0) == ASYNC_FINISH);
    }
    ASYNC_cleanup_thread();
    WANT(ASYNC_init_thread(4, 4) == 1);
    ASYNC_cleanup_thread();
}

static asyncjob_key key;
static asyncjob_handle woken;
static void count_switch(ASYNC_JOB* job, void* arg) {
    WANT(job != NULL);
    ++*(int*)arg;
}
static int with_values(void* args) {
    (void)args;
    char* const value = calloc(1, 10);
    WANT(asyncjob_set_local(key, value) == 1);
    WANT(asyncjob_get_handle(ASYNC_get_current_job(), &woken) == 1);
    ASYNC_block_pause();
    WANT(ASYNC_pause_job() == 1);
    ASYNC_unblock_pause();
    WANT(asyncjob_pause() == ASYNCJOB_WOKEN);
    struct timespec soon;
    clock_gettime(CLOCK_MONOTONIC, &soon);
    soon.tv_sec += 1;
    WANT(asyncjob_pause_until(&soon) == ASYNCJOB_TIMED_OUT);
    WANT(asyncjob_get_local(key) == value);
    return 1;
}
static void extras(void) {
    int switches = 0;
    WANT(asyncjob_key_create(&key, free) == 1);
    WANT(asyncjob_add_switch_hooks(count_switch, count_switch, &switches) == 1);
    struct Job job = {NULL, 0};
    WANT(go(&job, with_values, NULL, 0) == ASYNC_PAUSE);
    WANT(asyncjob_wake(woken) == 1);
    ASYNC_JOB* ready[4];
    const size_t count = asyncjob_take_ready(ready, 4);
    WANT(count == 1 && ready[0] == job.handle);
    asyncjob_stats_t stats;
    WANT(asyncjob_stats(&stats, sizeof stats, ASYNCJOB_STATS_PROCESS | ASYNCJOB_STATS_STACKS) == 1);
    WANT(stats.live == 1 && stats.stack_high_water > 0);
    int ends[2];
    WANT(pipe(ends) == 0 && asyncjob_dump(ends[1]) == 1);
    char text[4096];
    const ssize_t length = read(ends[0], text, sizeof text);
    WANT(length > 0);
    int lines = 0;
    for (ssize_t at = 0; at < length; ++at)
        lines += text[at] == '\n';
    WANT(lines > 0);
    close(ends[0]);
    close(ends[1]);
    if (go(&job, with_values, NULL, 0) == ASYNC_PAUSE) { /* its deadline has not passed already */
        const struct timespec moment = {0, 1000000};
        for (int looks = 0; asyncjob_take_ready(ready, 4) == 0; ++looks) {
            WANT(looks < 20000);
            nanosleep(&moment, NULL);
        }
        WANT(go(&job, with_values, NULL, 0) == ASYNC_FINISH);
    }
    WANT(job.ret == 1 && switches >= 4);
    WANT(asyncjob_remove_switch_hooks(count_switch, count_switch, &switches) == 1);
    WANT(asyncjob_key_delete(key) == 1);
}

/* Sides that are left with control words, and without, and gone back to in either way. */
static int pausing(void* args) {
    for (int pauses = *(int*)args; pauses > 0; --pauses)
        WANT(ASYNC_pause_job() == 1);
    return 1;
}
static void modes(void) {
    const int pauses = 40;
    for (int shared = 0; shared < 2; ++shared) {
        struct Job job = {NULL, 0};
        (void)asyncjob_share_fp_mode(shared);
        for (int round = 0; go(&job, pausing, (void*)&pauses, sizeof pauses) == ASYNC_PAUSE;
             ++round)
            (void)asyncjob_share_fp_mode((round / 2 + shared) % 2);
        WANT(job.ret == 1);
    }
    (void)asyncjob_share_fp_mode(0);
}

/* What a thread has written before it wakes a job is the job's to read afterwards. */
static int answer;
static void* answerer(void* arg) {
    answer = 42;
    WANT(asyncjob_wake(*(asyncjob_handle*)arg) == 1);
    return NULL;
}
static int asking(void* args) {
    asyncjob_handle handle;
    pthread_t thread;
    (void)args;
    answer = 0;
    WANT(asyncjob_get_handle(ASYNC_get_current_job(), &handle) == 1);
    WANT(pthread_create(&thread, NULL, answerer, &handle) == 0);
    WANT(asyncjob_pause() == ASYNCJOB_WOKEN);
    WANT(answer == 42);
    WANT(pthread_join(thread, NULL) == 0);
    return 1;
}
static void wakes(void) {
    for (int round = 0; round < 20; ++round) {
        struct Job job = {NULL, 0};
        if (go(&job, asking, NULL, 0) == ASYNC_PAUSE) { /* else the wake came before the pause */
            struct pollfd ready = {asyncjob_ready_fd(), POLLIN, 0};
            ASYNC_JOB* jobs[1];
            while (asyncjob_take_ready(jobs, 1) == 0)
                WANT(poll(&ready, 1, 60000) == 1);
            WANT(jobs[0] == job.handle && go(&job, asking, NULL, 0) == ASYNC_FINISH);
        }
        WANT(job.ret == 1);
    }
}

/* What only a job has: the starter, the job and others of the thread share it without a lock. */
static int with_context(void* args) {
    int* const of_thread = *(int**)args;
    ASYNC_WAIT_CTX* const context = ASYNC_get_wait_ctx(ASYNC_get_current_job());
    WANT(ASYNC_WAIT_CTX_set_wait_fd(context, args, 0, NULL, NULL) == 1);
    for (int round = 0; round < 100; ++round) {
        ++*of_thread;
        WANT(ASYNC_pause_job() == 1);
    }
    WANT(ASYNC_WAIT_CTX_clear_fd(context, args) == 1);
    return 1;
}
static int left_job(void* args) {
    char* const memory = malloc(100);
    (void)args;
    memset(memory, 1, 100);
    WANT(ASYNC_pause_job() == 1);
    free(memory);
    return 0;
}
static void* thread_of_jobs(void* arg) {
    (void)arg;
    int of_thread = 0;
    int* const args = &of_thread;
    ASYNC_WAIT_CTX* const context = ASYNC_WAIT_CTX_new();
    struct Job job = {NULL, 0};
    while (ASYNC_start_job(&job.handle, context, &job.ret, with_context, (void*)&args,
                           sizeof args) == ASYNC_PAUSE)
        ++of_thread;
    WANT(of_thread == 200);
    ASYNC_WAIT_CTX_free(context);
    jumps();
    for (int count = 0; count < 5; ++count) {
        struct Job left = {NULL, 0};
        WANT(go(&left, left_job, NULL, 0) == ASYNC_PAUSE);
        jump_out();
    }
    return NULL;
}
static void threads(void) {
    for (int round = 0; round < 4; ++round) {
        pthread_t both[2];
        for (int at = 0; at < 2; ++at)
            WANT(pthread_create(&both[at], NULL, thread_of_jobs, NULL) == 0);
        jumps();
        for (int at = 0; at < 2; ++at)
            WANT(pthread_join(both[at], NULL) == 0);
    }
    WANT(asyncjob_left_behind() == 40);
}

/* A side gets pointers to its own frames from the other while it is suspended, as a callee fills in
   what its caller has made. */
struct Span {
    char* begin;
    char* end;
};
struct Work {
    struct Span* span;
    char* text;
};
static void fill(const struct Work* work) {
    memcpy(work->text, "ab", 2);
    work->span->begin = work->text;
    work->span->end = work->text + 2;
}
static int filling(void* args) {
    struct Work work;
    memcpy(&work, args, sizeof work);
    fill(&work);
    return 1;
}
static int with_work(void* args) {
    char text[64];
    struct Work* const work = *(struct Work**)args;
    work->span = alloca(sizeof *work->span);
    work->text = text;
    memset(work->span, 0, sizeof *work->span);
    WANT(ASYNC_pause_job() == 1);
    WANT(work->span->end - work->span->begin == 2 && text[1] == 'b');
    return 1;
}
static void frames_of_others(void) {
    char text[64];
    struct Work work = {alloca(sizeof *work.span), text};
    memset(work.span, 0, sizeof *work.span);
    struct Job job = {NULL, 0};
    WANT(go(&job, filling, &work, sizeof work) == ASYNC_FINISH);
    WANT(work.span->end - work.span->begin == 2 && text[1] == 'b');

    struct Work* const of_job = &work;
    WANT(go(&job, with_work, (void*)&of_job, sizeof of_job) == ASYNC_PAUSE);
    fill(&work);
    WANT(go(&job, with_work, NULL, 0) == ASYNC_FINISH && job.ret == 1);
}

/* The process ends while jobs are paused or, with `inside`, run: what their frames hold, and
   those of main(), is not lost; nor what a job has beside its frames. */
static NOINLINE int holder(void* args) {
    int inside;
    memcpy(&inside, args, sizeof inside);
    WANT(asyncjob_set_local(key, calloc(1, 100)) == 1);
    char* const memory = malloc(100);
    char* volatile in_frame[4] = {malloc(10), malloc(10), malloc(10), memory};
    watch(in_frame);
    WANT(ASYNC_pause_job() == 1);
    if (inside)
        exit(0);
    WANT(ASYNC_pause_job() == 1);
    return memory[0] + in_frame[1][0];
}
static void end_with_jobs(int inside) {
    struct Job jobs[3];
    memset(jobs, 0, sizeof jobs);
    char* volatile of_starter = malloc(100);
    static int args[2000]; /* more than goes onto the stack */
    WANT(asyncjob_key_create(&key, free) == 1);
    for (int at = 0; at < 3; ++at) {
        args[0] = at == 2 && inside;
        WANT(go(&jobs[at], holder, args, at == 0 ? sizeof args : sizeof *args) == ASYNC_PAUSE);
    }
    (void)deep(20, NULL); /* over whatever copies there are */
    for (int at = 0; at < 3; ++at)
        WANT(go(&jobs[at], holder, NULL, 0) == ASYNC_PAUSE);
    (void)deep(20, NULL);
    WANT(of_starter != NULL);
    exit(0);
}

int main(int argc, char** argv) {
    const char* const mode = argc > 1 ? argv[1] : "";
    is_alone = strcmp(mode, "alone") == 0;
    ends();
    arguments();
    jumps();
    const int depth = 5;
    for (int round = 0; round < 3; ++round) {
        struct Job job = {NULL, 0};
        while (go(&job, nesting, (void*)&depth, sizeof depth) == ASYNC_PAUSE) {
        }
        WANT(job.ret == 6);
    }
    cancels();
    pools();
    modes();
    extras();
    if (!is_alone)
        wakes();
    threads();
    jumps();
    frames_of_others();
    if (!is_alone)
        end_with_jobs(strcmp(mode, "inside") == 0);
    return 0;
}
