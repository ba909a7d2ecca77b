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
#include <stdint.h>

#include "async.h"

#ifdef __cplusplus
extern "C" {
#endif

struct timespec; /* of <time.h> */

/*
 * Reasons of failure beside OpenSSL's ASYNC_R_*: on the error queue under ERR_LIB_ASYNC
 * when libcrypto is in the process, and in asyncjob_last_reason() always.
 */
#define ASYNCJOB_R_NULL_ARGUMENT 200       /* a pointer that must not be NULL is */
#define ASYNCJOB_R_JOB_NOT_PAUSED 201      /* the handle of a job that has finished */
#define ASYNCJOB_R_JOB_RUNNING 202         /* of a job that runs or waits for one it started */
#define ASYNCJOB_R_FOREIGN_THREAD 203      /* of a job that another thread started */
#define ASYNCJOB_R_NO_MEMORY 204           /* for a job, an argument copy or a wait context */
#define ASYNCJOB_R_NO_STACK 205            /* memory for a stack */
#define ASYNCJOB_R_NO_GUARD 206            /* the kernel refused a guard */
#define ASYNCJOB_R_STACK_TOO_SMALL 207     /* the set allocator gave less than 16 KiB */
#define ASYNCJOB_R_NOT_CAPABLE 208         /* no way to switch stacks on this platform */
#define ASYNCJOB_R_INVALID_STATUS 209      /* not one of ASYNC_STATUS_* */
#define ASYNCJOB_R_STACKS_IN_USE 210       /* the allocator cannot change any more */
#define ASYNCJOB_R_STALE_HANDLE 220        /* an asyncjob_handle whose job has ended */
#define ASYNCJOB_R_INVALID_DEADLINE 221    /* tv_nsec is not one */
#define ASYNCJOB_R_NO_FD 222               /* the system has no file descriptor to give */
#define ASYNCJOB_R_NO_KEY 230              /* ASYNCJOB_KEYS_MAX keys are in use */
#define ASYNCJOB_R_INVALID_KEY 231         /* never made, or deleted */
#define ASYNCJOB_R_NOT_IN_JOB 232          /* what only a job can do */
#define ASYNCJOB_R_IN_JOB 233              /* what no job can do */
#define ASYNCJOB_R_IN_HOOK 234             /* a job was started or resumed by a switch hook */
#define ASYNCJOB_R_NO_HOOKS 235            /* none such were added on this thread */
#define ASYNCJOB_R_POOL_IS_FULL 240        /* what ASYNC_NO_JOBS means; not on the error queue */
#define ASYNCJOB_R_NO_ADDRESSES 241        /* address space for a stack, by RLIMIT_AS */
#define ASYNCJOB_R_NO_MAPPINGS 242         /* for a stack or its guard, by vm.max_map_count */
#define ASYNCJOB_R_INVALID_STRUCT_SIZE 243 /* of no version of the struct */
#define ASYNCJOB_R_INVALID_STACK_SIZE 244  /* outside ASYNCJOB_STACK_MIN to ASYNCJOB_STACK_MAX */
#define ASYNCJOB_R_INVALID_OPTION 245      /* a value that an option or argument cannot have */
#define ASYNCJOB_R_JOBS_IN_FLIGHT 246      /* their stacks cannot change under them */
#define ASYNCJOB_R_SHADOW_STACK 247        /* the thread runs with one, which jobs cannot have */

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

/* What becomes of a frame that would go below a job's stack. */
#define ASYNCJOB_GUARD_NONE 0 /* it overwrites what is there, maybe another job's stack */
#define ASYNCJOB_GUARD_EACH 1 /* the process gets SIGSEGV, at the address in question */

/* Bytes of a stack that a job may have. */
#define ASYNCJOB_STACK_MIN ((size_t)16 * 1024)
#define ASYNCJOB_STACK_MAX ((size_t)1024 * 1024 * 1024)

/*
 * What a thread's jobs are like. A later version of the library may have more fields behind
 * these; `size` tells it which the program knows.
 */
typedef struct asyncjob_thread_options {
    size_t size; /* of this struct, as asyncjob_options_default() sets it */

    /* How many jobs there may be at once, idle ones included; 0, the default: no limit. */
    size_t max_jobs;

    /* How many idle jobs are made at once; 0 by default. */
    size_t prepared_jobs;

    /*
     * Bytes that a job's frames may use; 96 KiB by default. Rounded up to two pages. Only pages
     * that are touched take memory; a guard (32 KiB, on aarch64 64 KiB, and a page where pages are
     * larger) and a page for the library's own come to it in address space. Where
     * ASYNC_set_mem_functions() was called, that function decides: it is asked for this and the
     * size of a guard for one of its own.
     */
    size_t stack_size;

    /*
     * How many idle jobs are kept for later, or prepared_jobs if those are more; 1,024 by default.
     * When they are more than twice as many, this many are left, and the memory of the others'
     * stacks goes back to the system. 0: each job goes back when it ends, but for those that
     * never paused.
     */
    size_t idle_high_water;

    /*
     * ASYNCJOB_GUARD_EACH, the default, or ASYNCJOB_GUARD_NONE, which saves a new job the time
     * for its guard, about half a microsecond, and its address space. Without a guard a job
     * whose frames need more than its stack destroys the frames of another job, or whatever else
     * is below, without a word: for code whose need of stack is known. Stacks of
     * ASYNC_set_mem_functions() have the guards that their function gives them.
     */
    int guard;

    /*
     * 1: pauses note the time, so that asyncjob_dump() can tell how old they are; 0 by default.
     * Pauses and resumes of the thread take some 50 ns more then. What is paused when this is set
     * has no age.
     */
    int stamp_pauses;
} asyncjob_thread_options;

/*
 * Fills in what holds for a thread that sets nothing. `size` is the caller's
 * sizeof(asyncjob_thread_options); no more than that is written.
 *
 * Returns 1; or 0 with ASYNCJOB_R_NULL_ARGUMENT or ASYNCJOB_R_INVALID_STRUCT_SIZE (less than that
 * of the first version). Any thread.
 */
int asyncjob_options_default(asyncjob_thread_options* options, size_t size);

/*
 * Fills in what holds for the calling thread, as rounded. Otherwise like
 * asyncjob_options_default().
 */
int asyncjob_get_thread_options(asyncjob_thread_options* options, size_t size);

/*
 * What ASYNC_init_thread() does, with all options instead of two: sets the calling thread's, and
 * makes the idle jobs that are missing. ASYNC_init_thread() leaves the options that it does not
 * have as they are; ASYNC_cleanup_thread() makes all those of the default. While jobs of the
 * thread are running or paused, stack_size and guard must stay as they are; the idle ones are
 * made anew with other stacks.
 *
 * Returns 1; or 0, with the options as they were, and one of these reasons:
 * ASYNCJOB_R_NULL_ARGUMENT, ASYNCJOB_R_INVALID_STRUCT_SIZE (see there: a field of a later version
 * that this library does not have must be 0), ASYNC_R_INVALID_POOL_SIZE (prepared_jobs exceeds
 * max_jobs), ASYNCJOB_R_INVALID_STACK_SIZE, ASYNCJOB_R_INVALID_OPTION (guard, stamp_pauses),
 * ASYNCJOB_R_JOBS_IN_FLIGHT; or why a job could not be made: ASYNCJOB_R_NO_MEMORY, NO_STACK,
 * NO_GUARD, NO_ADDRESSES, NO_MAPPINGS, STACK_TOO_SMALL, NOT_CAPABLE, ASYNC_R_INIT_FAILED.
 */
int asyncjob_init_thread(const asyncjob_thread_options* options);

/*
 * Has callback(arg) called when there is room for a job again, so that a start which got
 * ASYNC_NO_JOBS need not be tried over and over: once, when the first job of the calling thread
 * ends after such a start (one on this thread, after this call), and makes room by that. However
 * many starts were refused meanwhile, there is one call; the next comes after the next
 * ASYNC_NO_JOBS. A thread has one callback; NULL takes it away.
 *
 * It is called on this thread, on the stack of the code that started, resumed or cancelled the
 * job, after that job's end and before this code's call returns: its handle is NULL, its result
 * is there. It may do what that code may, start jobs too; to set a flag is enough. errno is kept.
 * No exception may leave it. What the caller itself does to make room, a higher limit say, brings
 * no call. ASYNC_cleanup_thread() leaves the callback; it is gone with the thread.
 *
 * Returns 1; or 0 with ASYNCJOB_R_NOT_CAPABLE.
 */
int asyncjob_on_slot_free(void (*callback)(void* arg), void* arg);

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
 * frames. For a loop over many paused jobs that knows which it will resume some ten resumes later:
 * a job that was away is loaded meanwhile. Does nothing else, so any handle will do, NULL and a
 * stale one too. Any thread.
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
 * started), ASYNCJOB_R_FOREIGN_THREAD, ASYNCJOB_R_IN_HOOK. What handles may be passed is as for
 * ASYNC_start_job().
 */
