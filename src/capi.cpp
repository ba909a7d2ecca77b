// SPDX-License-Identifier: Apache-2.0
// Every function of the C interface: checks its arguments, calls the part that does the
// work, and turns failures into reasons. Contracts: asyncjob/async.h, asyncjob/control.h.
//
// Threads: as those headers say. Next layer down: thread_state.hpp, wait_ctx.hpp.
#include <cstdlib>
#include <new>

#include "api.hpp"
#include "reason.hpp"
#include "stack.hpp"
#include "thread_state.hpp"
#include "wait_ctx.hpp"

using asyncjob::fail;
using asyncjob::Reason;
using asyncjob::succeed;
using asyncjob::this_thread;

namespace {

bool is_null(const void* pointer, const char* function) {
    if (pointer != nullptr) [[likely]]
        return false;
    (void)fail(Reason::null_argument, function);
    return true;
}

}  // namespace

ASYNC_JOB* ASYNC_get_current_job(void) {
    return this_thread.current;
}

ASYNC_WAIT_CTX* ASYNC_get_wait_ctx(ASYNC_JOB* job) {
    if (job == nullptr)
        return nullptr;
    const asyncjob::Job& header = *asyncjob::Job::of(job);
    return header.has_name(job) ? header.wait : nullptr;
}

void ASYNC_block_pause(void) {
    if (asyncjob::Job* const job = this_thread.current_job(); job != nullptr)
        job->block();
}

void ASYNC_unblock_pause(void) {
    if (asyncjob::Job* const job = this_thread.current_job(); job != nullptr)
        job->unblock();
}

int ASYNC_is_capable(void) {
    return asyncjob::can_have_jobs() ? 1 : 0;
}

int ASYNC_init_thread(size_t max_size, size_t init_size) {
    return succeed(asyncjob::init_thread(max_size, init_size), __func__);
}

void ASYNC_cleanup_thread(void) {
    asyncjob::cleanup_thread();
}

int ASYNC_set_mem_functions(ASYNC_stack_alloc_fn alloc_fn, ASYNC_stack_free_fn free_fn) {
    return succeed(asyncjob::set_stack_functions(alloc_fn, free_fn), __func__);
}

void ASYNC_get_mem_functions(ASYNC_stack_alloc_fn* alloc_fn, ASYNC_stack_free_fn* free_fn) {
    asyncjob::get_stack_functions(alloc_fn, free_fn);
}

ASYNC_WAIT_CTX* ASYNC_WAIT_CTX_new(void) {
    void* const memory = std::malloc(sizeof(ASYNC_WAIT_CTX));
    if (memory == nullptr) {
        (void)fail(Reason::no_memory, __func__);
        return nullptr;
    }
    return new (memory) ASYNC_WAIT_CTX;
}

void ASYNC_WAIT_CTX_free(ASYNC_WAIT_CTX* ctx) {
    if (ctx == nullptr || !ctx->begin_end())
        return;
    ctx->~async_wait_ctx_st();
    std::free(ctx);
}

int ASYNC_WAIT_CTX_set_wait_fd(ASYNC_WAIT_CTX* ctx, const void* key, OSSL_ASYNC_FD fd,
                               void* custom_data,
                               void (*cleanup)(ASYNC_WAIT_CTX*, const void*, OSSL_ASYNC_FD,
                                               void*)) {
    if (is_null(ctx, __func__))
        return 0;
    return ctx->add(key, fd, custom_data, cleanup) ? 1 : fail(Reason::no_memory, __func__);
}

int ASYNC_WAIT_CTX_get_fd(ASYNC_WAIT_CTX* ctx, const void* key, OSSL_ASYNC_FD* fd,
                          void** custom_data) {
    if (is_null(ctx, __func__))
        return 0;
    return ctx->find(key, fd, custom_data) ? 1 : 0;
}

int ASYNC_WAIT_CTX_get_all_fds(ASYNC_WAIT_CTX* ctx, OSSL_ASYNC_FD* fd, size_t* numfds) {
    if (is_null(ctx, __func__) || is_null(numfds, __func__))
        return 0;
    ctx->list(fd, *numfds);
    return 1;
}

