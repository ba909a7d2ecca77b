/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asyncjob/async.h: the C interface of asynchronous jobs, ABI-equal to OpenSSL's
 * <openssl/async.h>: the same names, types, values and include guard, so that the two
 * headers may stand in one program, or in one source file, in either order.
 *
 * A job is ordinary blocking-style code on a stack of its own. ASYNC_start_job() runs it;
 * ASYNC_pause_job(), called anywhere below the job's function, gives the thread back to
 * the caller of ASYNC_start_job(); another ASYNC_start_job() with the job's handle goes on
 * behind the pause. A wait context (ASYNC_WAIT_CTX) tells the caller when to do so.
 *
 * Threads: a job belongs to the thread that started it and is resumed only there. Each
 * thread has a pool of its own. Pausing, resuming and starting a job of the pool take no
 * lock; making a job may. A wait context is used by one thread at a time, except where a
 * function says otherwise.
 *
 * Errors: a call that fails leaves a reason: on OpenSSL's error queue when libcrypto is in
 * the process, and always in asyncjob_last_reason() of <asyncjob/control.h>, where the
 * ASYNCJOB_R_* codes are.
 *
 * Manual pages: OpenSSL's ASYNC_start_job(3), ASYNC_WAIT_CTX_new(3) (Debian: libssl-doc). Where
 * this library does more than they promise or differs from libcrypto, doc/compatibility.md says so.
 *
 * Next layer down: src/capi.cpp.
 */
#ifndef OPENSSL_ASYNC_H
#define OPENSSL_ASYNC_H
#define HEADER_ASYNC_H /* the guard's name before OpenSSL 3.0, which old code asks for */

#include <stdlib.h> /* as OpenSSL's header does; programs lean on it */

#if defined(_WIN32)
#if defined(BASETYPES) || defined(_WINDEF_H)
/* The application includes <windows.h> first if it wants the wait-context functions. */
#define OSSL_ASYNC_FD HANDLE
#define OSSL_BAD_ASYNC_FD INVALID_HANDLE_VALUE
#endif
#else
#define OSSL_ASYNC_FD int
#define OSSL_BAD_ASYNC_FD -1
#endif

/* Reason codes that OpenSSL defines for ERR_LIB_ASYNC (<openssl/asyncerr.h>). */
#define ASYNC_R_FAILED_TO_SET_POOL 101
#define ASYNC_R_FAILED_TO_SWAP_CONTEXT 102
#define ASYNC_R_INIT_FAILED 105
#define ASYNC_R_INVALID_POOL_SIZE 103