int asyncjob_cancel(ASYNC_JOB** job, int* ret);

/*
 * Cancels paused jobs of the calling thread, each as asyncjob_cancel() does and their results
 * dropped, in no order to rely on, until none is left: those too that a cancelled job has
 * started and left paused. (It does not return if there is always another.) For a thread that is
 * about to end. Inside a job, that one and those that wait for it are not paused and go on. The
 * handles that the application has become those of finished jobs.
 *
 * Returns how many this call has cancelled itself, 0 if none was paused or in a switch hook. Does
 * not fail.
 */
size_t asyncjob_cancel_all(void);

/*
 * 1 in a job that was cancelled, for code that would otherwise wait, retry or start something
 * new; 0 in any other, also one that a cancelled job has started, and outside a job.
 */
int asyncjob_cancelled(void);

/* Whose numbers. */
#define ASYNCJOB_STATS_THREAD 1  /* the calling thread's */
#define ASYNCJOB_STATS_PROCESS 2 /* all threads', those that have ended too */
#define ASYNCJOB_STATS_STACKS 16 /* beside one of them: look at the stacks, too */

/*
 * Numbers of jobs. started is what finished, live and left_behind come to. A later version of the
 * library may have more fields behind these.
 */
typedef struct asyncjob_stats_t {
    uint64_t started;     /* got to run their function */
    uint64_t finished;    /* whose function returned */
    uint64_t cancelled;   /* by asyncjob_cancel() and asyncjob_cancel_all() */
    uint64_t refused;     /* starts that got ASYNC_NO_JOBS */
    uint64_t live;        /* running and paused, now */
    uint64_t paused;      /* now */
    uint64_t idle;        /* made, or finished and kept, now */
    uint64_t peak;        /* the most live at a time; of a process, the most that one thread had */
    uint64_t left_behind; /* paused by threads that have ended; of a thread: 0 */
    uint64_t threads;     /* that use jobs now; of a thread: 1 or 0 */

    /*
     * Bytes that the job which used most of its stack has touched, in whole pages, as far as
     * they are resident and the stack is there: stacks of idle jobs that were given back are not
     * looked at. 0 without ASYNCJOB_STATS_STACKS, as this takes a system call for each job.
     */
    uint64_t stack_high_water;
} asyncjob_stats_t;