int ASYNC_WAIT_CTX_get_changed_fds(ASYNC_WAIT_CTX* ctx, OSSL_ASYNC_FD* addfd, size_t* numaddfds,
                                   OSSL_ASYNC_FD* delfd, size_t* numdelfds) {
    if (is_null(ctx, __func__) || is_null(numaddfds, __func__) || is_null(numdelfds, __func__))
        return 0;
    ctx->list_changed(addfd, *numaddfds, delfd, *numdelfds);
    return 1;
}

int ASYNC_WAIT_CTX_clear_fd(ASYNC_WAIT_CTX* ctx, const void* key) {
    if (is_null(ctx, __func__))
        return 0;
    return ctx->clear(key) ? 1 : 0;
}

int ASYNC_WAIT_CTX_set_callback(ASYNC_WAIT_CTX* ctx, ASYNC_callback_fn callback,
                                void* callback_arg) {
    if (is_null(ctx, __func__))
        return 0;
    ctx->callback = callback;
    ctx->callback_arg = callback_arg;
    return 1;
}

int ASYNC_WAIT_CTX_get_callback(ASYNC_WAIT_CTX* ctx, ASYNC_callback_fn* callback,
                                void** callback_arg) {
    if (is_null(ctx, __func__) || ctx->callback == nullptr)
        return 0;
    if (callback != nullptr)
        *callback = ctx->callback;
    if (callback_arg != nullptr)
        *callback_arg = ctx->callback_arg;
    return 1;
}

int ASYNC_WAIT_CTX_set_status(ASYNC_WAIT_CTX* ctx, int status) {
    if (is_null(ctx, __func__))
        return 0;
    if (status < ASYNC_STATUS_UNSUPPORTED || status > ASYNC_STATUS_EAGAIN)
        return fail(Reason::invalid_status, __func__);
    ctx->status.store(status, std::memory_order_release);
    return 1;
}

int ASYNC_WAIT_CTX_get_status(ASYNC_WAIT_CTX* ctx) {
    if (is_null(ctx, __func__))
        return 0;
    return ctx->status.load(std::memory_order_acquire);
}

int asyncjob_last_reason(void) {
    return this_thread.last_reason;
}

