/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asyncjob/control.h: what OpenSSL's interface lacks. Every name has the prefix asyncjob_
 * or ASYNCJOB_; none of it is needed to use <asyncjob/async.h>.
 *
 * Threads: each function says what it is about, the calling thread or the process.
 *
 * Next layer down: src/capi.cpp.
 */
#ifndef ASYNCJOB_CONTROL_H
#define ASYNCJOB_CONTROL_H

#include <stddef.h>

#include "async.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Reasons of failure beside OpenSSL's ASYNC_R_*: on the error queue under ERR_LIB_ASYNC
 * when libcrypto is in the process, and in asyncjob_last_reason() always.
 */
#define ASYNCJOB_R_NULL_ARGUMENT 200   /* a pointer that must not be NULL is */
#define ASYNCJOB_R_JOB_NOT_PAUSED 201  /* the handle of a job that has finished */
#define ASYNCJOB_R_JOB_RUNNING 202     /* of a job that runs or waits for one it started */
#define ASYNCJOB_R_FOREIGN_THREAD 203  /* of a job that another thread started */
#define ASYNCJOB_R_NO_MEMORY 204       /* for a job, an argument copy or a wait context */
#define ASYNCJOB_R_NO_STACK 205        /* memory or address space for a stack */
#define ASYNCJOB_R_NO_GUARD 206        /* the kernel refused a guard (vm.max_map_count?) */
#define ASYNCJOB_R_STACK_TOO_SMALL 207 /* the set allocator gave less than 16 KiB */
#define ASYNCJOB_R_NOT_CAPABLE 208     /* no way to switch stacks on this platform */
#define ASYNCJOB_R_INVALID_STATUS 209  /* not one of ASYNC_STATUS_* */
#define ASYNCJOB_R_STACKS_IN_USE 210   /* the allocator cannot change any more */

/*
 * The reason of the calling thread's last failed call of this library, an ASYNC_R_* or
 * ASYNCJOB_R_* code; 0 if none has failed yet. A call that succeeds leaves it as it was.
 */
int asyncjob_last_reason(void);

/*
 * A reason code in English: what is wrong and what to do. Never NULL; a static string. Any
 * thread.
 */
const char* asyncjob_reason_string(int reason);

/*
 * Whether the calling thread's jobs share the floating-point control words (rounding mode,
 * exception masks; MXCSR and the x87 control word on x86) with the code that resumes them,
 * as setjmp() does, instead of each keeping its own as the ABI asks of a call. For code that
 * sets the mode on one side for both, and to save the time that reading the words takes. 0 at
 * first. A side that was left while sharing has kept no words: it goes on with those that are in
 * force when it is next entered, also when the thread has stopped sharing by then.
 *
 * share is 0 or 1. Returns the value before the call; or -1, and raises
 * ASYNCJOB_R_NOT_CAPABLE, where this platform's switch cannot leave them alone.
 */
int asyncjob_share_fp_mode(int share);

/*
 * Asks the processor to load what a resume of the job will touch: its header and its innermost
 * frames. For a loop over many paused jobs that knows which it will resume next but one or next
 * but three: a job that was away is loaded meanwhile. Does nothing else, so any handle will do,
 * NULL and a stale one too. Any thread.
 */
void asyncjob_prefetch(ASYNC_JOB* job);

/*
 * Cancels a paused job of the calling thread: resumes it for the last time. The
 * ASYNC_pause_job() that it waits in returns 0 instead of 1, and so does every later one, at
 * once and also while pausing is blocked, so that the job's own code unwinds its frames and
 * frees what they hold. Returns when the job's function has returned: *job is NULL then and
 * *ret the result. A job that does not look at ASYNC_pause_job()'s result runs on to its end
 * without a pause; one that loops until it is told by others holds the thread up.
 *
 * All else is as for a resume by ASYNC_start_job(): the round of the job's wait context ends,
 * and the context must still be there; errno, C++'s exceptions and the rest belong to each side;
 * it may be called inside a job, a cancelled one too, in which the other job is nested then. Jobs
 * that the cancelled job has started are not cancelled with it: it may do so itself.
 *
 * Returns ASYNC_FINISH; or ASYNC_ERR, with *job as it was and nothing run, and one of these
 * reasons: ASYNCJOB_R_NULL_ARGUMENT (job, *job or ret), ASYNCJOB_R_JOB_NOT_PAUSED (the handle of
 * a finished job), ASYNCJOB_R_JOB_RUNNING (of a job that runs, or that waits for one it
 * started), ASYNCJOB_R_FOREIGN_THREAD. What handles may be passed is as for ASYNC_start_job().
 */
int asyncjob_cancel(ASYNC_JOB** job, int* ret);

/*
 * Cancels paused jobs of the calling thread, each as asyncjob_cancel() does and their results
 * dropped, in no order to rely on, until none is left: those too that a cancelled job has
 * started and left paused. (It does not return if there is always another.) For a thread that is
 * about to end. Inside a job, that one and those that wait for it are not paused and go on. The
 * handles that the application has become those of finished jobs.
 *
 * Returns how many this call has cancelled itself, 0 if none was paused. Does not fail.
 */
size_t asyncjob_cancel_all(void);

/*
 * 1 in a job that was cancelled, for code that would otherwise wait, retry or start something
 * new; 0 in any other, also one that a cancelled job has started, and outside a job.
 */
int asyncjob_cancelled(void);

/*
 * How many jobs were left behind, paused, by threads that have ended, since the process
 * began: their stacks and what their frames hold can never be given back. More than 0 is a
 * defect in the program, for which there is asyncjob_cancel_all(). Any thread.
 */
size_t asyncjob_left_behind(void);

#ifdef __cplusplus
}
#endif
#endif