/*
 * Fills in the numbers. `which` is ASYNCJOB_STATS_THREAD or ASYNCJOB_STATS_PROCESS, maybe with
 * ASYNCJOB_STATS_STACKS; `size` is the caller's sizeof(asyncjob_stats_t), and no more than that is
 * written. Starts, pauses and ends do not count anything for this: the jobs' headers tell, so the
 * call takes time for each job that there is, some 10 to 100 ns, and meanwhile those of its threads
 * wait that make or destroy one. A thread's own numbers are exact; those of a thread that runs are
 * of moments during the call, and a job may be in two of them or in none.
 *
 * The numbers of a process begin at 0 in the child of a fork, but for those of the forking thread,
 * whose jobs come along.
 *
 * Returns 1; or 0 with ASYNCJOB_R_NULL_ARGUMENT, ASYNCJOB_R_INVALID_STRUCT_SIZE (less than that of
 * the first version) or ASYNCJOB_R_INVALID_OPTION (which). Any thread; not in a signal handler.
 */
int asyncjob_stats(asyncjob_stats_t* of, size_t size, int which);

/*
 * Stands for one job, for other threads: to be copied and kept as one likes, also beyond the end
 * of the job. What is in it is the library's. Handles of the same job are equal; no two jobs of a
 * process have the same.
 */