#ifdef __cplusplus
extern "C" {
#endif

/* A job. Opaque; only its address, the handle, is passed around. */
typedef struct async_job_st ASYNC_JOB;

/* What a paused job waits for. Opaque; see ASYNC_WAIT_CTX_new(). */
typedef struct async_wait_ctx_st ASYNC_WAIT_CTX;

/*
 * A notification callback, see ASYNC_WAIT_CTX_set_callback(). It may run on any thread and
 * must neither block nor call back into the job. Its result is for its caller, the code
 * that completed the operation.
 */
typedef int (*ASYNC_callback_fn)(void* arg);

/* Results of ASYNC_start_job(). */
#define ASYNC_ERR 0     /* nothing was run; there is a reason */
#define ASYNC_NO_JOBS 1 /* the pool's limit is reached; try again when a job has finished */
#define ASYNC_PAUSE 2   /* the job paused; *job is its handle */
#define ASYNC_FINISH 3  /* the job's function returned; *job is NULL, *ret its result */

/* Values of ASYNC_WAIT_CTX_set_status(). */
#define ASYNC_STATUS_UNSUPPORTED 0 /* no callback will come; the value of a new context */
#define ASYNC_STATUS_ERR 1         /* the operation failed for good; clean the session up */
#define ASYNC_STATUS_OK 2          /* submitted; the callback will be called */
#define ASYNC_STATUS_EAGAIN 3      /* not submitted (a full queue, say); resume and try again */

/*
 * Sets up the calling thread's pool: at most max_size jobs at once, idle and in flight
 * together (0: no limit), of which init_size are made at once. Optional: without it the
 * first ASYNC_start_job() makes a pool with no limit and no jobs ahead. A second call
 * changes the limit and tops the idle jobs up to init_size; jobs in flight stay, and those
 * over a lowered limit are freed as they finish.
 *
 * Returns 1; or 0 with a reason, the pool then being as it was before the call:
 * ASYNC_R_INVALID_POOL_SIZE if init_size > max_size and max_size is not 0; ASYNCJOB_R_* if
 * memory, address space or guards for init_size jobs cannot be had.
 */
int ASYNC_init_thread(size_t max_size, size_t init_size);

/*
 * Frees the calling thread's idle jobs and the limit. Happens by itself when the thread
 * ends; calling it twice, or without a pool, does nothing. Jobs that are still paused are
 * kept: they may be resumed later on this thread, and give their memory back when they
 * finish. The API can be used again afterwards and then starts with a new pool.
 */
void ASYNC_cleanup_thread(void);

#ifdef OSSL_ASYNC_FD
/*
 * Makes an empty wait context: no fd, no callback, status ASYNC_STATUS_UNSUPPORTED. One
 * serves a session (a connection, say): any number of jobs one after another. Returns NULL
 * only when out of memory. Free it with ASYNC_WAIT_CTX_free().
 *
 * Every function below returns 0 for a NULL context, and raises ASYNCJOB_R_NULL_ARGUMENT.
 */
ASYNC_WAIT_CTX* ASYNC_WAIT_CTX_new(void);

/*
 * Frees a wait context and calls the cleanup function of each fd that is still in it, once,
 * newest first. A cleanup may call the functions below on the context that is being freed;
 * its own fd is still listed while it runs. ctx may be NULL.
 */
void ASYNC_WAIT_CTX_free(ASYNC_WAIT_CTX* ctx);

/*
 * Adds a wait fd: the owner of the job polls it for reading and resumes the job when it is
 * ready. key is unique to the caller (an address of its own); setting it a second time adds
 * a second fd, and lookups find the newest. cleanup may be NULL; it gets the context, the
 * key, the fd and custom_data when the context is freed, unless the fd was cleared before.
 * Called inside the job, by the code that is about to pause. The fd stays the caller's.
 *
 * Returns 1, or 0 with a reason when out of memory.
 */
int ASYNC_WAIT_CTX_set_wait_fd(ASYNC_WAIT_CTX* ctx, const void* key, OSSL_ASYNC_FD fd,
                               void* custom_data,
                               void (*cleanup)(ASYNC_WAIT_CTX*, const void*, OSSL_ASYNC_FD, void*));

/*
 * Finds the newest fd of a key. fd and custom_data may each be NULL. Returns 1; or 0 when
 * the key has none, which is an answer and not an error: no reason is raised.
 */
int ASYNC_WAIT_CTX_get_fd(ASYNC_WAIT_CTX* ctx, const void* key, OSSL_ASYNC_FD* fd,
                          void** custom_data);

/*
 * Lists all fds, newest first. *numfds is set to their number; with fd NULL that is all,
 * otherwise fd must have room for as many. Returns 1, or 0 with a reason if numfds is NULL.
 */
int ASYNC_WAIT_CTX_get_all_fds(ASYNC_WAIT_CTX* ctx, OSSL_ASYNC_FD* fd, size_t* numfds);

/*
 * Gets the notification callback and its argument; either pointer may be NULL. Returns 1;
 * or 0 when none is set (no reason is raised). May be called from another thread than the
 * owner's while the job is paused.
 */
int ASYNC_WAIT_CTX_get_callback(ASYNC_WAIT_CTX* ctx, ASYNC_callback_fn* callback,
                                void** callback_arg);

/*
 * Sets the callback by which the code that completes the operation tells the owner to
 * resume the job; NULL takes it away. It replaces polling an fd where both sides support
 * it, see ASYNC_WAIT_CTX_set_status(). Returns 1.
 */
int ASYNC_WAIT_CTX_set_callback(ASYNC_WAIT_CTX* ctx, ASYNC_callback_fn callback,
                                void* callback_arg);

/*
 * Sets the status, one of ASYNC_STATUS_*: how the operation's side stands to the callback.
 * May be called from another thread than the owner's while the job is paused. Returns 1,
 * or 0 with a reason for any other value.
 */
int ASYNC_WAIT_CTX_set_status(ASYNC_WAIT_CTX* ctx, int status);

/* Gets the status. For a NULL context 0, which is ASYNC_STATUS_UNSUPPORTED. Any thread. */
int ASYNC_WAIT_CTX_get_status(ASYNC_WAIT_CTX* ctx);

/*
 * Lists what was added and what was cleared in this round, newest first. A round ends when
 * a paused job that was started with this context is resumed; an fd that was added and
 * cleared in the same round is in neither list. The two numbers are always set; each array
 * may be NULL by itself, otherwise it must have room for as many. An event loop calls this
 * after each ASYNC_PAUSE to keep its poll set. Returns 1, or 0 with a reason if a pointer
 * to a number is NULL.
 */
int ASYNC_WAIT_CTX_get_changed_fds(ASYNC_WAIT_CTX* ctx, OSSL_ASYNC_FD* addfd, size_t* numaddfds,
                                   OSSL_ASYNC_FD* delfd, size_t* numdelfds);

/*
 * Takes the newest fd of a key out of the context without calling its cleanup; closing it
 * is the caller's. Returns 1; or 0 when the key has none (no reason is raised).
 */
int ASYNC_WAIT_CTX_clear_fd(ASYNC_WAIT_CTX* ctx, const void* key);
#endif

/*
 * 1 if jobs can run here, else 0: there is a way to switch stacks on this platform, and the
 * calling thread does not run with a shadow stack. Where it is 0, ASYNC_start_job() gives
 * ASYNC_ERR.
 */
int ASYNC_is_capable(void);

/*
 * Starts a job, or resumes one.
 *
 * With *job NULL it takes a job from the thread's pool, or makes one, copies size bytes of
 * args (aligned for any type), and runs func on the job's stack with a pointer to the copy;
 * args NULL passes NULL. The copy lives until func returns. ctx may be NULL; otherwise it must
 * live until the job has finished. The stack has 92 KiB or a little more, unless the allocator
 * functions say otherwise, and a guard below it: 32 KiB, on aarch64 64 KiB, a page at least.
 *
 * With *job the handle of a paused job of this thread, that job goes on behind its
 * ASYNC_pause_job(); ctx, func, args and size are ignored. job and ret are used in this
 * call only and may differ from those of the start.
 *
 * May be called inside a job: jobs nest, and a pause returns to whoever resumed the job.
 * errno, the floating-point control words, C++'s exceptions in flight and OpenSSL's default
 * library context belong to each side and are kept for it; a new job begins with its
 * starter's floating-point mode and library context. The signal mask belongs to the thread
 * and is not touched. No C++ exception may leave func.
 *
 * Returns ASYNC_FINISH, ASYNC_PAUSE or ASYNC_NO_JOBS (no reason is raised); or ASYNC_ERR, with *job
 * as it was, nothing run and one of these reasons: ASYNCJOB_R_NULL_ARGUMENT (job, ret or func),
 * ASYNCJOB_R_JOB_NOT_PAUSED (the handle of a finished job), ASYNCJOB_R_JOB_RUNNING (of a
 * job that runs, or that waits for one it started), ASYNCJOB_R_FOREIGN_THREAD,
 * ASYNCJOB_R_NO_MEMORY, ASYNCJOB_R_NO_STACK, ASYNCJOB_R_NO_GUARD, ASYNCJOB_R_STACK_TOO_SMALL,
 * ASYNCJOB_R_NOT_CAPABLE, ASYNCJOB_R_SHADOW_STACK, ASYNC_R_INIT_FAILED. A handle must have come
 * from this function: that of a finished job is recognised (in 63 of 64 cases also when its memory
 * serves a new job), no other address may be passed.
 */
int ASYNC_start_job(ASYNC_JOB** job, ASYNC_WAIT_CTX* ctx, int* ret, int (*func)(void*), void* args,
                    size_t size);

/*
 * Pauses the calling job: the ASYNC_start_job() that started or last resumed it returns
 * ASYNC_PAUSE. Outside a job, or while pausing is blocked, it does nothing. Returns 1, once
 * the job has been resumed or at once; or 0, without a reason, if the job was cancelled
 * (asyncjob_cancel() in <asyncjob/control.h>): it must not wait any more but return.
 */
int ASYNC_pause_job(void);

/* The job that the caller runs in, or NULL outside one. */
ASYNC_JOB* ASYNC_get_current_job(void);

/* The wait context that the job was started with, maybe NULL. NULL for a NULL job. */
ASYNC_WAIT_CTX* ASYNC_get_wait_ctx(ASYNC_JOB* job);

/*
 * Keep the calling job from pausing, while it holds a lock, say, until as many unblocks
 * as blocks were called. The count belongs to the job and is 0 when a job starts. Outside a
 * job both do nothing, as does an unblock too many.
 */
void ASYNC_block_pause(void);
void ASYNC_unblock_pause(void);

#ifdef __cplusplus
}
#endif
#endif /* OPENSSL_ASYNC_H */