const char* asyncjob_reason_string(int reason) {
    switch (reason) {
        case 0:
            return "no failure";
        case ASYNC_R_FAILED_TO_SET_POOL:
            return "failed to set pool";
        case ASYNC_R_FAILED_TO_SWAP_CONTEXT:
            return "failed to swap context";
        case ASYNC_R_INIT_FAILED:
            return "init failed: the thread cannot be registered (PTHREAD_KEYS_MAX?)";
        case ASYNC_R_INVALID_POOL_SIZE:
            return "invalid pool size: init_size must not exceed max_size";
        case ASYNCJOB_R_NULL_ARGUMENT:
            return "a pointer that must not be NULL is NULL";
        case ASYNCJOB_R_JOB_NOT_PAUSED:
            return "the job of this handle has finished: set the handle to NULL to start another";
        case ASYNCJOB_R_JOB_RUNNING:
            return "the job of this handle is running or waits for a job that it started";
        case ASYNCJOB_R_FOREIGN_THREAD:
            return "the job of this handle belongs to another thread: resume it there";
        case ASYNCJOB_R_NO_MEMORY:
            return "out of memory for a job, its arguments or a wait context";
        case ASYNCJOB_R_NO_STACK:
            return "no memory for a stack (a cgroup's limit, vm.overcommit_memory, ulimit -d or "
                   "-l?)";
        case ASYNCJOB_R_NO_GUARD:
            return "no guard for a stack: the kernel refuses mprotect(); use Linux 6.13 or later";
        case ASYNCJOB_R_STACK_TOO_SMALL:
            return "the function of ASYNC_set_mem_functions gave a stack of less than 16 KiB";
        case ASYNCJOB_R_NOT_CAPABLE:
            return "this platform has no way to switch stacks";
        case ASYNCJOB_R_INVALID_STATUS:
            return "not one of the ASYNC_STATUS values";
        case ASYNCJOB_R_STACKS_IN_USE:
            return "a stack has been made: set the memory functions before the first job";
        case ASYNCJOB_R_STALE_HANDLE:
            return "the job of this asyncjob_handle has ended, or its thread has: nothing to wake";
        case ASYNCJOB_R_INVALID_DEADLINE:
            return "not a time: tv_nsec must be 0 to 999999999";
        case ASYNCJOB_R_NO_FD:
            return "no file descriptor for asyncjob_ready_fd (ulimit -n, fs.file-max?)";
        case ASYNCJOB_R_NO_KEY:
            return "all ASYNCJOB_KEYS_MAX keys of job-local storage are in use: delete some";
        case ASYNCJOB_R_INVALID_KEY:
            return "no key of asyncjob_key_create(), or one that has been deleted";
        case ASYNCJOB_R_NOT_IN_JOB:
            return "only a job has values of its own: call this in one";
        case ASYNCJOB_R_IN_JOB:
            return "switch hooks are added and removed outside jobs: call this before or after";
        case ASYNCJOB_R_IN_HOOK:
            return "a switch hook must not start, resume or cancel jobs";
        case ASYNCJOB_R_NO_HOOKS:
            return "this thread has no such switch hooks: pass what was added, on the same thread";
        case ASYNCJOB_R_POOL_IS_FULL:
            return "the thread has as many jobs as its limit allows: wait for one to end "
                   "(asyncjob_on_slot_free), or raise the limit";
        case ASYNCJOB_R_NO_ADDRESSES:
            return "no address space for a stack: raise RLIMIT_AS (ulimit -v), or use smaller "
                   "stacks";
        case ASYNCJOB_R_NO_MAPPINGS:
            return "the process has as many mappings as the system allows: raise vm.max_map_count";
        case ASYNCJOB_R_INVALID_STRUCT_SIZE:
            return "not the size of a version of this struct, or a later version's with fields set "
                   "that this library does not have";
        case ASYNCJOB_R_INVALID_STACK_SIZE:
            return "stack_size must be from ASYNCJOB_STACK_MIN to ASYNCJOB_STACK_MAX bytes";
        case ASYNCJOB_R_INVALID_OPTION:
            return "not one of the values that this option or argument can have";
        case ASYNCJOB_R_JOBS_IN_FLIGHT:
            return "the thread has jobs running or paused: set its stacks before the first or "
                   "after "
                   "the last of them";
        case ASYNCJOB_R_SHADOW_STACK:
            return "this thread runs with a shadow stack (CET, GCS), which a switch would break: "
                   "start the program without (GLIBC_TUNABLES=glibc.cpu.hwcaps=-SHSTK)";
        default:
            return "unknown reason";
    }
}

int asyncjob_cancel(ASYNC_JOB** job, int* ret) {
    if (is_null(job, __func__) || is_null(ret, __func__) || is_null(*job, __func__))
        return ASYNC_ERR;
    const Reason reason = asyncjob::cancel(job, ret);
    return reason == Reason::none ? ASYNC_FINISH : fail(reason, __func__);
}

size_t asyncjob_cancel_all(void) {
    return asyncjob::cancel_all();
}

int asyncjob_cancelled(void) {
    return asyncjob::is_cancelled() ? 1 : 0;
}

ASYNC_JOB** asyncjob_find_handle(const void* object, size_t size) {
    return is_null(object, __func__) ? nullptr : asyncjob::find_handle(object, size);
}

int asyncjob_share_fp_mode(int share) {
    if (!asyncjob::arch::can_share_fp_mode) {
        (void)fail(Reason::not_capable, __func__);
        return -1;
    }
    return asyncjob::share_fp_mode(share != 0) ? 1 : 0;
}

void asyncjob_prefetch(ASYNC_JOB* job) {
    if (job == nullptr)
        return;
    const asyncjob::Job* const header = asyncjob::Job::of(job);
    __builtin_prefetch(header, 1);
    header->prefetch_frames();
}

size_t asyncjob_left_behind(void) {
    return asyncjob::left_behind();
}