typedef struct asyncjob_handle {
    void* slot;
    uint64_t generation;
} asyncjob_handle;

/*
 * Gives *handle the handle of a job of the calling thread, running or paused: a job may ask for
 * its own (ASYNC_get_current_job()). What wakes and handles cost, only a job pays whose handle was
 * asked for.
 *
 * Returns 1; or 0, with *handle as it was, and one of these reasons: ASYNCJOB_R_NULL_ARGUMENT,
 * ASYNCJOB_R_JOB_NOT_PAUSED (the handle of a finished job), ASYNCJOB_R_FOREIGN_THREAD,
 * ASYNCJOB_R_NO_MEMORY.
 */
int asyncjob_get_handle(ASYNC_JOB* job, asyncjob_handle* handle);

/*
 * Tells the job's thread that the job can go on: asyncjob_ready_fd() of that thread becomes
 * readable, and asyncjob_take_ready() lists the job. What the caller did before, the job sees when
 * it goes on. Any thread, that of the job and jobs themselves included; takes no lock, and makes
 * no system call while other jobs of that thread are ready and have not been taken.
 *
 * A wake is kept until the job has heard of it. A job that was woken already is not woken twice. A
 * job that runs is ready as soon as it pauses: asyncjob_pause() returns at once then; and
 * ASYNC_pause_job() pauses, as ever, and the job is listed.
 *
 * Returns 1; or 0 with one of these reasons: ASYNCJOB_R_NULL_ARGUMENT (a handle of zeros),
 * ASYNCJOB_R_STALE_HANDLE (the job has ended, or its thread has). The latter is in
 * asyncjob_last_reason() alone, not on libcrypto's error queue: a completion that comes late is no
 * mistake, and must not fail a TLS connection of the calling thread. Not for signal handlers.
 */
int asyncjob_wake(asyncjob_handle handle);

/*
 * The calling thread's file descriptor for poll(), select() or epoll: readable while there are
 * jobs for asyncjob_take_ready(), because of a wake or of a deadline; at times it is readable
 * though there are none. One for all jobs of the thread, and always the same. It is the library's:
 * not to be read, written or closed. The child of a fork has to ask for its own; the parent's is
 * closed there. At the thread's end it goes to a later thread: take it out of an epoll set before.
 *
 * Returns -1 with one of these reasons: ASYNCJOB_R_NO_FD, ASYNCJOB_R_NO_MEMORY,
 * ASYNCJOB_R_NOT_CAPABLE, ASYNC_R_INIT_FAILED.
 */
int asyncjob_ready_fd(void);

/*
 * Lists paused jobs of the calling thread that were woken, in the order of the wakes, then those
 * whose deadline has passed (asyncjob_pause_until()), in the order of the deadlines; at most max.
 * If there are more, the fd stays readable; a loop that waits for edges (EPOLLET) has to call this
 * until it gets fewer than max, and so has one whose deadlines must not wait for wakes without end.
 * ASYNC_start_job() resumes them, in any order; and any
 * other paused job may be resumed as well, listed or not. A job is listed once for each time that
 * it pauses; jobs that were resumed or have ended since they were woken are left out.
 *
 * Returns how many it has written to jobs[]. 0 if there are none, or in a switch hook, where the
 * fd stays as it is; or with the reason
 * ASYNCJOB_R_NULL_ARGUMENT, if jobs is NULL and max is not 0.
 */
size_t asyncjob_take_ready(ASYNC_JOB** jobs, size_t max);

/* What a pause meant. */
#define ASYNCJOB_PAUSE_FAILED \
    (-1)                      /* it has not paused, for a reason; asyncjob_pause_until() only */