/*
 * The allocator functions, which OpenSSL has from 3.2 on: declared here for those who have
 * an older header in the way.
 */
#if !defined(ASYNCJOB_STACK_FUNCTIONS) && \
    !(defined(OPENSSL_VERSION_NUMBER) && OPENSSL_VERSION_NUMBER >= 0x30200000L)
#define ASYNCJOB_STACK_FUNCTIONS

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Allocates a stack of at least *num bytes and returns its lowest address; it may set *num
 * to the size that it gave. NULL if it cannot. Runs on the thread that needs the stack, and
 * must not start a job.
 */
typedef void* (*ASYNC_stack_alloc_fn)(size_t* num);

/* Frees what the allocation function returned. */
typedef void (*ASYNC_stack_free_fn)(void* addr);

/*
 * Replaces the functions that make and free job stacks, for the whole process; both, or
 * with two NULLs back to the library's own. Such stacks have the guards that the allocator
 * gives them, or none; fewer than 16 KiB are refused at the start of the job. Any
 * thread. Returns 1; or 0 with a reason once a stack has been made
 * (ASYNCJOB_R_STACKS_IN_USE), and for one NULL (ASYNCJOB_R_NULL_ARGUMENT).
 */
int ASYNC_set_mem_functions(ASYNC_stack_alloc_fn alloc_fn, ASYNC_stack_free_fn free_fn);

/*
 * Gets the functions in force: those that were set, or two of the library that make and
 * free guarded stacks and may be called by a set function. Either pointer may be NULL.
 */
void ASYNC_get_mem_functions(ASYNC_stack_alloc_fn* alloc_fn, ASYNC_stack_free_fn* free_fn);

#ifdef __cplusplus
}
#endif
#endif
