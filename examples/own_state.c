/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_state: a tracer that knows one current span for each thread, as tracers do, and jobs which
 * take turns on one. Switch hooks exchange the span; what belongs to a job is kept with it, in
 * job-local storage, and freed when the job ends. Build: cc own_state.c -lasyncjob
 */
#include <asyncjob/async.h>
#include <asyncjob/control.h>
#include <stdio.h>
#include <stdlib.h>

/* The tracer. */
static const char* current_span = "main";

static void trace(const char* text) {
    printf("[%s] %s\n", current_span, text);
}

/* What each job has of its own. */
struct spans {
    const char* jobs;    /* while it is away */
    const char* starter; /* while it runs */
};
static asyncjob_key spans_key;

static void enter(ASYNC_JOB* job, void* arg) {
    struct spans* spans = asyncjob_get_local(spans_key);
    (void)job;
    (void)arg;
    if (spans == NULL) { /* it starts */
        spans = malloc(sizeof *spans);
        if (spans == NULL || asyncjob_set_local(spans_key, spans) == 0)
            abort();
        spans->jobs = current_span;
    }
    spans->starter = current_span;
    current_span = spans->jobs;
}

static void leave(ASYNC_JOB* job, void* arg) {
    struct spans* spans = asyncjob_get_local(spans_key);
    (void)job;
    (void)arg;
    spans->jobs = current_span;
    current_span = spans->starter;
}

static int serve(void* args) {
    current_span = *(const char**)args;
    trace("asks");
    ASYNC_pause_job();
    trace("has its answer");
    return 0;
}

int main(void) {
    const char* names[] = {"first", "second"};
    ASYNC_JOB* jobs[] = {NULL, NULL};
    int result = 0;
    int failed = 0;

    if (asyncjob_key_create(&spans_key, free) == 0 ||
        asyncjob_add_switch_hooks(enter, leave, NULL) == 0) {
        fprintf(stderr, "%s\n", asyncjob_reason_string(asyncjob_last_reason()));
        return 1;
    }
    for (int turn = 0; turn < 2; ++turn) {
        for (int i = 0; i < 2; ++i) {
            int status =
                ASYNC_start_job(&jobs[i], NULL, &result, serve, &names[i], sizeof names[i]);
            failed |= status != (turn == 0 ? ASYNC_PAUSE : ASYNC_FINISH);
            trace("goes on");
        }
    }
    return failed;
}