#define ASYNCJOB_CANCELLED 0  /* asyncjob_cancel(): unwind and return */
#define ASYNCJOB_RESUMED 1    /* by ASYNC_start_job(), without a wake */
#define ASYNCJOB_WOKEN 2      /* asyncjob_wake() */
#define ASYNCJOB_TIMED_OUT 3  /* the deadline has passed, without a wake */
#define ASYNCJOB_BLOCKED 4    /* it has not paused: ASYNC_block_pause() */
#define ASYNCJOB_NOT_IN_JOB 5 /* it has not paused: there is no job */

/*
 * Pauses the current job as ASYNC_pause_job() does, and tells what the pause meant: one of the
 * values above. If the job was woken since its last asyncjob_pause(), while it ran say, this
 * returns ASYNCJOB_WOKEN at once, without a pause. Of several meanings the first counts:
 * not in a job, cancelled, blocked, woken, timed out, resumed.
 */
int asyncjob_pause(void);

/*
 * The same with a deadline, a time of CLOCK_MONOTONIC: when it has passed, the thread's fd becomes
 * readable, asyncjob_take_ready() lists the job, and this returns ASYNCJOB_TIMED_OUT; at once and
 * without a pause if it has passed already. Nobody resumes the job at its deadline but the thread's
 * loop. The deadline ends with the pause.
 *
 * Returns ASYNCJOB_PAUSE_FAILED, in a job that could have paused or outside, with one of these
 * reasons: ASYNCJOB_R_NULL_ARGUMENT, ASYNCJOB_R_INVALID_DEADLINE (tv_nsec is not 0 to 999,999,999),
 * ASYNCJOB_R_NO_MEMORY.
 */
int asyncjob_pause_until(const struct timespec* deadline);

/* 1 if ASYNC_pause_job() would pause: in a job, and pausing is not blocked, nor was the job
 * cancelled. Else 0. */
int asyncjob_can_pause(void);

/*
 * Writes a line for each job that is running or paused, of all threads, to a file descriptor:
 *
 *   job=0x7f21c3fdff01 state=paused thread=4711 age=1.204311 fds=12,14 stack=1184/101056
 *   at=0x55d0c8e0a1b2 symbol=wait_for_key+0x42
 *
 * (in one line.) job is the handle; state is paused, running, or waiting for a job that it has
 * started; thread the system's number of the thread that it belongs to. age is in seconds, with the
 * option stamp_pauses. fds are those of its wait context, up to 8. stack is bytes in use and all
 * there are. at is where ASYNC_pause_job() returns to, and symbol the function, if it is exported
 * (link programs with -rdynamic), else file and offset, for addr2line. Where pauses go through
 * other calls of this library, asyncjob_pause_until() say, or a sanitizer watches, that is in the
 * library; with ucontext it is not known. What is not known is "-". A line that begins with # says
 * why the jobs of a thread, or all, are not listed.
 *
 * It may be called in a signal handler: it allocates nothing, and does not wait for what the
 * interrupted code has locked. (The look-up of a symbol, dladdr(), is not promised to be safe
 * there: it takes the loader's lock, which only a thread within dlopen() has for long.) Other
 * threads go on meanwhile, and may be in the midst of changing what is copied from them, so the
 * fds of another thread's job are a good guess, and so is the place of one that goes on and pauses
 * again just then. A job that is there all the time is listed once, unless it goes on while it is
 * looked at; one that ends meanwhile may be, and those that are made meanwhile are not. An fd that
 * nobody reads from holds no other thread up.
 *
 * Returns 1, with errno as it was; or 0 with that of write(). Raises no reason. Any thread.
 */
int asyncjob_dump(int fd);

/*
 * Has overflows of jobs' stacks reported: installs a handler of SIGSEGV, which writes two lines to
 * stderr when a job gets into its guard,
 *
 *   asyncjob: stack overflow: job=0x7f21c3fdff01 stack=98304 guard=32768 thread=4711
 *   address=0x7f21c3fc7ff8 at=0x55d0c8e0a1b2 symbol=parse_value+0x1c
 *
 * (in one line) and what enlarges stacks; and then leaves the signal to whoever had it when this
 * was called. If that is the default, the process ends as ever, with the same core file. job is the
 * handle; stack the bytes that the job may use (the option stack_size), guard those of the guard
 * below; address is where the fault is (on s390x its page), at the instruction, and symbol the
 * function that has run out of stack, if it is exported (not static, and programs linked with
 * -rdynamic), else file and offset, for addr2line. What is not known is "-": names, before
 * glibc 2.35. One line says so if the guard was reached by code that does not run at that stack's
 * end: by a wrong pointer, that is. Frames larger than the guard may step over it, without a fault:
 * compile with -fstack-clash-protection.
 *
 * Other faults, and signals that are sent, go to the previous handler alone, with the same siginfo
 * and context. Its mask, SA_NODEFER, SA_RESETHAND and SA_RESTART stay in force; but it runs on the
 * alternate signal stack, in threads that have one, also if it did not ask for that (SA_ONSTACK). A
 * handler that the program installs later gets the signal first, and passes it on or does not.
 * Where SIGSEGV was ignored it is caught now, and nothing comes of one that is sent; but calls that
 * are never restarted (poll(2), nanosleep(2)) end with EINTR then, and programs that the process
 * starts by execve(2) begin with the default, as what is caught is not ignored.
 *
 * A thread gets an alternate signal stack (sigaltstack(2); 64 KiB, of which touched pages take
 * memory), if it has none, with its first use of jobs, and loses it at its end. A thread that uses
 * jobs already when this is called, and is not the caller, or that has lost its signal stack since
 * (to code that had one of its own for a while), gets it when it next makes a job or calls this:
 * until then an overflow there ends the process without a report. For a stack of
 * ASYNC_set_mem_functions() what a guard would take below it counts as its guard. With SIGSEGV
 * blocked nothing is reported, as the kernel ends the process.
 *
 * Once in a process; further calls do nothing but give the calling thread its signal stack. It
 * cannot be undone. Without a call the same is done at the first use of jobs if the environment has
 * ASYNCJOB_OVERFLOW_REPORT=1 when the library is loaded (and the program has no more rights than
 * its user). Costs starts, pauses and resumes nothing. Not in signal handlers.
 *
 * Returns 1; or 0 with ASYNCJOB_R_NOT_CAPABLE, ASYNC_R_INIT_FAILED (the system refuses to change
 * the handler) or ASYNCJOB_R_NO_MEMORY (for the calling thread's signal stack). Any thread.
 */
int asyncjob_install_overflow_handler(void);

/*
 * Where the handle of a paused job is kept: the address that was last passed to ASYNC_start_job()
 * (or asyncjob_cancel()) for a job of the calling thread that is paused now, if it lies in the
 * `size` bytes from `object` on and still has the handle; the lowest one, if several do. It says
 * where an object of somebody else's that runs jobs inside, such as libssl's SSL, has its job's
 * handle, so that the job can be cancelled; the object must not have been moved since. All `size`
 * bytes must be there to be read. Takes a time in proportion to the number of the thread's jobs,
 * idle ones included.
 *
 * Returns the address; NULL if there is none; or NULL, and raises ASYNCJOB_R_NULL_ARGUMENT, if
 * object is NULL.
 */
ASYNC_JOB** asyncjob_find_handle(const void* object, size_t size);

/*
 * How many jobs were left behind, paused, by threads that have ended, since the process
 * began, or was forked: their stacks and what their frames hold can never be given back. More than
 * 0 is a defect in the program, for which there is asyncjob_cancel_all(). Any thread.
 */
size_t asyncjob_left_behind(void);

/*
 * Job-local storage: values that belong to a job as thread-local ones belong to a thread. A key
 * is the process's; under each key a job has one value, NULL at first.
 */
typedef uint64_t asyncjob_key; /* 0 is none */

#define ASYNCJOB_KEYS_MAX 1024       /* in use at a time, in the process */
#define ASYNCJOB_DESTRUCTOR_ROUNDS 4 /* at a job's end, see asyncjob_key_create() */

/*
 * Makes a key. When a job ends, cancelled or not, destructor is called with each value of the
 * job under the key that is not NULL, on the job's thread, before its starter's call returns and
 * off its stack; the value is taken out before. The job is still the current one, and pausing is
 * blocked; a destructor may store values, for which destructors are called again, up to
 * ASYNCJOB_DESTRUCTOR_ROUNDS times in all. In a round they are called in no order to rely on. What
 * is there after the last round is dropped. A job that its thread leaves behind paused has not
 * ended: its frames may use the values, so they are left alone as its frames are.
 *
 * destructor may be NULL, for values that need none; no exception may leave it.
 *
 * Returns 1; or 0, with *key as it was, and ASYNCJOB_R_NULL_ARGUMENT or ASYNCJOB_R_NO_KEY. Any
 * thread.
 */
int asyncjob_key_create(asyncjob_key* key, void (*destructor)(void*));

/*
 * Deletes a key. Jobs lose the values that they have under it; the destructor is not called for
 * them, though on another thread a call of it may still be going on. A later key never finds
 * these values. Returns 1; or 0 with ASYNCJOB_R_INVALID_KEY. Any thread.
 */
int asyncjob_key_delete(asyncjob_key key);

/*
 * Sets the current job's value, without destroying what was there. Memory is taken when a job
 * stores its first value, or one under a later key, and kept to its end.
 *
 * Returns 1; or 0, with the value as it was, and one of these reasons: ASYNCJOB_R_NOT_IN_JOB,
 * ASYNCJOB_R_INVALID_KEY, ASYNCJOB_R_NO_MEMORY.
 */
int asyncjob_set_local(asyncjob_key key, const void* value);

/*
 * The current job's value. NULL if there is none: nothing was stored, there is no such key, or
 * this is not called in a job. Does not fail, and raises no reason: a library asks in and out of
 * jobs, and an entry on the error queue would fail its caller's connection.
 */
void* asyncjob_get_local(asyncjob_key key);

/*
 * Adds functions that the calling thread calls at its jobs' switches, for state that the library
 * cannot know of, such as an interpreter's or a tracer's current context. enter(job, arg) is
 * called before the job goes on, from its start or a resume or a cancel; leave(job, arg) when it
 * pauses or has ended. A nested job's calls come between those of the job that started it. Of
 * several hooks of a thread, the first added enters first and leaves last.
 *
 * In both the job is the current one, and asyncjob_get_local() and asyncjob_set_local() are about
 * it: at its end, leave is called before its values are destroyed. enter runs on the stack of
 * whoever enters the job, and so does leave at its end; at a pause leave runs on the job's. At a
 * resume the round of the job's wait context has ended before enter is called. errno is kept. A
 * hook must not throw, and start, resume or cancel jobs (ASYNCJOB_R_IN_HOOK; a pause returns at
 * once).
 *
 * Hooks are the thread's that added them, and last until they are removed or the thread ends.
 * Threads without any pay nothing for them; the switches of one that has some take longer.
 * One of enter and leave may be NULL.
 *
 * Returns 1; or 0 with one of these reasons: ASYNCJOB_R_NULL_ARGUMENT (both), ASYNCJOB_R_IN_JOB
 * (this is for code outside jobs), ASYNCJOB_R_NO_MEMORY, ASYNCJOB_R_NOT_CAPABLE,
 * ASYNC_R_INIT_FAILED.
 */
int asyncjob_add_switch_hooks(void (*enter)(ASYNC_JOB* job, void* arg),
                              void (*leave)(ASYNC_JOB* job, void* arg), void* arg);

/*
 * Removes hooks that the calling thread has added with the same three arguments; of several, the
 * last. Returns 1; or 0 with ASYNCJOB_R_NO_HOOKS or ASYNCJOB_R_IN_JOB.
 */
int asyncjob_remove_switch_hooks(void (*enter)(ASYNC_JOB* job, void* arg),
                                 void (*leave)(ASYNC_JOB* job, void* arg), void* arg);

#ifdef __cplusplus
}
#endif
#endif
